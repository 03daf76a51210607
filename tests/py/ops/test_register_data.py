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
