"""The list of mutants follows the sources, and the script that injects them tells what it saw."""

from pathlib import Path

import pytest

from tests.mutations.run import ROOT, Absent, Mutant, MutationError, Verdict, judge, read_list, table

MUTANTS, ABSENT = read_list()


def test_each_mistake_can_be_made_and_names_tests_that_are_there():
    for row in MUTANTS:
        assert row.mutated(ROOT) != (ROOT / row.file).read_text(), row.name
        assert row.tests and all((ROOT / test).is_file() for test in row.tests), row.name


def test_each_mistake_has_a_name_of_its_own():
    names = [row.name for row in (*MUTANTS, *ABSENT)]
    assert len(set(names)) == len(names)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "sum.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "test_sum.py").write_text(
        "from sum import add\ndef test_ones():\n    assert add(1, 1) == 2\n"
        "def test_twos():\n    assert add(2, 2) == 4\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    return tmp_path


def mutant(old: str, new: str) -> Mutant:
    return Mutant("sum", "sum.py", old, new, ("test_sum.py",))


@pytest.mark.parametrize(
    ("new", "failed"),
    [("a - b", ("test_sum.py::test_ones",)), ("a + b - (a > 1)", ("test_sum.py::test_twos",)), ("b + a", ())],
)
def test_what_fails_and_what_survives(project, new, failed):
    before = (project / "sum.py").read_text()
    assert judge(project, mutant("a + b", new)).failed == failed
    assert (project / "sum.py").read_text() == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a + c", "a - c", "0 times, not once"),
        ("a", "c", "3 times, not once"),
        ("a + b", "a + b", "1 times, not once"),
        ("a + b", "a + (b", "sum: pytest did not run"),
    ],
)
def test_a_mutant_that_is_none_is_an_error(project, old, new, message):
    with pytest.raises(MutationError, match=message):
        judge(project, mutant(old, new))


def test_the_outcome_as_a_table():
    seen, survivor = (
        Mutant(name, "py_worker/x.py", "a", "b", (), seen) for name, seen in (("A", "TRL"), ("B", ""))
    )
    failed = ("tests/py/losses/test_x.py::test_y[a]", "tests/py/losses/test_x.py::test_z")
    verdicts = [Verdict(seen, failed, 3.2), Verdict(survivor, (), 1.0)]
    assert table(verdicts, [Absent("C", "verl", "none is taken")]).splitlines()[2:] == [
        "| A | TRL | `py_worker/x.py` | `losses/test_x.py: test_y[a]` | 3 |",
        "| B | ours | `py_worker/x.py` | **none: it survives** | 1 |",
        "| C | verl | — | not here: none is taken | |",
    ]
