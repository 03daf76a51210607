"""Writes the lock files beside it: ``.venv/bin/python py_worker/requirements/lock.py [GROUP …]``.

Nothing is downloaded but metadata: versions and hashes come from the reports of ``pip install --dry-run``.
One report is made for each combination of Python, processor and system library that a user may have, since
each may be offered another wheel; a lock lists the hashes of all of them. Takes about ten minutes, or one for
an optional group alone, while all other packages stay as they are locked.
Must be run by the lowest supported Python: a version that it can install, newer ones can too, and backports
needed only there are seen.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# A newer C library prefers wheels built for it, so each release that a wheel may name is a target of its own.
GLIBC_MINORS = (28, 34, 42)
MACOS_MAJORS = (14, 26)
PARALLEL = 4  # pip waits for the network most of the time
CUDA_ONLY = re.compile(r"^(nvidia-|cuda-|triton$)")

GROUPS = ("build", "runtime", "peft", "dev", "smollm2", "trl", "wandb", "sweep")
"""Files of requirements, in the order in which they are locked: the versions of one hold for the next."""
ALWAYS = ("build", "runtime")
"""Installed in every environment."""

Report = Callable[[Sequence[str]], list[dict[str, Any]]]
"""Arguments of ``pip install`` -> the ``install`` list of pip's report."""


@dataclass(frozen=True)
class Pin:
    """One package of a lock file."""

    name: str
    version: str
    file: str
    hashes: set[str] = field(default_factory=set)

    @property
    def requirement(self) -> str:
        """The pin without hashes, e.g. ``torch==2.13.0``."""
        return f"{self.name}=={self.version}"

    @property
    def one_file(self) -> bool:
        """Whether every machine gets the same file: a wheel for any Python 3, or the source."""
        return self.file.endswith("py3-none-any.whl") or not self.file.endswith(".whl")


def canonical(name: str) -> str:
    """Package name in the form in which all its spellings are equal."""
    return re.sub(r"[-_.]+", "-", name).lower()


def targets() -> list[tuple[str, list[str]]]:
    """System and arguments of pip for every machine that the lock files serve."""
    platforms = [
        ("linux", [f"manylinux_2_{minor}_{cpu}" for minor in range(newest, 4, -1)] + [f"manylinux2014_{cpu}"])
        for cpu in ("x86_64", "aarch64")
        for newest in GLIBC_MINORS
    ]
    platforms += [
        (
            "macos",
            [f"macosx_{major}_0_{cpu}" for major in range(newest, 10, -1) for cpu in ("arm64", "universal2")],
        )
        for newest in MACOS_MAJORS
    ]
    return [
        (system, [*(word for tag in tags for word in ("--platform", tag)), "--python-version", python])
        for python in PYTHONS
        for system, tags in platforms
    ]


def sha256(entry: Mapping[str, Any]) -> str:
    """Hash of the file that a report's entry would install."""
    return str(entry["download_info"]["archive_info"]["hashes"]["sha256"])


def resolve(
    report: Report, arguments: Sequence[str], locked: Mapping[str, Pin], installed: Container[str]
) -> dict[str, Pin]:
    """What ``arguments`` asks for and is not ``installed`` before, in the versions that are ``locked``."""
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "locked.txt"
        constraints.write_text("".join(f"{pin.requirement}\n" for pin in locked.values()))
        entries = report(["-c", str(constraints), "-c", str(HERE / "constraints.in"), *arguments])
    pins = {}
    for entry in entries:
        name = canonical(entry["metadata"]["name"])
        if name in installed:
            continue
        version = entry["metadata"]["version"].split("+")[0]
        file = entry["download_info"]["url"].split("/")[-1]
        pins[name] = locked.get(name, Pin(name, version, file, {sha256(entry)}))
    return pins


def add_hashes(report: Report, pins: Mapping[str, Pin]) -> None:
    """Adds to each pin the hashes of the wheels that other machines are offered."""
    wheels = {name: pin.requirement for name, pin in pins.items() if not pin.one_file}

    def ask(target: tuple[str, list[str]]) -> list[dict[str, Any]]:
        wanted = [pin for name, pin in wheels.items() if target[0] == "linux" or not CUDA_ONLY.match(name)]
        # pip asks for a folder when the target is another machine; a dry run does not create it.
        return report(
            ["--no-deps", "--only-binary=:all:", "--target", str(HERE / "dry-run"), *target[1], *wanted]
        )

    with ThreadPoolExecutor(PARALLEL) as pool:
        for entries in pool.map(ask, targets()):
            for entry in entries:
                pins[canonical(entry["metadata"]["name"])].hashes.add(sha256(entry))


