"""The lock files and the script that writes them, against a registry of three packages."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from py_worker.requirements import lock

FOLDER = Path(lock.__file__).parent


def entry(name: str, version: str, file: str, digest: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "version": version},
        "download_info": {"url": f"file:///{file}", "archive_info": {"hashes": {"sha256": digest}}},
    }


PYTEST = entry("pytest", "9.2.0", "p.whl", "p")


class Registry:
    """Answers as pip does; every platform has its own wheel of torch."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def report(self, arguments: Sequence[str]) -> list[dict[str, Any]]:
        self.asked.append(list(arguments))
        if "--platform" not in arguments:
            return self.resolve(arguments)
        platform = arguments[arguments.index("--platform") + 1]
        python = arguments[arguments.index("--python-version") + 1]
        pins = [word.split("==") for word in arguments if "==" in word]
        return [entry(name, version, "a.whl", f"{name}-{platform}-{python}") for name, version in pins]

    def resolve(self, arguments: Sequence[str]) -> list[dict[str, Any]]:
        build = [entry("pip", "26.3", "pip.whl", "pip")]
        torch = entry("torch", "2.13.0+cpu", "torch.whl", "local")
        triton = entry("triton", "3.7.1", "triton.whl", "triton")
        source = entry("Rouge_Score", "0.1.2", "rouge_score.tar.gz", "source")
        pure = entry("tqdm", "4.70.1", "tqdm-4.70.1-py3-none-any.whl", "pure")
        group = Path(arguments[-1]).stem
        runtime = [*build, torch, triton, source, pure]
        return {
            "build": build,
            "runtime": runtime,
            "peft": [torch, entry("peft", "0.21.2", "peft-0.21.2-py3-none-any.whl", "peft")],
            "dev": [torch, entry("peft", "0.21.2", "peft-0.21.2-py3-none-any.whl", "peft"), PYTEST],
            "trl": [entry("multiprocess", "0.70", "multiprocess-0.70-py311-none-any.whl", "3.11")],
            "wandb": [pure, entry("wandb", "0.31.0", "wandb.whl", "w"), PYTEST],
            "sweep": [pure, entry("optuna", "5.0.0", "optuna-5.0.0-py3-none-any.whl", "o")],
        }.get(group, [])


@pytest.fixture
def locks() -> tuple[dict[str, dict[str, lock.Pin]], Registry]:
    registry = Registry()
    return lock.lock(registry.report), registry


def test_a_lock_holds_what_its_group_needs_beyond_what_is_always_there(
    locks: tuple[dict[str, dict[str, lock.Pin]], Registry],
) -> None:
    names = {name: sorted(pins) for name, pins in locks[0].items()}
    assert names == {
        "build": ["pip"],
        "runtime": ["rouge-score", "tqdm"],
        "torch": ["torch"],
        "cuda": ["triton"],
        "triton": ["triton"],
        "peft": ["peft"],
        "dev": ["peft", "pytest"],
        "smollm2": [],
        "trl": ["multiprocess"],
        "wandb": ["pytest", "wandb"],
        "sweep": ["optuna"],
    }
    assert locks[0]["wandb"]["pytest"] is locks[0]["dev"]["pytest"], (
        "one version, whichever group is installed"
    )


def test_every_machine_has_its_hash(locks: tuple[dict[str, dict[str, lock.Pin]], Registry]) -> None:
    torch = locks[0]["torch"]["torch"]
    for platform in ("manylinux_2_28_x86_64", "manylinux_2_42_aarch64", "macosx_14_0_arm64"):
        for python in ("3.11", "3.12"):
            assert f"torch-{platform}-{python}" in torch.hashes
    assert torch.requirement == "torch==2.13.0"  # no local label: it would refuse the other builds


def test_a_wheel_for_one_python_alone_is_asked_for_on_each(
    locks: tuple[dict[str, dict[str, lock.Pin]], Registry],
) -> None:
    asked = [arguments for arguments in locks[1].asked if "multiprocess==0.70" in arguments]
    assert {arguments[arguments.index("--python-version") + 1] for arguments in asked} == set(lock.PYTHONS)


def test_cuda_packages_are_asked_for_on_linux_only(
    locks: tuple[dict[str, dict[str, lock.Pin]], Registry],
) -> None:
    assert not any("macos" in digest for digest in locks[0]["cuda"]["triton"].hashes)
    assert any("aarch64" in digest for digest in locks[0]["cuda"]["triton"].hashes)


