import json
from pathlib import Path
from typing import Any

import pytest

from py_worker.data.errors import DataError
from tests.py.data.fake_hub import FakeHub
from tests.py.data.importers.scene import LONG_ANSWER, SHORT_ANSWER, counts_of, do_import, jsonl, rows_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def task_file(instances: int, **changes: Any) -> dict[str, Any]:
    """The second instance of each has an answer that is too short."""
    return {
        "Contributors": ["…"],
        "Definition": ["Answer the question."],
        "Positive Examples": [],
        "Instances": [
            {
                "id": f"task-{number}",
                "input": f"Question {number}",
                "output": [SHORT_ANSWER if number == 1 else LONG_ANSWER, "another"],
            }
            for number in range(instances)
        ],
        **changes,
    }


def clone(root: Path, tasks: dict[str, dict[str, Any]], listed: list[str] | None = None) -> str:
    splits = root / "splits" / "default"
    splits.mkdir(parents=True)
    (splits / "test_tasks.txt").write_text("".join(f"{name}\n" for name in listed or tasks))
    (root / "tasks").mkdir()
    for name, content in tasks.items():
        (root / "tasks" / f"{name}.json").write_text(json.dumps(content))
    (root / ".git" / "refs" / "heads").mkdir(parents=True)
    (root / ".git" / "HEAD").write_text("ref: refs/heads/master\n")
    (root / ".git" / "refs" / "heads" / "master").write_text(f"{COMMIT}\n")
    return str(root)


def test_long_answers_of_the_first_hundred_instances(tmp_path: Path) -> None:
    tasks = {"task001_a": task_file(130), "task002_b": task_file(3, Definition="Say why.")}
    source = clone(tmp_path / "natural-instructions", {**tasks, "task003_train": task_file(9)}, list(tasks))
    imported = do_import("sni", source, tmp_path / "out")
    assert counts_of(imported) == {"test": 99 + 2}
    assert imported.dropped == {"answer under 11 words": 2}
    assert "expected 119 tasks and found 2; expected 11,810 instances and found 103" in imported.notes[0]
    rows = rows_of(tmp_path / "out", "test")
    assert rows[0] == {
        "id": "task-0",
        "instruction": "Answer the question.",
        "input": "Question 0",
        "output": [LONG_ANSWER, "another"],
        "category": "task001_a",
    }
    assert rows[-1]["instruction"] == "Say why."
    source_of = json.loads((tmp_path / "out" / "manifest.json").read_text())["source"]
    assert source_of["commit"] == COMMIT
    assert [file["name"] for file in source_of["files"]] == [
        "splits/default/test_tasks.txt",
        "tasks/task001_a.json",
        "tasks/task002_b.json",
    ]


def test_a_whole_clone_has_no_notes(tmp_path: Path) -> None:
    """119 tasks with 11,810 instances in all."""
    tasks = {f"task{number:03}": task_file(100 if number else 10) for number in range(119)}
    imported = do_import("sni", clone(tmp_path / "clone", tasks), tmp_path / "out")
    assert imported.notes == ()
    assert len(imported.splits) == 1


def test_published_rows(tmp_path: Path) -> None:
    rows = [{"instruction": "a", "input": "b", "output": [answer]} for answer in (LONG_ANSWER, SHORT_ANSWER)]
    imported = do_import("sni", jsonl(tmp_path / "valid.jsonl", rows), tmp_path / "out")
    assert counts_of(imported) == {"test": 1}
    assert rows_of(tmp_path / "out", "test")[0]["id"] == "0"


def test_published_rows_of_one_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = json.dumps({"prompt": "…", "instruction": "a", "input": "", "output": [LONG_ANSWER]}).encode()
    files = {"11_/valid.jsonl": row, "0_2/valid.jsonl": b"{}", "11_/valid.txt": b""}
    FakeHub("MiniLLM/sinst", tmp_path / "hub", {None: files}).replace_hub(monkeypatch)
    assert counts_of(do_import("sni", "MiniLLM/sinst:11_", tmp_path / "out")) == {"test": 1}
    with pytest.raises(DataError, match="has the configurations 0_2, 11_; name one: MiniLLM/sinst:0_2"):
        do_import("sni", "MiniLLM/sinst", tmp_path / "second")


def test_a_source_is_needed(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="no hub dataset to take; make a git clone of allenai/natural-instructions"
    ):
        do_import("sni", None, tmp_path / "out")


def test_a_folder_that_is_no_clone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(
        DataError, match=r"no clone of natural-instructions, splits/default/test_tasks.txt is missing"
    ):
        do_import("sni", str(tmp_path / "folder"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_clone_with_a_task_missing(tmp_path: Path) -> None:
    source = clone(tmp_path / "clone", {"task001": task_file(1)}, ["task001", "task002"])
    with pytest.raises(
        DataError, match=r"tasks/task002.json is missing, which splits/default/test_tasks.txt names"
    ):
        do_import("sni", source, tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Definition": []}, "task001.json: expected a text as Definition and a list as Instances"),
        ({"Instances": {}}, "task001.json: expected a text as Definition and a list as Instances"),
        ({"Instances": [{"input": "a"}]}, r"task001.json, Instances\[0\]: expected the columns"),
        ({"Instances": [{"input": "a", "output": [3]}]}, r"Instances\[0\]: output\[0\] is a number"),
        ({"Instances": ["a"]}, r"Instances\[0\]: expected an object"),
    ],
)
def test_task_files_of_another_shape(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        do_import("sni", clone(tmp_path / "clone", {"task001": task_file(1, **changes)}), tmp_path / "out")


def test_a_task_file_that_is_no_json(tmp_path: Path) -> None:
    source = clone(tmp_path / "clone", {"task001": task_file(1)})
    (tmp_path / "clone" / "tasks" / "task001.json").write_text("{oops")
    with pytest.raises(DataError, match=r"task001.json: not valid JSON: .*line 1 column 2"):
        do_import("sni", source, tmp_path / "out")


def test_instances_without_an_id_get_one(tmp_path: Path) -> None:
    instances = [{"input": "", "output": LONG_ANSWER}]
    do_import(
        "sni", clone(tmp_path / "clone", {"task001": task_file(0, Instances=instances)}), tmp_path / "out"
    )
    assert rows_of(tmp_path / "out", "test")[0]["id"] == "task001-0"


def test_a_task_file_with_text_that_cannot_be_written(tmp_path: Path) -> None:
    source = clone(tmp_path / "clone", {"task001_a": task_file(3, Definition="Say \ud83d.")})
    with pytest.raises(DataError, match=r"task001_a.json: .*half of a surrogate pair"):
        do_import("sni", source, tmp_path / "out")
