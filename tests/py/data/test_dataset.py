from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from py_worker.data import dataset as module
from py_worker.data import encoding
from py_worker.data.batch import collate
from py_worker.data.char_tokenizer import char_tokenizer
from py_worker.data.dataset import TokenizedDataset, hash_records, tokenize_dataset
from py_worker.data.encoding import Limits, encode
from py_worker.data.errors import DataError
from py_worker.data.records import Message, Record
from py_worker.data.row import Row
from py_worker.data.sources import DataSource, Records, read_records
from py_worker.data.templates import bound_template
from tests.py.data.tokenizers import bpe_tokenizer

CHAR = char_tokenizer()
LIMITS = Limits(16, 24)
ROWS = (
    Record("say", "é", ("é", "accent"), "words"),
    Record("none", "", (), "open"),
    Record("empty", "", ("",)),
    Record("a prompt that is too long", "", ("x",), "words"),
    Record("long", "", ("twenty characters...",), "words"),
)


def build(folder: Path, rows: tuple[Record, ...] = ROWS, limits: Limits = LIMITS) -> TokenizedDataset:
    return tokenize_dataset(Records(rows, 3), bound_template("plain", CHAR), limits, folder)


def test_rows_are_the_encoded_records(tmp_path: Path) -> None:
    dataset = build(tmp_path)
    assert len(dataset) == 5
    for index, expected in enumerate(encode(ROWS, bound_template("plain", CHAR), LIMITS)):
        row = dataset.row(index)
        assert row.prompt.dtype == row.response.dtype == np.int32
        assert row.prompt.tolist() == expected.prompt
        assert row.response.tolist() == expected.response
        assert row.has_eos is expected.has_eos


def test_references_groups_and_counts(tmp_path: Path) -> None:
    dataset = build(tmp_path)
    assert [dataset.references(i) for i in range(5)] == [row.outputs for row in ROWS]
    assert dataset.groups() == {"open": 1, "words": 3}
    assert (dataset.bad_lines, dataset.unanswered, dataset.cut_prompts, dataset.cut_responses) == (3, 1, 1, 1)
    assert dataset.prompt_tokens == sum(len(dataset.row(i).prompt) for i in range(5))
    assert dataset.response_tokens == sum(len(dataset.row(i).response) for i in range(5))
    rows = [dataset.row(i) for i in range(5)]
    assert dataset.lengths().tolist() == [[len(row.prompt), len(row.response)] for row in rows]


def test_rows_with_long_prompts_are_left_out_where_that_is_wanted(tmp_path: Path) -> None:
    limits = replace(LIMITS, drop_long_prompts=True)
    dataset = build(tmp_path, limits=limits)
    kept = (*ROWS[:3], ROWS[4])
    assert (len(dataset), dataset.dropped_prompts, dataset.cut_prompts) == (4, 1, 0)
    assert [dataset.references(i) for i in range(4)] == [row.outputs for row in kept]
    assert dataset.groups() == {"open": 1, "words": 2}
    # They are the same data as rows that never had a longer one, and other data than all rows.
    assert dataset.content_hash == build(tmp_path, kept).content_hash != build(tmp_path).content_hash
    assert build(tmp_path).dropped_prompts == 0
    with pytest.raises(DataError, match="all 1 prompts are over 16 tokens; raise max_prompt_tokens"):
        build(tmp_path, ROWS[3:4], limits)


def test_where_no_row_can_be_shown_the_first_says_why(tmp_path: Path) -> None:
    talk = replace(ROWS[0], history=(Message("user", "f"),), place="chats.jsonl, line 7")
    refused = Records((talk, talk), 0, skips=True)
    with pytest.raises(DataError, match=r"^chats\.jsonl, line 7: a conversation has messages before"):
        tokenize_dataset(refused, bound_template("plain", CHAR), LIMITS, tmp_path)
    some = tokenize_dataset(
        replace(refused, rows=(talk, ROWS[1])), bound_template("plain", CHAR), LIMITS, tmp_path
    )
    assert (len(some), some.bad_lines) == (1, 1)


def test_a_token_that_the_model_does_not_know_is_named_by_its_row(tmp_path: Path) -> None:
    dataset = build(tmp_path, (*ROWS[1:4], Record("z", "", ("z~",)), ROWS[0]))
    (largest,) = CHAR("~", add_special_tokens=False).input_ids
    dataset.require_below(largest + 1)
    with pytest.raises(
        DataError, match=rf"^row 3 .* token id {largest}, and the model knows {largest} tokens"
    ):
        dataset.require_below(largest)
    build(tmp_path, ()).require_below(1)