def test_what_is_the_same_everywhere_is_asked_for_once(
    locks: tuple[dict[str, dict[str, lock.Pin]], Registry],
) -> None:
    assert locks[0]["runtime"]["rouge-score"].hashes == {"source"}
    assert locks[0]["runtime"]["tqdm"].hashes == {"pure"}
    wheels = [arguments for arguments in locks[1].asked if "--platform" in arguments]
    assert wheels and not any({"rouge-score==0.1.2", "tqdm==4.70.1"} & set(arguments) for arguments in wheels)


def test_extras_are_locked_without_their_dependencies(
    locks: tuple[dict[str, dict[str, lock.Pin]], Registry],
) -> None:
    alone = [Path(arguments[-1]).stem for arguments in locks[1].asked if arguments[4] == "--no-deps"]
    assert alone == ["smollm2"]


def test_one_group_alone_is_locked_with_the_versions_of_the_others(tmp_path: Path) -> None:
    for name in (*lock.GROUPS, "torch", "cuda", "triton"):
        (tmp_path / f"{name}.lock").write_text(lock.render([]))
    kept = [lock.Pin("tqdm", "4.0", "", {"aa"}), lock.Pin("pip", "1", "", {"bb"})]
    (tmp_path / "runtime.lock").write_text(lock.render(kept))
    registry = Registry()
    locks = lock.lock(registry.report, ["wandb"], tmp_path)
    assert {name: sorted(pins) for name, pins in locks.items()} == {"wandb": ["pytest", "wandb"]}
    assert [Path(arguments[-1]).stem for arguments in registry.asked if "--platform" not in arguments] == [
        "wandb"
    ]
    wheels = [word for arguments in registry.asked for word in arguments if "==" in word]
    assert set(wheels) == {"pytest==9.2.0", "wandb==0.31.0"}


@pytest.mark.parametrize("name", ["runtime", "cuda", "wandb"])
def test_a_lock_is_read_as_it_was_written(name: str) -> None:
    text = (FOLDER / f"{name}.lock").read_text()
    assert lock.render(lock.parse(text).values()) == text


def test_render() -> None:
    pins = [lock.Pin("b", "2", "b.whl", {"22", "11"}), lock.Pin("a", "1", "a.whl", {"33"})]
    assert lock.render(pins).splitlines()[1:] == [
        "a==1 \\",
        "    --hash=sha256:33",
        "b==2 \\",
        "    --hash=sha256:11 \\",
        "    --hash=sha256:22",
    ]


@pytest.mark.parametrize(
    "name", ["build", "torch", "runtime", "cuda", "triton", "peft", "dev", "smollm2", "trl", "wandb", "sweep"]
)
def test_written_locks_hold_pins_with_hashes_and_nothing_else(name: str) -> None:
    text = (FOLDER / f"{name}.lock").read_text()
    pin = r"[a-z0-9-]+==[\w.]+( \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    assert re.fullmatch(rf"#[^\n]*\n({pin})+", text)


def test_cpu_wheels_are_of_the_same_torch() -> None:
    default, cpu = ((FOLDER / name).read_text() for name in ("torch.lock", "torch-cpu.lock"))
    assert re.findall(r"^torch==(\S+)\+cpu", cpu, flags=re.MULTILINE) == re.findall(
        r"^torch==(\S+)", default, flags=re.MULTILINE
    )
    hashes = [set(re.findall(r"sha256:([0-9a-f]{64})\b", text)) for text in (default, cpu)]
    assert len(hashes[1]) == 8 and not hashes[0] & hashes[1]


def test_triton_alone_is_the_one_that_torch_brings() -> None:
    alone, brought = (lock.parse((FOLDER / f"{name}.lock").read_text()) for name in ("triton", "cuda"))
    assert alone == {"triton": brought["triton"]}


def test_written_locks_meet_the_ranges() -> None:
    from py_worker.requirements.installed import read_requirements, unmet

    pins = {}
    for path in FOLDER.glob("*.lock"):
        pins.update(dict(re.findall(r"^([\w.-]+)==(\S+)", path.read_text(), flags=re.MULTILINE)))
    for path in FOLDER.glob("*.in"):
        requirements = read_requirements(path.read_text())
        assert unmet(requirements, lambda name: pins.get(lock.canonical(name))) == [], path.name
