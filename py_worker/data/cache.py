"""A folder of read-only arrays with a JSON header: built once, memory-mapped afterwards.

A cache appears under its name only when it is complete (written beside, then renamed), and is used only when
every file has the size and digest that its header says; anything else is built again.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from errno import EEXIST, ENOTDIR, ENOTEMPTY
from hashlib import blake2b
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from py_worker.data.errors import DataError

_FORMAT = 1
_HEADER = "header.json"


@dataclass(frozen=True)
class Cached:
    """Arrays by name, and what was noted beside them (JSON values)."""

    arrays: Mapping[str, np.ndarray[Any, Any]]
    notes: Mapping[str, Any]


def open_or_build(folder: Path, key: str, build: Callable[[], Cached]) -> Cached:
    """Opens the cache `folder/key`, building it first where it is missing, partial or damaged.

    Several processes may build the same key at once: all get the same content, whoever is first. Each reads
    what it wrote itself, so that what the others do to the folder cannot fail it.

    Args:
        folder: where caches live; made if missing.
        key: names the content; the same key must always mean the same content.
        build: makes the arrays and notes.

    Raises:
        DataError: the folder cannot be written.
    """
    final = folder / key
    if (found := _open(final, key)) is not None:
        return found
    built = build()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = Path(mkdtemp(prefix=f".{key}-", dir=folder))
        try:
            _write(fresh, key, built)
            opened = _open(fresh, key)
            if opened is not None:
                _replace(fresh, final, key)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"{final}: the cache cannot be written: {error}. Free some space there or choose another folder"
        ) from error
    if opened is None:
        raise DataError(f"{final}: the cache was written but does not read back; is the disk sound?")
    return opened


def _write(folder: Path, key: str, content: Cached) -> None:
    files = {}
    for name, array in content.arrays.items():
        path = folder / f"{name}.npy"
        np.save(path, array, allow_pickle=False)
        files[name] = {"bytes": path.stat().st_size, "blake2b": _digest(path)}
    header = {"format": _FORMAT, "key": key, "files": files, "notes": content.notes}
    (folder / _HEADER).write_text(json.dumps(header, indent=1, sort_keys=True), encoding="utf-8")


def _replace(fresh: Path, final: Path, key: str) -> None:
    """Renames a complete cache into place; a damaged one leaves by a rename too, never by halves.

    Where another process was first, with the same content, its cache stays.
    """
    if _rename(fresh, final) or _open(final, key) is not None:
        return
    damaged = fresh.with_name(f"{fresh.name}-damaged")
    with suppress(FileNotFoundError):
        final.rename(damaged)
    _rename(fresh, final)
    shutil.rmtree(damaged, ignore_errors=True)


def _rename(fresh: Path, final: Path) -> bool:
    """False where something stands there already."""
    try:
        fresh.rename(final)
    except OSError as error:
        if error.errno not in (EEXIST, ENOTEMPTY, ENOTDIR):
            raise
        return False
    return True


def _open(folder: Path, key: str) -> Cached | None:
    """The cache if it is whole; None if it is missing, partial or damaged."""
    try:
        header = json.loads((folder / _HEADER).read_text(encoding="utf-8"))
        if (header["format"], header["key"]) != (_FORMAT, key):
            return None
        arrays = {}
        for name, expected in header["files"].items():
            path = folder / f"{name}.npy"
            if path.stat().st_size != expected["bytes"] or _digest(path) != expected["blake2b"]:
                return None
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        return Cached(arrays, header["notes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(path: Path) -> str:
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
