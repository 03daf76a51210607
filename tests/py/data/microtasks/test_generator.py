from collections import Counter

import pytest

from py_worker.data.char_tokenizer import ALPHABET
from py_worker.data.errors import DataError
from py_worker.data.microtasks import SPLITS, TASKS, TEST_SETS, generator, rows, split_of
from py_worker.data.microtasks.compositions import SEEN, UNSEEN
from py_worker.data.records import Record

COUNT = 400


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Record]]:
    return {split: list(rows(split, 6000 if split == "train" else COUNT, seed=3)) for split in SPLITS}


def test_same_seed_same_rows_and_a_longer_draw_starts_with_the_shorter() -> None:
    assert list(rows("train", 50, 1)) == list(rows("train", 200, 1))[:50]
    assert list(rows("seen", 50, 1)) == list(rows("seen", 80, 1))[:50]
    assert list(rows("train", 50, 1)) != list(rows("train", 50, 2))


def test_splits_share_no_input_whatever_the_seed(drawn: dict[str, list[Record]]) -> None:
    other_seed = {"train": list(rows("train", 3000, seed=99))}
    inputs = {split: {row.input for row in drawn[split]} for split in SPLITS}
    inputs["train"] |= {row.input for row in other_seed["train"]}
    kinds = ("train", "validation", "tuning", "seen")
    for split in kinds:
        for other in kinds:
            assert split == other or not inputs[split] & inputs[other]
    for test_set in TEST_SETS:
        assert not inputs[test_set] & (inputs["train"] | inputs["validation"] | inputs["tuning"])
        assert all(split_of(text) == "test" for text in inputs[test_set])


def test_only_training_repeats_questions(drawn: dict[str, list[Record]]) -> None:
    for split in set(SPLITS) - {"train"}:
        questions = {(row.instruction, row.input) for row in drawn[split]}
        assert len(questions) == len(drawn[split]) == COUNT


def test_every_task_is_in_training_and_in_the_seen_set(drawn: dict[str, list[Record]]) -> None:
    names = {task.name for task in TASKS}
    assert {row.group for row in drawn["train"]} == names
    seen = Counter(row.group for row in drawn["seen"])
    assert set(seen) == names
    assert min(seen.values()) >= 5


def test_each_test_set_holds_back_what_its_name_says(drawn: dict[str, list[Record]]) -> None:
    instructions = {row.instruction for row in drawn["train"]}
    assert {row.instruction for row in drawn["seen"]} <= instructions
    assert {row.instruction for row in drawn["longer"]} <= instructions
    assert not {row.instruction for row in drawn["phrasing"]} & instructions
    assert not {row.instruction for row in drawn["composition"]} & instructions
    assert {row.group for row in drawn["composition"]} == {"compose"}
    assert "compose" not in {row.group for row in drawn["parameters"]}
    shown = {row.instruction for row in drawn["parameters"] if row.group in ("units", "shift", "extract")}
    assert len(shown) >= 6
    assert not shown & instructions


def test_every_part_of_an_unseen_composition_is_trained_in_its_place() -> None:
    first = {pair.split(", ")[0] for pair in SEEN}
    second = {pair.split(", ")[1] for pair in SEEN}
    for pair in UNSEEN:
        assert pair not in SEEN
        assert pair.split(", ")[0] in first
        assert pair.split(", ")[1] in second


def test_rows_are_short_and_spelled_in_the_tokenizers_alphabet(drawn: dict[str, list[Record]]) -> None:
    for split in SPLITS:
        for row in drawn[split]:
            (answer,) = row.outputs
            assert len(f"{row.instruction}\n{row.input}\n") <= 45
            assert 1 <= len(answer) <= 15
            assert set(row.instruction + row.input + answer) <= set(ALPHABET) - {"\n"}


def test_unknown_split_and_exhausted_set_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no split 'dev'; it has train, validation"):
        list(rows("dev", 1, 0))
    monkeypatch.setattr(generator, "TASKS", tuple(task for task in TASKS if task.name == "roman"))
    with pytest.raises(DataError, match=r"distinct rows in 'tuning', and 200 were asked for; ask for fewer"):
        list(rows("tuning", 200, 0))
