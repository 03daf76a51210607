"""The task-specific sets: SAMSum, IWSLT'17, StrategyQA."""

import json
from pathlib import Path

import pytest

from py_worker.data.errors import DataError
from tests.py.data.importers.scene import counts_of, do_import, jsonl, real, rows_of


def test_samsum_splits_and_an_empty_dialogue(tmp_path: Path) -> None:
    def rows(count: int) -> list[dict[str, object]]:
        return [{"id": f"{n}", "dialogue": f"A: {n}\nB: ok", "summary": "They agree."} for n in range(count)]

    jsonl(
        tmp_path / "samsum" / "train.jsonl", [*rows(3), {"id": "9", "dialogue": None, "summary": "Nothing."}]
    )
    (tmp_path / "samsum" / "val.json").write_text(json.dumps(rows(2)))
    jsonl(tmp_path / "samsum" / "test.jsonl", rows(1))
    imported = do_import("samsum", str(tmp_path / "samsum"), tmp_path / "out")
    assert counts_of(imported) == {"train": 3, "validation": 2, "test": 1}
    assert imported.dropped == {"no dialogue or summary": 1}
    assert "expected 14,732 train rows and found 4" in imported.notes[0]
    assert rows_of(tmp_path / "out", "train")[2] == {
        "id": "2",
        "instruction": "Summarize the following dialogue.",
        "input": "A: 2\nB: ok",
        "output": ["They agree."],
    }


def test_samsum_with_other_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected the columns instruction, dialogue, summary; there is"):
        do_import(
            "samsum", jsonl(tmp_path / "train.jsonl", [{"text": "a", "summary": "b"}]), tmp_path / "out"
        )


def test_iwslt_from_english_to_german(tmp_path: Path) -> None:
    pairs = [{"translation": {"de": "Es schneit.", "en": "It snows."}}]
    for split in ("train", "dev", "test"):
        path = tmp_path / "iwslt" / f"iwslt17_de_en_{split}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(pairs))
    imported = do_import("iwslt17", str(tmp_path / "iwslt"), tmp_path / "out")
    assert counts_of(imported) == {"train": 1, "validation": 1, "test": 1}
    assert rows_of(tmp_path / "out", "validation") == [
        {
            "id": "validation-0",
            "instruction": "Translate the following text from English to German.",
            "input": "It snows.",
            "output": ["Es schneit."],
        }
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"translation": "It snows."}, "item 1: expected an object as translation, with the texts en and de"),
        ({"translation": {"en": "It snows."}}, "item 1: expected text as de, found nothing of that name"),
    ],
)
def test_iwslt_rows_of_another_shape(tmp_path: Path, row: object, message: str) -> None:
    path = tmp_path / "test.json"
    path.write_text(json.dumps([row]))
    with pytest.raises(DataError, match=message):
        do_import("iwslt17", str(path), tmp_path / "out")


def test_the_real_iwslt_pairs(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    for split in ("validation", "test"):
        name = f"iwslt17_de_en_{split}.json"
        (tmp_path / "pairs" / name).symlink_to(real(name))
    imported = do_import("iwslt17", str(tmp_path / "pairs"), tmp_path / "out")
    assert counts_of(imported) == {"validation": 888, "test": 8_079}
    assert imported.notes == (
        "pairs differs from IWSLT/iwslt2017:iwslt2017-en-de: expected 206,112 train rows and found 0",
    )


def test_strategyqa_reasons_before_it_answers(tmp_path: Path) -> None:
    rows = [
        {
            "id": "a",
            "question": "Is a whale a fish?",
            "answer": False,
            "facts": ["Whales are mammals", "Fish lay eggs."],
        },
        {"qid": "b", "question": "Is snow cold?", "answer": True, "facts": "Snow is ice."},
    ]
    imported = do_import("strategyqa", jsonl(tmp_path / "strategyqa_dev.jsonl", rows), tmp_path / "out")
    assert counts_of(imported) == {"validation": 2}
    made = rows_of(tmp_path / "out", "validation")
    assert [(row["id"], row["input"]) for row in made] == [
        ("a", "Is a whale a fish?"),
        ("b", "Is snow cold?"),
    ]
    assert [row["output"] for row in made] == [
        ["Whales are mammals. Fish lay eggs. So the answer is no."],
        ["Snow is ice. So the answer is yes."],
    ]


def test_strategyqa_answers_are_true_or_false(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "train.jsonl", [{"question": "Is snow cold?", "answer": "yes", "facts": []}])
    with pytest.raises(DataError, match="line 1: expected true or false as answer, and texts as facts"):
        do_import("strategyqa", source, tmp_path / "out")


def test_the_real_strategyqa_questions(tmp_path: Path) -> None:
    (tmp_path / "questions").mkdir()
    for split in ("train", "dev"):
        name = f"strategyqa_{split}.jsonl"
        (tmp_path / "questions" / name).symlink_to(real(name))
    imported = do_import("strategyqa", str(tmp_path / "questions"), tmp_path / "out")
    assert counts_of(imported) == {"train": 2_061, "validation": 229}
