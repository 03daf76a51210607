"""Injects one mistake at a time into a copy of the sources and asks the tests whether they see it.

    npm run mutations                      all of them
    npm run mutations -- "beta" "replay"   those with one of these words in their name

The mistakes are data: `*.toml` beside this file, each an exact text and what to put in its place. A text that
is not there once is an error, as is a mutant whose tests do not even run: the list follows the sources or
fails. The outcome is a Markdown table; the exit status is 1 when a mutant survives, 2 on an error.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LINKED = ("node_modules", ".venv")
TIMEOUT_S = 600
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
# Python's tests run in forks of a process that has imported these once: seconds saved for each mutant.
PRELOADED = ["hypothesis", "pytest", "torch", "transformers"]
FORKS = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Mutant:
    """One mistake.

    Attributes:
        name: what is wrong, in a few words.
        file: which source file, from the root.
        old: a text that it has exactly once.
        new: what stands there instead.
        tests: the test files of which one must fail, all of one language.
        seen: where others made it; empty for our own.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    seen: str = ""

    def mutated(self, root: Path) -> str:
        """Text of the file with the mistake.

        Raises:
            MutationError: the text to replace is not there once, or nothing would change.
        """
        text = (root / self.file).read_text()
        if text.count(self.old) != 1 or self.old == self.new:
            raise MutationError(
                f"{self.name}: {self.file} has the text to replace {text.count(self.old)} times, not once; "
                f"bring the list in {HERE.relative_to(ROOT)} up to date:\n{self.old}"
            )
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Absent:
    """A mistake that others made and that has no place here."""

    name: str
    seen: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """What the tests said of a mutant."""

    mutant: Mutant
    failed: tuple[str, ...]
    seconds: float

    @property
    def answer(self) -> str:
        """The first test that failed."""
        return f"`{short(self.failed[0])}`" if self.failed else "**none: it survives**"


class MutationError(Exception):
    """The list or a mutant is wrong; nothing is known of the tests."""


def read_list(folder: Path = HERE) -> tuple[list[Mutant], list[Absent]]:
    """All mutants, and the mistakes that cannot occur, in the order of the files."""
    tables: list[dict[str, Any]] = [tomllib.loads(path.read_text()) for path in sorted(folder.glob("*.toml"))]
    mutants = [Mutant(**{**row, "tests": tuple(row["tests"])}) for t in tables for row in t.get("mutant", [])]
    return mutants, [Absent(**row) for t in tables for row in t.get("absent", [])]


