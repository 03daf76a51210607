import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from py_worker.data import cache
from py_worker.data.cache import Cached, open_or_build
from py_worker.data.errors import DataError

CONTENT = Cached({"a": np.arange(50, dtype=np.int32), "empty": np.zeros(0, np.uint8)}, {"rows": 50})


class Builder:
    """Counts how often the content is built."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Cached:
        self.calls += 1
        return CONTENT


def same(found: Cached) -> bool:
    return all(np.array_equal(found.arrays[name], CONTENT.arrays[name]) for name in CONTENT.arrays) and (
        found.notes == CONTENT.notes
    )


def test_built_once_and_mapped_read_only(tmp_path: Path) -> None:
    build = Builder()
    assert same(open_or_build(tmp_path / "new" / "folder", "k", build))
    found = open_or_build(tmp_path / "new" / "folder", "k", build)
    assert same(found)
    assert build.calls == 1
    assert isinstance(found.arrays["a"], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found.arrays["a"][0] = 1


def test_keys_are_apart(tmp_path: Path) -> None:
    build = Builder()
    open_or_build(tmp_path, "one", build)
    open_or_build(tmp_path, "two", build)
    assert build.calls == 2


def truncate(folder: Path) -> None:
    content = (folder / "a.npy").read_bytes()
    (folder / "a.npy").write_bytes(content[:-4])


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / "a.npy").read_bytes())
    content[-1] ^= 1
    (folder / "a.npy").write_bytes(content)


def change_header(folder: Path, **changes: object) -> None:
    header = json.loads((folder / "header.json").read_text())
    (folder / "header.json").write_text(json.dumps(header | changes))


DAMAGE: list[Callable[[Path], object]] = [
    truncate,
    flip_a_byte,
    lambda folder: (folder / "a.npy").unlink(),
    lambda folder: (folder / "header.json").unlink(),
    lambda folder: (folder / "header.json").write_text('{"format": 1, "key"'),
    lambda folder: (folder / "header.json").write_text("[]"),
    lambda folder: change_header(folder, format=0),
    lambda folder: change_header(folder, key="other"),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_built_again(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    build = Builder()
    open_or_build(tmp_path, "k", build)
    damage(tmp_path / "k")
    assert same(open_or_build(tmp_path, "k", build))
    assert same(open_or_build(tmp_path, "k", build))
    assert build.calls == 2
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(np, "save", full_disk)
        with pytest.raises(DataError, match=r"No space left on device\. Free some space there"):
            open_or_build(tmp_path, "k", Builder())
    assert list(tmp_path.iterdir()) == []
    assert same(open_or_build(tmp_path, "k", Builder()))


def test_another_process_may_be_first(tmp_path: Path) -> None:
    first = []

    def build_while_another_finishes() -> Cached:
        open_or_build(tmp_path, "k", Builder())
        first.append((tmp_path / "k").stat().st_ino)
        return CONTENT

    assert same(open_or_build(tmp_path, "k", build_while_another_finishes))
    assert [path.name for path in tmp_path.iterdir()] == ["k"]
    assert first == [(tmp_path / "k").stat().st_ino]


def test_another_process_may_take_the_cache_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def taken_away(source: Path, target: Path) -> Path:
        moved = rename(source, target)
        if target == tmp_path / "k":
            shutil.rmtree(target)
        return moved

    monkeypatch.setattr(Path, "rename", taken_away)
    assert same(open_or_build(tmp_path, "k", Builder()))


def test_a_cache_that_cannot_be_put_in_place_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(DataError, match=r"the cache cannot be written: .*Permission denied"):
        open_or_build(tmp_path, "k", Builder())


def test_another_process_may_finish_during_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def late(source: Path, target: Path) -> Path:
        with monkeypatch.context() as undisturbed:
            undisturbed.setattr(Path, "rename", rename)
            open_or_build(tmp_path, "k", Builder())
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", late)
    assert same(open_or_build(tmp_path, "k", Builder()))


def test_a_cache_that_does_not_read_back_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_open", lambda *_: None)
    with pytest.raises(DataError, match="does not read back"):
        open_or_build(tmp_path, "k", Builder())
