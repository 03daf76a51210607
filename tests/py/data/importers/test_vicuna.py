from pathlib import Path

import pytest

from py_worker.data.errors import DataError
from tests.py.data.importers.scene import counts_of, do_import, jsonl, real, rows_of


def test_questions_without_references(tmp_path: Path) -> None:
    """FastChat's question.jsonl."""
    source = jsonl(tmp_path / "question.jsonl", [{"question_id": 7, "text": "Why?", "category": "generic"}])
    imported = do_import("vicuna", source, tmp_path / "out")
    assert rows_of(tmp_path / "out", "test") == [
        {"id": "7", "instruction": "Why?", "input": "", "output": [], "category": "generic"}
    ]
    assert "1 questions have no reference: they can be answered, not scored" in imported.notes
    assert any("expected 80 questions and found 1" in note for note in imported.notes)


def test_rows_with_references(tmp_path: Path) -> None:
    rows = [{"prompt": "…", "instruction": f"Why {n}?", "input": "", "output": "So."} for n in range(80)]
    imported = do_import("vicuna", jsonl(tmp_path / "vicuna" / "valid.jsonl", rows), tmp_path / "out")
    assert imported.notes == ()
    assert rows_of(tmp_path / "out", "test")[79]["output"] == ["So."]


def test_a_question_that_is_no_text(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "question.jsonl", [{"question_id": 7, "text": None}])
    with pytest.raises(DataError, match="line 1: expected text as text, found NoneType"):
        do_import("vicuna", source, tmp_path / "out")


@pytest.mark.parametrize("changes", [{"text": "\ud83d"}, {"category": "\ud83d"}, {"question_id": "\ud83d"}])
def test_text_that_cannot_be_written(tmp_path: Path, changes: dict[str, str]) -> None:
    row = {"question_id": 7, "text": "Why?", "category": "generic", **changes}
    source = jsonl(tmp_path / "question.jsonl", [row])
    with pytest.raises(DataError, match="line 1: half of a surrogate pair"):
        do_import("vicuna", source, tmp_path / "out")


def test_the_real_questions(tmp_path: Path) -> None:
    imported = do_import("vicuna", real("vicuna_questions.jsonl"), tmp_path / "out")
    assert counts_of(imported) == {"test": 80}
    assert imported.notes == ("70 questions have no reference: they can be answered, not scored",)
