"""What each package of the worker may import of the others; no modules import each other in a circle."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "py_worker"
ALLOWED: Mapping[str, frozenset[str]] = {
    "data": frozenset(),
    "metrics": frozenset(),
    "models": frozenset({"data"}),
    "losses": frozenset({"data", "models"}),
    "rollout": frozenset({"data", "models"}),
    "sweep": frozenset(),
    # Of `ops` only the package, which finds an operation by its name.
    "server": frozenset({"data", "models", "losses", "rollout", "ops"}),
    "ops": frozenset({"data", "models", "losses", "rollout", "metrics", "server"}),
}
"""Folders; modules beside them (`hub_name`, `protocol_gen`) are for all."""


def imported(source: str) -> Iterator[str]:
    """Modules of the worker, and names that may be some; those for types alone, too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def graph() -> dict[str, set[str]]:
    files = {
        ".".join(("py_worker", *file.relative_to(ROOT).with_suffix("").parts)): file
        for file in ROOT.rglob("*.py")
    }
    modules = {name.removesuffix(".__init__"): file for name, file in files.items()}
    return {
        name: {other for other in imported(file.read_text()) if other in modules and other != name}
        for name, file in modules.items()
    }


GRAPH = graph()


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_package_imports_what_the_table_allows(folder: str) -> None:
    own = {name: others for name, others in GRAPH.items() if name.split(".")[1:2] == [folder]}
    assert own
    others = {path.name for path in ROOT.iterdir() if path.is_dir()} - {folder} - ALLOWED[folder]
    found = [
        f"{name} imports {other}"
        for name, all_imported in own.items()
        for other in all_imported
        if others.intersection(other.split(".")[1:2])
    ]
    assert found == []
    if folder == "server":
        assert not [
            other for others in own.values() for other in others if other.startswith("py_worker.ops.")
        ]


def test_no_module_imports_itself_through_others() -> None:
    # A package is imported before its modules, which does not make it need them.
    without_packages = {
        name: {other for other in others if not name.startswith(f"{other}.")}
        for name, others in GRAPH.items()
    }
    try:
        TopologicalSorter(without_packages).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
