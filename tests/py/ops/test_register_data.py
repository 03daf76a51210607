"""What the reply says of a dataset."""

import json
from collections.abc import Iterable
from pathlib import Path

from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import data_source, load_student


def write(path: Path, groups: Iterable[str]) -> str:
    rows = ({"instruction": "a", "output": "b", "task": group} for group in groups)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def test_a_group_that_no_reply_can_name_is_a_bad_line(empty: LocalWorker, tmp_path: Path) -> None:
    empty.call("configure", **empty.settings)
    load_student(empty)
    source = data_source(source=write(tmp_path / "data.jsonl", ["\ud83d", "good"]))
    error = empty.error("register_data", dataset="d", source=source)
    assert (error["code"], error["applied"], empty.session.datasets) == ("data_error", False, {})
    assert f"{tmp_path / 'data.jsonl'}, line 1: half of a surrogate pair" in error["message"]
    result = empty.call("register_data", dataset="d", source={**source, "skip_bad_lines": True})
    assert (result["groups"], result["bad_lines"]) == ({"good": 1}, 1)


def test_the_largest_groups_are_named_where_there_are_many(empty: LocalWorker, tmp_path: Path) -> None:
    empty.call("configure", **empty.settings)
    load_student(empty)
    groups = [f"task {i}" for i in range(300)]
    path = write(tmp_path / "data.jsonl", [*groups, *groups[100:]])
    result = empty.call("register_data", dataset="d", source=data_source(source=path, limit=1000))
    assert (result["rows"], len(result["groups"])) == (500, 256)
    assert {name: rows for name, rows in result["groups"].items() if rows > 1} == dict.fromkeys(
        groups[100:], 2
    )