@pytest.mark.parametrize("index", [-1, 5])
def test_rows_outside_are_refused(tmp_path: Path, index: int) -> None:
    dataset = build(tmp_path)
    for read in (dataset.row, dataset.references):
        with pytest.raises(IndexError, match=f"row {index} of a dataset of 5 rows"):
            read(index)


def test_a_source_without_references_can_be_cached(tmp_path: Path) -> None:
    dataset = build(tmp_path, (Record("a", "", ()), Record("b", "", ())))
    assert dataset.references(1) == ()
    assert (dataset.response_tokens, dataset.groups()) == (0, {})


def test_tokenized_once_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    original = module.encode

    def counted(*args: Any, **options: Any) -> Any:
        calls.append("call")
        return original(*args, **options)

    monkeypatch.setattr(module, "encode", counted)
    build(tmp_path)
    build(tmp_path)
    assert len(calls) == 1
    build(tmp_path, ROWS[:4])
    build(tmp_path, limits=Limits(16, 25))
    tokenize_dataset(Records(ROWS, 0), bound_template("alpaca", CHAR), LIMITS, tmp_path)
    tokenize_dataset(Records(ROWS, 0), bound_template("plain", bpe_tokenizer()), LIMITS, tmp_path)
    for _ in range(2):
        tokenize_dataset(Records(ROWS, 0), bound_template("plain", CHAR), LIMITS, tmp_path, for_encoder=True)
    build(tmp_path, limits=replace(LIMITS, drop_long_prompts=True))
    assert len(calls) == 7
    # What was skipped belongs to the reading, not to the cache.
    assert tokenize_dataset(Records(ROWS, 0), bound_template("plain", CHAR), LIMITS, tmp_path).bad_lines == 0
    assert len(calls) == 7


class StopError(Exception):
    pass


def test_tokenizing_stops_between_chunks_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "_CHUNK", 2)
    ticks: list[str] = []

    def tokenized(stop_at: int) -> TokenizedDataset:
        def tick() -> None:
            ticks.append("tick")
            if len(ticks) == stop_at:
                raise StopError

        template = bound_template("plain", CHAR)
        return tokenize_dataset(Records(ROWS, 0), template, LIMITS, tmp_path / "cache", tick=tick)

    with pytest.raises(StopError):
        tokenized(stop_at=2)
    assert not (tmp_path / "cache").exists()
    ticks.clear()
    assert len(tokenized(stop_at=4)) == 5
    assert len(ticks) == 3
    # From the cache, where nothing is tokenized.
    assert len(tokenized(stop_at=4)) == 5
    assert len(ticks) == 3


def test_content_hash_depends_on_every_field_and_on_nothing_else(tmp_path: Path) -> None:
    assert build(tmp_path).content_hash == build(tmp_path, limits=Limits(5, 9)).content_hash
    row = Record("a", "b", ("c", "d"), "e")
    variants = [
        (row,),
        (replace(row, instruction="ab", input=""),),
        (replace(row, outputs=("cd",)),),
        (replace(row, outputs=("d", "c")),),
        (replace(row, group="f"),),
        (replace(row, history=(Message("user", "f"),)),),
        (replace(row, history=(Message("assistant", "f"),)),),
        (replace(row, history=(Message("user", "f"), Message("user", "f"))),),
        (row, row),
        (),
    ]
    assert len({hash_records(rows) for rows in variants}) == len(variants)


def test_rows_make_batches(tmp_path: Path) -> None:
    records = read_records(DataSource("builtin:microtasks", limit=20))
    dataset = tokenize_dataset(records, bound_template("plain", CHAR), Limits(48, 64), tmp_path)
    rows = [dataset.row(i) for i in range(20)]
    batch = collate(
        [Row(row.prompt, row.response, index, "on") for index, row in enumerate(rows)],
        pad_id=CHAR.pad_token_id,
        device="cpu",
    )
    assert sum(batch.positions().counts) == dataset.response_tokens
    answers = CHAR.decode(batch.positions().target).split("<eos>")[:-1]
    assert answers == [record.outputs[0] for record in records.rows]