def copy_sources(target: Path) -> None:
    """The working tree without what git ignores; environments are linked, not copied."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    for name in LINKED:
        if (ROOT / name).exists():
            (target / name).symlink_to(ROOT / name)


def run_tests(root: Path, tests: Sequence[str], *, all_of_them: bool = False) -> tuple[str, ...]:
    """Names of the tests that failed; of Python's the first one alone, unless all are asked for.

    Raises:
        MutationError: the tests did not run.
    """
    python = [test for test in tests if test.endswith(".py")]
    jest = [test for test in tests if not test.endswith(".py")]
    missing = [test for test in tests if not (root / test).is_file()]
    if missing:
        raise MutationError(f"no such test file: {', '.join(missing)}")
    failed = _pytest(root, python, all_of_them) if python else ()
    return failed + (_jest(root, jest) if jest else ())


def _pytest(root: Path, tests: Sequence[str], all_of_them: bool) -> tuple[str, ...]:
    log = root / "pytest.log"
    options = ["-q", "-rf", "--no-header", "--tb=line", "-p", "no:cacheprovider"]
    arguments = [*options, *([] if all_of_them else ["-x"]), *tests]
    child = FORKS.Process(target=_pytest_child, args=(root, arguments, log))
    child.start()
    child.join(TIMEOUT_S)
    if child.exitcode is None:
        child.kill()
        raise MutationError(f"no end after {TIMEOUT_S} s: {' '.join(tests)}")
    said = log.read_text()
    failed = tuple(re.findall(r"^FAILED (\S+?)(?: - .*)?$", said, flags=re.MULTILINE))
    if child.exitcode not in (0, 1) or (child.exitcode == 1) != bool(failed):
        raise MutationError(f"pytest did not run ({child.exitcode}):\n{said[-5000:]}")
    return failed


def _pytest_child(root: Path, arguments: list[str], log: Path) -> None:
    """Runs in a process of its own, which may have the heavy libraries but none of our modules."""
    with log.open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.chdir(root)
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != ROOT]
    # Two mutants of one file within a second, of one size, would share their byte code.
    sys.dont_write_bytecode = True
    import pytest

    sys.exit(pytest.main(arguments))


def _jest(root: Path, tests: Sequence[str]) -> tuple[str, ...]:
    report = root / "jest-report.json"
    report.unlink(missing_ok=True)
    program = ["node", "--experimental-vm-modules", "--no-warnings", "node_modules/jest/bin/jest.js"]
    command = [*program, "--json", f"--outputFile={report}", "--runTestsByPath", *tests]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise MutationError(f"no end after {TIMEOUT_S} s: {' '.join(tests)}") from error
    if not report.is_file():
        raise MutationError(f"jest did not run ({done.returncode}):\n{done.stderr[-3000:]}")
    suites = json.loads(report.read_text())["testResults"]
    cases = [(suite["name"], case) for suite in suites for case in suite["assertionResults"]]
    failed = tuple(
        f"{Path(name).resolve().relative_to(root.resolve())}::{case['fullName']}"
        for name, case in cases
        if case["status"] == "failed"
    )
    if not failed and done.returncode != 0:
        raise MutationError(f"jest did not run ({done.returncode}):\n{done.stderr[-3000:]}")
    return failed


def judge(root: Path, mutant: Mutant) -> Verdict:
    """Injects a mutant, runs its tests, and puts the file back."""
    path = root / mutant.file
    original, text = path.read_text(), mutant.mutated(root)
    started = time.monotonic()
    try:
        path.write_text(text)
        failed = run_tests(root, mutant.tests)
    except MutationError as error:
        raise MutationError(f"{mutant.name}: {error}") from error
    finally:
        path.write_text(original)
    return Verdict(mutant, failed, time.monotonic() - started)


def table(verdicts: Iterable[Verdict], absent: Iterable[Absent]) -> str:
    """The outcome in Markdown."""
    rows = [
        f"| {v.mutant.name} | {v.mutant.seen or 'ours'} | `{v.mutant.file}` | {v.answer} | {v.seconds:.0f} |"
        for v in verdicts
    ]
    rows += [f"| {a.name} | {a.seen} | — | not here: {a.reason} | |" for a in absent]
    head = ["| mistake | seen in | file | test that fails | s |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def short(test: str) -> str:
    """`tests/py/losses/test_x.py::test_y[a]` as `losses/test_x.py: test_y[a]`."""
    path, _, name = test.partition("::")
    return f"{path.removeprefix('tests/py/').removeprefix('tests/ts/')}: {name}"


def main(words: Sequence[str]) -> int:
    """Entry point; see the module's description."""
    mutants, absent = read_list()
    chosen = [m for m in mutants if not words or any(word in m.name for word in words)]
    if not chosen:
        raise MutationError(f"no mutant has {' or '.join(words)} in its name")
    for mutant in mutants:
        mutant.mutated(ROOT)
    os.environ.update(ENVIRONMENT)
    FORKS.set_forkserver_preload(PRELOADED)
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="ammd-mutations-") as folder:
        root = Path(folder)
        copy_sources(root)
        tests = sorted({test for mutant in chosen for test in mutant.tests})
        print(f"{len(chosen)} mutants, {len(tests)} test files; first without a mistake", file=sys.stderr)
        if broken := run_tests(root, tests, all_of_them=True):
            raise MutationError("tests fail without a mistake: " + ", ".join(broken))
        for number, mutant in enumerate(chosen, 1):
            verdict = judge(root, mutant)
            verdicts.append(verdict)
            print(f"{number}/{len(chosen)} {mutant.name}: {verdict.answer}", file=sys.stderr)
    print(table(verdicts, [] if words else absent))
    survivors = [verdict.mutant.name for verdict in verdicts if not verdict.failed]
    print(f"\n{len(verdicts) - len(survivors)} of {len(verdicts)} mutants are seen by the tests.")
    return 1 if survivors else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except MutationError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
