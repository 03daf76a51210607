from pathlib import Path

import pytest

from py_worker.data.errors import DataError
from py_worker.data.records import Record
from py_worker.data.sources import DataSource, read_records

FIXTURES = Path(__file__).parents[2] / "fixtures" / "data"


def fixture(name: str) -> str:
    return str(FIXTURES / name)


def test_instruction_files() -> None:
    rows = read_records(DataSource(fixture("instructions.jsonl"))).rows
    assert rows[0] == Record("Which of these grows on trees? Pear or Peat", "", ("Pear",))
    assert rows[5].outputs == ("night", "right")
    assert read_records(DataSource(fixture("with_input.jsonl"))).rows[1].input == "Good morning"
    assert [row.group for row in read_records(DataSource(fixture("unanswered.jsonl"))).rows] == [
        "generic",
        "math",
        "generic",
    ]


def test_other_columns() -> None:
    questions = DataSource(fixture("questions.jsonl"), fields={"instruction": "question", "output": "answer"})
    assert read_records(questions).rows[0] == Record("Is a whale a fish?", "", ("no",))
    pairs = DataSource(
        fixture("pairs.json"), fields={"instruction": "translation.de", "output": "translation.en"}
    )
    assert read_records(pairs).rows[1] == Record("Es schneit.", "", ("It is snowing.",))


def test_limit_takes_the_first_rows_after_the_split() -> None:
    everything = read_records(DataSource(fixture("instructions.jsonl"), validation_fraction=0.4)).rows
    assert (
        read_records(DataSource(fixture("instructions.jsonl"), validation_fraction=0.4, limit=2)).rows
        == (everything[:2])
    )


def test_nothing_behind_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{oops\n{"instruction": "a", "output": "b"}\n{oops\n')
    records = read_records(DataSource(str(path), limit=1, skip_bad_lines=True))
    assert (len(records.rows), records.bad_lines) == (1, 1)


def test_microtasks_with_their_own_sizes() -> None:
    assert len(read_records(DataSource("builtin:microtasks", split="seen")).rows) == 500
    train = DataSource("builtin:microtasks", limit=30, seed=4)
    assert read_records(train).rows == read_records(train).rows
    assert len(read_records(train).rows) == 30


def test_bad_rows_are_named_or_counted(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"instruction": "a", "output": "b"}\n{"instruction": 1, "output": "b"}\n{oops\n')
    with pytest.raises(DataError, match=r"data.jsonl, line 2: instruction is a number"):
        read_records(DataSource(str(path)))
    records = read_records(DataSource(str(path), skip_bad_lines=True))
    assert (len(records.rows), records.bad_lines) == (1, 2)


def test_a_source_without_rows_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text("{oops\n")
    with pytest.raises(DataError, match=r"the split 'train' has no rows \(1 bad lines skipped\)"):
        read_records(DataSource(str(path), skip_bad_lines=True))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (DataSource("builtin:poems"), "no built-in data 'builtin:poems'; there is builtin:microtasks"),
        (DataSource("builtin:microtasks", validation_fraction=0.1), "has its own splits"),
        (DataSource("builtin:microtasks", fields={"input": "x"}), "has its own splits and columns"),
        (DataSource("no/such/file"), "neither builtin:microtasks, nor a file ending in .jsonl"),
        (DataSource("./data"), "nor a hub dataset named owner/name"),
        (DataSource("missing.jsonl"), "missing.jsonl: no such file"),
        (DataSource("x.jsonl", fields={"answer": "output"}), "fields: unknown name 'answer'"),
        (DataSource(fixture("instructions.jsonl"), split="test"), "has no split 'test'"),
        (DataSource(str(FIXTURES)), "unknown kind of data file"),
    ],
)
def test_sources_that_cannot_be_read(source: DataSource, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_records(source)
