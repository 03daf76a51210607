"""Rows to JSON lines, and a folder that appears whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

from py_worker.data.errors import DataError
from py_worker.data.importers.importer import ImportedRow


@dataclass(frozen=True)
class Written:
    """A file of the import.

    Attributes:
        name: in the import's folder.
        bytes: its size.
        sha256: of its content, in hexadecimal digits.
        rows: lines; 0 for the manifest, which has none.
    """

    name: str
    bytes: int
    sha256: str
    rows: int


class _File:
    def __init__(self, name: str, file: BinaryIO) -> None:
        self._name, self._file = name, file
        self._digest, self._bytes, self._rows = sha256(), 0, 0

    def write(self, line: bytes) -> None:
        self._file.write(line)
        self._digest.update(line)
        self._bytes += len(line)
        self._rows += 1

    def done(self) -> Written:
        self._file.flush()
        os.fsync(self._file.fileno())
        return Written(self._name, self._bytes, self._digest.hexdigest(), self._rows)


class SplitWriter:
    """Writes `SPLIT.jsonl` for each split that has a row. To be used as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._files: dict[str, _File] = {}

    def __enter__(self) -> "SplitWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, split: str, row: ImportedRow) -> None:
        """Adds a row to a split."""
        if split not in self._files:
            name = f"{split}.jsonl"
            self._files[split] = _File(name, self._stack.enter_context((self._folder / name).open("wb")))
        self._files[split].write(_line(row))

    def done(self) -> dict[str, Written]:
        """The files by split, on the disk."""
        return {split: file.done() for split, file in self._files.items()}


def _line(row: ImportedRow) -> bytes:
    record = row.record
    columns: dict[str, object] = {
        "id": row.id,
        "instruction": record.instruction,
        "input": record.input,
        "output": record.outputs,
    }
    if record.group:
        columns["category"] = record.group
    return f"{json.dumps(columns, ensure_ascii=False)}\n".encode()


def write_json(path: Path, value: Mapping[str, Any]) -> Written:
    """A JSON file, on the disk."""
    text = f"{json.dumps(value, ensure_ascii=False, indent=2)}\n".encode()
    with path.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return Written(path.name, len(text), sha256(text).hexdigest(), 0)


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A folder that takes its name when the block ends well, and is removed otherwise.

    Raises:
        DataError: there is something of that name already, or nothing can be written there.
    """
    if final.exists() and not (final.is_dir() and not any(final.iterdir())):
        raise DataError(f"{final}: there is something already; choose another folder, or remove it")
    fresh = final.with_name(f".{final.name}-{token_hex(4)}")
    try:
        fresh.mkdir(parents=True)
        yield fresh
        fresh.replace(final)
    except OSError as error:
        raise DataError(f"{final}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
