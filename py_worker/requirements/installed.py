"""Compares the packages of the Python that runs this file with requirement files.

``installed.py unmet FILE.in …`` prints one line for each requirement that is not met.
``installed.py torch-wants FILE.lock`` prints those packages of the lock that the installed torch asks for.
A CPU build of torch asks for none.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

try:
    from packaging.requirements import Requirement
except ModuleNotFoundError:  # pragma: no cover - packaging comes with transformers
    sys.exit("packaging is not installed")


def installed_version(name: str) -> str | None:
    """Version of an installed package, None when it is not there."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def read_requirements(text: str) -> list[Requirement]:
    """Requirements of an ``.in`` file."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


def unmet(requirements: Iterable[Requirement], version_of: Callable[[str], str | None]) -> list[str]:
    """One line for each requirement that the installed packages do not meet."""
    lines = []
    for requirement in requirements:
        version = version_of(requirement.name)
        if version is None:
            lines.append(f"{requirement} (not installed)")
        elif not requirement.specifier.contains(version, prereleases=True):
            lines.append(f"{requirement} ({version} is installed)")
    return lines


def wanted_of(requires: Iterable[str], lock: str) -> list[str]:
    """Requirements of a package that hold on this machine and are pinned in ``lock``."""
    pinned = set(re.findall(r"^([\w.-]+)==", lock, flags=re.MULTILINE))
    parsed = (Requirement(text) for text in requires)
    return [
        r.name for r in parsed if r.name in pinned and (r.marker is None or r.marker.evaluate({"extra": ""}))
    ]


def main(command: str, *files: str) -> None:
    """Entry point; see the module's description."""
    texts = [Path(file).read_text() for file in files]
    if command == "unmet":
        lines = [line for text in texts for line in unmet(read_requirements(text), installed_version)]
    else:
        lines = wanted_of(importlib.metadata.requires("torch") or [], "\n".join(texts))
    for line in lines:
        print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
