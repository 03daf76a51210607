"""The operation around an importer; what importers do is tested with them."""

import hashlib
from pathlib import Path

from tests.py.data.importers.scene import jsonl
from tests.py.ops.local_worker import LocalWorker

ROWS = [{"question_id": number, "text": f"Why {number}?", "category": "generic"} for number in range(3)]


def test_writes_a_folder_and_says_what_is_in_it(empty: LocalWorker, tmp_path: Path) -> None:
    """No role, and no configure before it."""
    folder = tmp_path / "out"
    source = jsonl(tmp_path / "question.jsonl", ROWS)
    result = empty.call("import_data", importer="vicuna", source=source, dir=str(folder), seed=0)
    assert result["rows"] == {"test": 3}
    assert [file["name"] for file in result["files"]] == ["test.jsonl", "manifest.json"]
    for file in result["files"]:
        content = (folder / file["name"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert len(result["notes"]) == 2


def test_dropped_rows_are_counted_and_a_limit_passed_on(empty: LocalWorker, tmp_path: Path) -> None:
    source = jsonl(tmp_path / "web.jsonl", [{"text": text} for text in ("a b", "c", "d e", "f g")])
    args = {"importer": "openwebtext", "source": source, "seed": 0, "limit": 2}
    result = empty.call("import_data", **args, dir=str(tmp_path / "out"))
    assert (result["rows"], result["dropped"]) == ({"train": 2}, {"under two words": 1})


def test_an_unknown_importer_names_all(empty: LocalWorker, tmp_path: Path) -> None:
    error = empty.error("import_data", importer="doly", dir=str(tmp_path / "out"), seed=0)
    assert error["code"] == "invalid_argument"
    assert "no importer 'doly'; there are dolly, self_instruct" in error["message"]


def test_a_source_that_cannot_be_read_changes_nothing(empty: LocalWorker, tmp_path: Path) -> None:
    source = jsonl(tmp_path / "question.jsonl", [*ROWS, {"text": 4}])
    error = empty.error("import_data", importer="vicuna", source=source, dir=str(tmp_path / "out"), seed=0)
    assert (error["code"], error["applied"]) == ("data_error", False)
    assert "question.jsonl, line 4: expected text as text, found int" in error["message"]
    assert not (tmp_path / "out").exists()
