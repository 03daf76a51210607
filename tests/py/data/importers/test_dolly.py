import json
from pathlib import Path

import pytest

from py_worker.data.errors import DataError
from py_worker.data.sources import DataSource, read_records
from tests.py.data.fake_hub import FakeHub
from tests.py.data.importers.scene import counts_of, do_import, dolly_rows, jsonl, real, rows_of

ROWS = 1_520


def test_the_published_columns_become_ours(tmp_path: Path) -> None:
    imported = do_import("dolly", jsonl(tmp_path / "dolly.jsonl", dolly_rows(ROWS)), tmp_path / "out")
    assert counts_of(imported) == {"train": 20, "validation": 1_000, "test": 500}
    assert imported.notes == (
        "dolly.jsonl differs from databricks/databricks-dolly-15k: expected 15,011 rows and found 1,520",
    )
    rows = [row for split in ("train", "validation", "test") for row in rows_of(tmp_path / "out", split)]
    assert sorted(int(row["id"]) for row in rows) == list(range(ROWS))
    row = next(row for row in rows if row["id"] == "3")
    assert row == {
        "id": "3",
        "instruction": "What is 3?",
        "input": "A passage about 3.",
        "output": ["It is 3 — one of the natural numbers."],
        "category": "closed_qa",
    }
    records = read_records(DataSource(str(tmp_path / "out" / "test.jsonl"))).rows
    assert len(records) == 500
    assert {record.group for record in records} == {"closed_qa", "open_qa"}


def test_a_seed_gives_the_same_bytes_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    rows = [{**row, "id": number} for number, row in enumerate(dolly_rows(ROWS))]
    source = jsonl(tmp_path / "dolly.jsonl", rows)
    turned = jsonl(tmp_path / "turned.jsonl", rows[::-1])
    first = do_import("dolly", source, tmp_path / "first")
    assert do_import("dolly", source, tmp_path / "again") == first
    other = do_import("dolly", source, tmp_path / "other", seed=1)
    assert other.splits["test"].sha256 != first.splits["test"].sha256
    do_import("dolly", turned, tmp_path / "third")
    for split in ("train", "validation", "test"):
        ids = [{row["id"] for row in rows_of(tmp_path / name, split)} for name in ("first", "third")]
        assert ids[0] == ids[1]


def test_a_question_is_on_one_side_only(tmp_path: Path) -> None:
    """Each question comes seven times, and neither 500 nor 1,500 is a multiple: both borders part one."""
    rows = [row for row in dolly_rows(300) for _ in range(7)]
    imported = do_import("dolly", jsonl(tmp_path / "dolly.jsonl", rows), tmp_path / "out")
    test, validation, train = (
        {row["instruction"] for row in rows_of(tmp_path / "out", split)}
        for split in ("test", "validation", "train")
    )
    assert not test & validation
    assert not (test | validation) & train
    assert counts_of(imported)["test"] == 500
    # 71 whole questions and 3 rows, so 4 are left out; 1,500 is 214 whole ones and 2 rows, so 5.
    assert imported.dropped == {"question of a test or validation row": 4 + 5}
    assert sum(counts_of(imported).values()) == 2_100 - 9


def test_rows_without_a_response_are_left_out(tmp_path: Path) -> None:
    rows = [*dolly_rows(ROWS), {"instruction": "What?", "context": "", "response": " ", "category": "x"}]
    imported = do_import("dolly", jsonl(tmp_path / "dolly.jsonl", rows), tmp_path / "out")
    assert imported.dropped == {"no response": 1}
    assert sum(counts_of(imported).values()) == ROWS


def test_the_reference_scripts_own_split(tmp_path: Path) -> None:
    """`raw.jsonl`, whose first 1,000 rows are for validation, and `valid.jsonl`."""
    raw = [{"instruction": f"a{n}", "input": "", "output": "b"} for n in range(1_003)]
    jsonl(tmp_path / "dolly" / "raw.jsonl", raw)
    jsonl(tmp_path / "dolly" / "valid.jsonl", [{"prompt": "…", "instruction": "t", "output": ["u", "v"]}])
    imported = do_import("dolly", str(tmp_path / "dolly"), tmp_path / "out", seed=7)
    assert counts_of(imported) == {"train": 3, "validation": 1_000, "test": 1}
    assert [row["instruction"] for row in rows_of(tmp_path / "out", "train")] == ["a1000", "a1001", "a1002"]
    assert rows_of(tmp_path / "out", "test")[0]["output"] == ["u", "v"]


def test_the_reference_scripts_own_split_on_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = b'{"instruction": "a", "input": "", "output": "b"}\n'
    files = {"raw.jsonl": row * 1_001, "valid.jsonl": row * 2, "valid.txt": b""}
    FakeHub("MiniLLM/dolly", tmp_path / "hub", {None: files}).replace_hub(monkeypatch)
    imported = do_import("dolly", "MiniLLM/dolly", tmp_path / "out")
    assert counts_of(imported) == {"train": 1, "validation": 1_000, "test": 2}
    assert "MiniLLM/dolly differs from databricks/databricks-dolly-15k" in imported.notes[0]


def test_the_hub_dataset_must_be_what_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    content = "".join(f"{json.dumps(row)}\n" for row in dolly_rows(15_011)).encode()
    name = "databricks/databricks-dolly-15k"
    hub = FakeHub(name, tmp_path / "hub", {None: {"databricks-dolly-15k.jsonl": content, "README.md": b""}})
    hub.replace_hub(monkeypatch)
    imported = do_import("dolly", None, tmp_path / "out")
    assert counts_of(imported) == {"train": 13_511, "validation": 1_000, "test": 500}
    assert imported.notes == ()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["source"]["commit"] == "at-None"

    hub.commits["at-None"] = {"databricks-dolly-15k.jsonl": content[: content.rindex(b"{")]}
    with pytest.raises(DataError, match=r"expected 15,011 rows and found 15,010.*download its files"):
        do_import("dolly", name, tmp_path / "second")
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"instruction": "a", "response": "b"},
            r"line 1: expected the columns instruction, context, response, or",
        ),
        ({"instruction": "a", "context": 1, "response": "b"}, "line 1: input is a number"),
        ({"instruction": "", "context": "", "response": "b"}, "line 1: the instruction is empty"),
        ("text", "line 1: expected an object with named fields"),
    ],
)
def test_rows_of_another_shape_are_named(tmp_path: Path, row: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        do_import("dolly", jsonl(tmp_path / "dolly.jsonl", [row]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_few_rows_for_the_splits(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1500 rows; 500 are for test and 1000 for validation"):
        do_import("dolly", jsonl(tmp_path / "dolly.jsonl", dolly_rows(1_500)), tmp_path / "out")


def test_the_real_rows_without_context(tmp_path: Path) -> None:
    imported = do_import("dolly", real("dolly_6400_no_context.jsonl"), tmp_path / "out")
    assert counts_of(imported) == {"train": 4_900, "validation": 1_000, "test": 500}
    assert "expected 15,011 rows and found 6,400" in imported.notes[0]
