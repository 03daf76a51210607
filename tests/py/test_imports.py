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
    "session": frozenset({"data", "models", "losses", "rollout"}),
    # Two that know nothing of each other: `__main__` gives the operations to the server.
    "ops": frozenset({"data", "models", "losses", "rollout", "metrics", "session"}),
    "server": frozenset({"session"}),
}
"""Folders; modules beside them (`hub_name`, `protocol_gen`) are for all, and import none of these."""

WITHIN: Mapping[str, Mapping[str, frozenset[str]]] = {
    "data": {
        "": frozenset({"microtasks"}),
        "importers": frozenset({""}),
        "microtasks": frozenset({""}),
    },
    "losses": {"": frozenset(), "fused": frozenset({""})},
    "models": {"": frozenset(), "critics": frozenset({""}), "loading": frozenset({""})},
    "ops": {"": frozenset({"support"}), "support": frozenset()},
}
"""What the folders in a folder may import of each other; the empty name is what lies in it directly."""


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


def place_in(package: str, module: str) -> str | None:
    """Folder of a package that a module lies in; None for one of another package, and for the package."""
    file, folder = ROOT.joinpath(*module.split(".")[1:]), ROOT / package
    if not file.is_relative_to(folder) or file == folder:
        return None
    return str((file if file.is_dir() else file.parent).relative_to(folder)).removeprefix(".")


@pytest.mark.parametrize("package", WITHIN)
def test_folders_in_a_package_import_what_the_table_allows(package: str) -> None:
    folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert set(WITHIN[package]) == folders | {""}
    found = [
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        for other in others
        if (own := place_in(package, name)) is not None
        and place_in(package, other) not in {None, own, *WITHIN[package][own]}
    ]
    assert found == []


def test_the_tables_have_every_package_and_none_above_itself() -> None:
    assert set(ALLOWED) == {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert set(WITHIN) == {path.parts[-3] for path in ROOT.glob("*/*/__init__.py")}
    try:
        TopologicalSorter(ALLOWED).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_modules_beside_the_packages_import_none_of_them() -> None:
    beside = {f"py_worker.{path.stem}" for path in ROOT.glob("*.py")} - {"py_worker.__main__"}
    found = [
        f"{name} imports {other}"
        for name in beside & set(GRAPH)
        for other in GRAPH[name]
        if other.split(".")[1] in ALLOWED
    ]
    assert found == []


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
