from dataclasses import replace
from random import Random

import pytest

from py_worker.data.errors import DataError
from py_worker.data.records import Message, Record
from py_worker.data.splitting import split_records

ROWS = [Record(f"question {i}", f"{i % 7}", (f"answer {i}",)) for i in range(2000)]


def split(rows: list[Record], name: str, fraction: float = 0.2, seed: int = 5) -> list[Record]:
    return list(split_records(rows, name, fraction, seed, "data.jsonl"))


def test_every_row_is_on_exactly_one_side() -> None:
    train, validation = split(ROWS, "train"), split(ROWS, "validation")
    assert len(train) + len(validation) == len(ROWS)
    assert not set(train) & set(validation)
    # Binomial(2000, 0.2): standard deviation 18, so five of them on either side.
    assert 310 < len(validation) < 490


def test_order_and_other_rows_change_nothing() -> None:
    shuffled = Random(1).sample(ROWS, len(ROWS))
    assert set(split(shuffled, "validation")) == set(split(ROWS, "validation"))
    half = ROWS[:1000]
    assert set(split(half, "validation")) == set(split(ROWS, "validation")) & set(half)


def test_one_question_with_two_answers_stays_on_one_side() -> None:
    twins = [Record(row.instruction, row.input, ("another",)) for row in ROWS]
    asked = {row.instruction for row in split([*ROWS, *twins], "train")}
    assert not asked & {row.instruction for row in split([*ROWS, *twins], "validation")}


def test_a_conversation_stays_on_the_side_of_its_first_question() -> None:
    """At whatever length, with a system's message or without, and beside a plain row that asks the same."""
    system, answer = Message("system", "Be brief."), Message("assistant", "so")
    first = [replace(row, input="") for row in ROWS]
    longer = [
        Record("and then?", "", ("thus",), "", (system, Message("user", row.instruction), answer))
        for row in first
    ]
    sides = [{row.instruction for row in split(first, side)} for side in ("train", "validation")]
    for side, asked in zip(("train", "validation"), sides, strict=True):
        assert {row.history[1].content for row in split(longer, side)} == asked
        assert {
            row.instruction for row in split([replace(row, history=(system,)) for row in first], side)
        } == asked


def test_the_seed_decides_and_a_larger_fraction_only_adds() -> None:
    assert split(ROWS, "validation", seed=5) != split(ROWS, "validation", seed=6)
    assert set(split(ROWS, "validation", 0.1)) < set(split(ROWS, "validation", 0.2))


def test_without_a_fraction_all_rows_are_train() -> None:
    assert split(ROWS, "train", 0.0) == ROWS
    with pytest.raises(DataError, match="needs a validation_fraction above 0"):
        split(ROWS, "validation", 0.0)
    with pytest.raises(DataError, match=r"data.jsonl has no split 'test'; a file has train and validation"):
        split(ROWS, "test")
