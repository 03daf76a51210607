"""What all importers share: sources, the manifest, and a folder that is whole or not there."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from py_worker.data.errors import DataError
from py_worker.data.importers import writer
from py_worker.data.importers.registry import IMPORTERS
from tests.py.data.fake_hub import FakeHub
from tests.py.data.importers.scene import do_import, jsonl, rows_of

ROWS = [{"id": f"r{n}", "instruction": f"Grüße {n}?", "input": "", "output": ["ja"]} for n in range(252)]


class StopError(Exception):
    """A cancel of the controller."""


def stop() -> None:
    raise StopError


def test_the_manifest_tells_where_rows_come_from(tmp_path: Path) -> None:
    source = Path(jsonl(tmp_path / "rows" / "eval.jsonl", ROWS))
    imported = do_import("self_instruct", str(source), tmp_path / "out", seed=3)
    written = (tmp_path / "out" / "test.jsonl").read_bytes()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest == {
        "format": "ammd-import",
        "version": 1,
        "dataset": "self_instruct",
        "source": {
            "kind": "file",
            "name": "eval.jsonl",
            "commit": None,
            "files": [
                {
                    "name": "eval.jsonl",
                    "bytes": source.stat().st_size,
                    "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
                }
            ],
        },
        "seed": 3,
        "limit": None,
        "expected": {"instructions": 252},
        "found": {"instructions": 252},
        "dropped": {},
        "splits": {
            "test": {
                "name": "test.jsonl",
                "bytes": len(written),
                "sha256": hashlib.sha256(written).hexdigest(),
                "rows": 252,
            }
        },
        "notes": [],
    }
    assert (
        imported.manifest.sha256
        == hashlib.sha256((tmp_path / "out" / "manifest.json").read_bytes()).hexdigest()
    )
    assert written.startswith('{"id": "r0", "instruction": "Grüße 0?"'.encode())


def test_the_same_import_elsewhere_has_the_same_bytes(tmp_path: Path) -> None:
    for place in ("here", "there"):
        source = jsonl(tmp_path / place / "eval.jsonl", ROWS[:5])
        do_import("self_instruct", source, tmp_path / place / "out")
    for name in ("manifest.json", "test.jsonl"):
        here, there = (tmp_path / place / "out" / name for place in ("here", "there"))
        assert here.read_bytes() == there.read_bytes()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "eval.jsonl", ROWS)
    (tmp_path / "out").mkdir()
    do_import("self_instruct", source, tmp_path / "out")
    before = (tmp_path / "out" / "test.jsonl").stat()
    for folder in (tmp_path / "out", tmp_path / "eval.jsonl"):
        with pytest.raises(DataError, match="there is something already"):
            do_import("self_instruct", source, folder)
    assert (tmp_path / "out" / "test.jsonl").stat() == before


@pytest.mark.parametrize("stops", ["tick", "commit"])
def test_an_import_that_is_stopped_leaves_nothing(tmp_path: Path, stops: str) -> None:
    source = jsonl(tmp_path / "eval.jsonl", ROWS)
    with pytest.raises(StopError):
        do_import("self_instruct", source, tmp_path / "new" / "out", **{stops: stop})
    assert list((tmp_path / "new").iterdir()) == []


def test_a_disk_that_is_full_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(writer.os, "fsync", full)
    with pytest.raises(DataError, match=r"out: cannot be written: .*No space left"):
        do_import("self_instruct", jsonl(tmp_path / "eval.jsonl", ROWS), tmp_path / "new" / "out")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_source_that_cannot_be_read_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "eval.jsonl").symlink_to("/proc/self/mem")  # may be opened, and not be read
    with pytest.raises(DataError, match=r"eval\.jsonl: cannot be read: .*Input/output error"):
        do_import("self_instruct", str(tmp_path / "eval.jsonl"), tmp_path / "out")


def test_no_rows_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no row was left \(none found\)"):
        do_import("self_instruct", jsonl(tmp_path / "eval.jsonl", []), tmp_path / "out")


def test_a_limit_is_for_importers_that_have_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="self_instruct: all rows are taken; give no limit"):
        do_import("self_instruct", jsonl(tmp_path / "eval.jsonl", ROWS), tmp_path / "out", limit=3)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.jsonl", r"missing.jsonl: no such file"),
        ("./missing", "no such file or folder .*and no hub dataset named owner/name"),
        ("missing", "no such file or folder"),
        ("rows.csv", "rows.csv: unknown kind of data file; use one of .jsonl"),
        ("empty", r"empty: no data file of train or test or eval or valid; there is none"),
        ("images", r"images: no data file of .*; there is none"),
        ("someone/data", "hub dataset someone/data: no route to the hub. Check the name and the connection"),
        ("other/data:main", "other/data:main: no data file of .*; there is README.md"),
    ],
)
def test_sources_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, message: str
) -> None:
    FakeHub("other/data", tmp_path / "hub", {None: {"README.md": b""}}).replace_hub(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("a,b\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "images" / ".hidden").mkdir(parents=True)
    (tmp_path / "images" / ".hidden" / "train.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match=message):
        do_import("self_instruct", source, tmp_path / "out")


def test_a_configuration_of_a_hub_dataset_that_only_the_converted_branch_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = Path(jsonl(tmp_path / "rows.jsonl", ROWS)).read_bytes()
    branches = {
        None: {"self_instruct.py": b""},
        "refs/convert/parquet": {"self_instruct/train/0.jsonl": b"{}", "human_eval/train/0.jsonl": content},
    }
    FakeHub("yizhongw/self_instruct", tmp_path / "hub", branches).replace_hub(monkeypatch)
    do_import("self_instruct", None, tmp_path / "out")
    assert len(rows_of(tmp_path / "out", "test")) == 252
    source = json.loads((tmp_path / "out" / "manifest.json").read_text())["source"]
    assert source["name"] == "yizhongw/self_instruct:human_eval"
    assert source["commit"] == "at-refs/convert/parquet"


def test_importers_are_registered_by_their_names() -> None:
    assert list(IMPORTERS) == [
        *("dolly", "self_instruct", "vicuna", "sni", "unni", "openwebtext"),
        *("samsum", "iwslt17", "strategyqa"),
    ]
    for importer in IMPORTERS.values():
        assert importer.hub or importer.remedy
