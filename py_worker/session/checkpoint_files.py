"""Files of a checkpoint: safetensors and one JSON, flushed and hashed. Nothing is ever unpickled."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from py_worker.protocol_gen import FileHash
from py_worker.session.errors import CheckpointError

STATE_FILE: Final = "worker.json"
_SUFFIX: Final = ".safetensors"
_BLOCK: Final = 1 << 20
FILE_ERRORS: Final = (OSError, SafetensorError)
"""What writing and reading files raises: safetensors reports a full disk by its own class."""


@dataclass(frozen=True)
class Snapshot:
    """A consistent state in host memory.

    Attributes:
        state: JSON values.
        tensors: by file name without suffix, then by tensor name.
    """

    state: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]

    @property
    def bytes(self) -> int:
        return sum(tensor.nbytes for group in self.tensors.values() for tensor in group.values())


def write_snapshot(snapshot: Snapshot, folder: Path) -> list[FileHash]:
    """Writes, flushes to disk and hashes every file, then flushes the folder itself.

    Raises:
        CheckpointError: the disk is full, or the folder cannot be written.
    """
    try:
        paths = [_write_tensors(folder / (name + _SUFFIX), group) for name, group in snapshot.tensors.items()]
        state = folder / STATE_FILE
        state.write_text(json.dumps(snapshot.state, sort_keys=True), encoding="utf-8")
        hashes = [flush_and_hash(path, folder) for path in (*paths, state)]
        flush_folder(folder)
    except FILE_ERRORS as error:
        raise CheckpointError(f"{folder}: cannot be written: {error}; free some space there") from error
    return hashes


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    save_file(dict(tensors), path)
    return path


def flush_and_hash(path: Path, folder: Path) -> FileHash:
    """Waits until a file is on disk; size and SHA-256."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.sha256()
        while block := file.read(_BLOCK):
            digest.update(block)
        return FileHash(
            name=path.relative_to(folder).as_posix(), bytes=file.tell(), sha256=digest.hexdigest()
        )


def flush_folder(folder: Path) -> None:
    """Waits until the folder's entries are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_snapshot(folder: Path, files: list[FileHash]) -> Snapshot:
    """Checks every file against its size and hash, then reads them.

    Raises:
        CheckpointError: a file is missing, has another size or hash, or cannot be read.
    """
    for expected in files:
        _check(folder, expected)
    names = [expected.name for expected in files]
    if STATE_FILE not in names:
        raise CheckpointError(f"{folder}: {STATE_FILE} is not among the checkpoint's files")
    try:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        tensors = {
            name.removesuffix(_SUFFIX): load_file(folder / name) for name in names if name.endswith(_SUFFIX)
        }
    except (*FILE_ERRORS, ValueError) as error:
        raise CheckpointError(f"{folder}: cannot be read: {error}") from error
    return Snapshot(state, tensors)


def _check(folder: Path, expected: FileHash) -> None:
    path = folder / expected.name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CheckpointError(f"{expected.name}: is outside the checkpoint's folder")
    if not path.is_file():
        raise CheckpointError(f"{path}: is missing; take another checkpoint")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
        size = file.tell()
    if (size, digest.hexdigest()) != (expected.bytes, expected.sha256):
        raise CheckpointError(
            f"{path}: has changed since it was written (now {size} bytes, then {expected.bytes}; or another "
            "hash); take another checkpoint"
        )
