import subprocess
import sys
from pathlib import Path

from py_worker.requirements import installed

LOCK = "nvidia-nccl-cu13==2.29.7 \\\n    --hash=sha256:00\ntriton==3.7.1 \\\n    --hash=sha256:11\n"


def test_unmet_names_what_is_missing_or_out_of_range() -> None:
    requirements = installed.read_requirements("# comment\ntorch>=2.11  # why\nnumpy>=2\n\nabsent\n")
    versions = {"torch": "2.9.0", "numpy": "2.4.6"}
    assert installed.unmet(requirements, versions.get) == [
        "torch>=2.11 (2.9.0 is installed)",
        "absent (not installed)",
    ]


def test_local_and_pre_release_versions_count() -> None:
    requirements = installed.read_requirements("torch>=2.11")
    assert installed.unmet(requirements, {"torch": "2.13.0+cpu"}.get) == []
    assert installed.unmet(requirements, {"torch": "2.14.0.dev20260101"}.get) == []


def test_a_cuda_build_of_torch_wants_what_the_lock_has() -> None:
    requires = [
        "filelock",
        'nvidia-nccl-cu13==2.29.7; python_version >= "3"',
        'triton==3.7.1; python_version < "3"',
        'optree; extra == "optree"',
    ]
    assert installed.wanted_of(requires, LOCK) == ["nvidia-nccl-cu13"]
    assert installed.wanted_of(["filelock", "sympy>=1.13"], LOCK) == []


def test_command_line(tmp_path: Path) -> None:
    wanted = tmp_path / "some.in"
    wanted.write_text("packaging\nno-such-package-of-ours>=1\n")
    assert run("unmet", wanted) == "no-such-package-of-ours>=1 (not installed)\n"
    pins = tmp_path / "some.lock"
    pins.write_text("filelock==1 \\\n    --hash=sha256:00\n")
    assert run("torch-wants", pins) == "filelock\n"
    assert installed.installed_version("no-such-package-of-ours") is None


def run(*arguments: str | Path) -> str:
    return subprocess.run(
        [sys.executable, str(installed.__file__), *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_command_line_in_this_process(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    wanted = tmp_path / "some.in"
    wanted.write_text("no-such-package-of-ours\n")
    installed.main("unmet", str(wanted))
    assert capsys.readouterr().out == "no-such-package-of-ours (not installed)\n"
