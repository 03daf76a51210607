import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from py_worker.data.char_tokenizer import char_tokenizer
from py_worker.data.encoding import Limits, encode
from py_worker.data.errors import DataError
from py_worker.data.sources import DataSource, read_records
from py_worker.data.templates import bound_template
from tests.py.data.fake_hub import FakeHub
from tests.py.data.importers.scene import counts_of, do_import, jsonl, rows_of

TEXTS = ["  A first text.\n\nWith two paragraphs.\n", "alone", "", "Second  text"]


def test_the_template_puts_a_document_together_again(tmp_path: Path) -> None:
    imported = do_import(
        "openwebtext", jsonl(tmp_path / "w.jsonl", [{"text": t} for t in TEXTS]), tmp_path / "out"
    )
    assert counts_of(imported) == {"train": 2}
    assert imported.dropped == {"under two words": 2}
    assert rows_of(tmp_path / "out", "train")[1] == {
        "id": "3",
        "instruction": "Second",
        "input": "",
        "output": ["  text"],
    }
    tokenizer = char_tokenizer()
    records = read_records(DataSource(str(tmp_path / "out" / "train.jsonl"))).rows
    rows = list(encode(records, bound_template("text", tokenizer), Limits(8, 200)))
    assert [tokenizer.decode([*row.prompt, *row.response[:-1]]) for row in rows] == [
        "A first text.\n\nWith two paragraphs.",
        "Second  text",
    ]


def test_a_long_document_is_cut_beyond_what_a_run_takes(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "w.jsonl", [{"text": "word " * 5_000}])
    do_import("openwebtext", source, tmp_path / "out")
    [row] = rows_of(tmp_path / "out", "train")
    assert len(row["instruction"] + row["output"][0]) == 8_000


def test_files_beyond_the_limit_are_not_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": ["one two", "three four", "five six"]}), buffer)
    files = {f"data/train-0000{number}-of-00003.parquet": buffer.getvalue() for number in range(3)}
    hub = FakeHub("Skylion007/openwebtext", tmp_path / "hub", {None: files})
    hub.replace_hub(monkeypatch)
    imported = do_import("openwebtext", None, tmp_path / "out", limit=4)
    assert counts_of(imported) == {"train": 4}
    assert hub.fetched == ["data/train-00000-of-00003.parquet", "data/train-00001-of-00003.parquet"]


def test_rows_without_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1: expected text as text, found nothing of that name"):
        do_import("openwebtext", jsonl(tmp_path / "w.jsonl", [{"content": "a b"}]), tmp_path / "out")