def render(pins: Iterable[Pin]) -> str:
    """Text of a lock file."""
    lines = ["# Written by lock.py; do not edit."]
    for pin in sorted(pins, key=lambda pin: pin.name):
        lines.append(" \\\n    ".join([pin.requirement, *(f"--hash=sha256:{h}" for h in sorted(pin.hashes))]))
    return "\n".join(lines) + "\n"


def parse(text: str) -> dict[str, Pin]:
    """The pins of a lock file by name; which file a pin is of is not known any more."""
    pins = re.findall(r"^([\w.-]+)==([^\s\\]+)((?: \\\n    --hash=sha256:\w+)+)$", text, flags=re.MULTILINE)
    return {
        name: Pin(name, version, "", set(re.findall(r"sha256:(\w+)", hashes)))
        for name, version, hashes in pins
    }


def lock(report: Report, groups: Sequence[str] = GROUPS, folder: Path = HERE) -> dict[str, dict[str, Pin]]:
    """Lock files by name; one holds what its group needs beyond the groups that are always there.

    Args:
        report: pip.
        groups: those to lock; of the others the pins in `folder` stay, and hold for these.
        folder: with the lock files.
    """
    locks: dict[str, dict[str, Pin]] = {}
    locked: dict[str, Pin] = {}
    installed: set[str] = set()
    fresh: dict[str, Pin] = {}
    for name in GROUPS:
        if name in groups:
            alone = ["--no-deps"] if name == "smollm2" else []
            pins = resolve(report, [*alone, "-r", str(HERE / f"{name}.in")], locked, installed)
            fresh |= {key: pin for key, pin in pins.items() if key not in locked}
            locks |= _files(name, pins)
        else:
            files = [folder / f"{file}.lock" for file in _files(name, {})]
            pins = {key: pin for file in files for key, pin in parse(file.read_text()).items()}
        locked |= pins
        installed |= set(pins) if name in ALWAYS else set()
    add_hashes(report, fresh)
    return locks


def _files(group: str, pins: Mapping[str, Pin]) -> dict[str, dict[str, Pin]]:
    """The lock files of a group: one, or four for the group with torch."""
    own = {key: pin for key, pin in pins.items() if not CUDA_ONLY.match(key)}
    if group != "runtime":
        return {group: own}
    # Torch alone, since a machine may be offered a CPU-only build (torch-cpu.lock) in its place.
    return {
        "runtime": {key: pin for key, pin in own.items() if key != "torch"},
        "torch": {key: pin for key, pin in own.items() if key == "torch"},
        "cuda": {key: pin for key, pin in pins.items() if CUDA_ONLY.match(key)},
        # Also alone: the tests of kernels want it beside a CPU-only build, which does not bring it.
        "triton": {key: pin for key, pin in pins.items() if key == "triton"},
    }


def pip_report(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Asks pip, with the default registry alone: no find-links, mirrors or other settings of this machine."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("PIP_") or key == "PIP_CERT"
    }
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    # fast-deps reads only parts of a wheel where the registry does not serve its metadata apart.
    command += ["--quiet", "--use-feature=fast-deps"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"  # on standard output pip would colour it, which takes 15 s
        subprocess.run(
            [*command, "--report", str(file), *arguments],
            env={**environment, "PIP_CONFIG_FILE": os.devnull},
            check=True,
        )
        return list(json.loads(file.read_text())["install"])


def main(groups: Sequence[str]) -> None:
    """Resolves all groups, or those named, then writes their lock files."""
    if "{}.{}".format(*sys.version_info) != PYTHONS[0]:
        sys.exit(f"lock.py must be run by Python {PYTHONS[0]}, the lowest that is supported")
    if unknown := set(groups) - set(GROUPS):
        known = f"there are {', '.join(GROUPS)} (torch, cuda and triton are of runtime)"
        sys.exit(f"no groups of packages: {', '.join(sorted(unknown))}; {known}")
    for name, pins in lock(pip_report, groups or GROUPS).items():
        (HERE / f"{name}.lock").write_text(render(pins.values()))
        print(f"{name}.lock: {len(pins)} packages, {sum(len(pin.hashes) for pin in pins.values())} hashes")


if __name__ == "__main__":
    main(sys.argv[1:])
