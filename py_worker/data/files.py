"""Rows of JSONL, JSON and parquet files, with the place of each."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from py_worker.data.errors import DataError


@dataclass
class BadLines:
    """What happens to a bad line: an error, or a count.

    Attributes:
        skip: count instead of failing.
        count: lines skipped so far.
    """

    skip: bool = False
    count: int = 0

    def report(self, error: DataError) -> None:
        """Raises the error, or counts it."""
        if not self.skip:
            raise error
        self.count += 1


Rows = Iterator[tuple[str, object]]


def read_file(path: Path, bad: BadLines) -> Rows:
    """Yields `(place, value)` for each row.

    Raises:
        DataError: no such file, an unknown kind of file, or a line that cannot be decoded (unless skipped).
    """
    if path.suffix not in READERS:
        raise DataError(f"{path}: unknown kind of data file; use one of {', '.join(READERS)}")
    if not path.is_file():
        raise DataError(f"{path}: no such file (looked in {Path.cwd()})")
    return READERS[path.suffix](path, bad)


def _jsonl(path: Path, bad: BadLines) -> Rows:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            # A file may start with a byte order mark and end with an empty line.
            raw = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
            if not raw:
                continue
            place = f"{path}, line {number}"
            try:
                value = json.loads(raw.decode("utf-8"))
            except UnicodeDecodeError as error:
                bad.report(
                    DataError(f"{place}: not valid UTF-8 at byte {error.start + 1}; save the file as UTF-8")
                )
            except json.JSONDecodeError as error:
                bad.report(DataError(f"{place}: not valid JSON at column {error.colno}: {error.msg}"))
            except RecursionError:
                bad.report(DataError(f"{place}: JSON nested too deeply"))
            else:
                yield place, value


def _json(path: Path, _: BadLines) -> Rows:
    """One array of objects."""
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        several = isinstance(error, json.JSONDecodeError) and error.msg == "Extra data"
        hint = ". One object a line? Then name it .jsonl" if several else ""
        raise DataError(f"{path}: not valid JSON: {error}{hint}") from error
    if not isinstance(values, list):
        raise DataError(f"{path}: expected an array of objects at the top")
    for number, value in enumerate(values, start=1):
        yield f"{path}, item {number}", value


def _parquet(path: Path, _: BadLines) -> Rows:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:  # pragma: no cover - pyarrow is there in the tests
        raise DataError(f"{path}: reading parquet needs pyarrow; pip install pyarrow") from error
    try:
        number = 0
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for value in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", value
    except (ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable parquet file: {error}") from error


READERS: Mapping[str, Callable[[Path, BadLines], Rows]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
}
