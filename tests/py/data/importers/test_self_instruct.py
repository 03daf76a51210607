from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from py_worker.data.errors import DataError
from tests.py.data.importers.scene import counts_of, do_import, jsonl, real, rows_of

PUBLISHED = [
    {
        "id": "task_0",
        "motivation_app": "Mail",
        "instruction": "Rewrite.",
        "instances": [{"input": "a b", "output": "b"}],
    },
    {
        "id": "task_1",
        "motivation_app": "Sheets",
        "instruction": "Add.",
        "instances": [{"input": "1 2", "output": "3"}, {"input": "", "output": "4"}],
    },
]
EXPECTED = [
    {"id": "task_0", "instruction": "Rewrite.", "input": "a b", "output": ["b"]},
    {"id": "task_1", "instruction": "Add.", "input": "1 2", "output": ["3"]},
    {"id": "task_1-1", "instruction": "Add.", "input": "", "output": ["4"]},
]


def test_instances_become_rows(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "user_oriented_instructions.jsonl", PUBLISHED)
    imported = do_import("self_instruct", source, tmp_path / "out")
    assert rows_of(tmp_path / "out", "test") == EXPECTED
    assert "expected 252 instructions and found 2" in imported.notes[0]


def test_parquet_may_have_an_object_of_lists(tmp_path: Path) -> None:
    """The hub's converted files have instances that way."""
    columns = [
        {
            **row,
            "instances": {
                key: [instance[key] for instance in row["instances"]] for key in ("input", "output")
            },
        }
        for row in PUBLISHED
    ]
    path = tmp_path / "human_eval" / "train.parquet"
    path.parent.mkdir()
    pq.write_table(pa.Table.from_pylist(columns), path)
    do_import("self_instruct", str(path), tmp_path / "out")
    assert rows_of(tmp_path / "out", "test") == EXPECTED


def test_our_own_columns_are_read_too(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "eval.jsonl", EXPECTED)
    do_import("self_instruct", source, tmp_path / "out")
    assert rows_of(tmp_path / "out", "test") == EXPECTED


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "x", "instances": []}, "line 1: expected text as instruction, found nothing of that name"),
        ({"instruction": "x", "instances": "y"}, "line 1: expected a list as instances, found str"),
        (
            {"instruction": "x", "instances": {"input": ["a"], "output": []}},
            "lists of one length in instances",
        ),
        ({"instruction": "x", "instances": [{"input": "a"}]}, r"instances\[0\]: expected the columns"),
        ({"instruction": "x", "instances": [4]}, r"instances\[0\]: expected an object with named fields"),
        ({"question": "x"}, "expected the columns instruction, output; there is question"),
    ],
)
def test_rows_of_another_shape_are_named(tmp_path: Path, row: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        do_import("self_instruct", jsonl(tmp_path / "rows.jsonl", [row]), tmp_path / "out")


def test_the_real_rows(tmp_path: Path) -> None:
    imported = do_import("self_instruct", real("self_instruct_eval.jsonl"), tmp_path / "out")
    assert counts_of(imported) == {"test": 252}
    assert imported.notes == ()
