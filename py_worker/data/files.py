"""Rows of JSONL, JSON and parquet files, with the place of each."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

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
        DataError: no such file, an unknown kind of file, or, unless skipped, a line that cannot be decoded or
            whose text is not Unicode.
    """
    if path.suffix not in READERS:
        raise DataError(f"{path}: unknown kind of data file; use one of {', '.join(READERS)}")
    if not path.is_file():
        raise DataError(f"{path}: no such file (looked in {Path.cwd()})")
    return READERS[path.suffix](path, bad)


def check_unicode(value: object) -> None:
    """Raises ValueError where a decoded JSON value has half of a surrogate pair, which nothing can write."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("half of a surrogate pair is not valid Unicode text") from error


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
                if b"\\u" in raw:
                    check_unicode(value)
            except UnicodeDecodeError as error:
                bad.report(
                    DataError(f"{place}: not valid UTF-8 at byte {error.start + 1}; save the file as UTF-8")
                )
            except json.JSONDecodeError as error:
                bad.report(DataError(f"{place}: not valid JSON at column {error.colno}: {error.msg}"))
            except RecursionError:
                bad.report(DataError(f"{place}: JSON nested too deeply"))
            except ValueError as error:  # such as a number with more digits than Python reads
                bad.report(DataError(f"{place}: {error}"))
            else:
                yield place, value


def _json(path: Path, bad: BadLines) -> Rows:
    """One array of objects."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        several = isinstance(error, json.JSONDecodeError) and error.msg == "Extra data"
        hint = ". One object a line? Then name it .jsonl" if several else ""
        raise DataError(f"{path}: not valid JSON: {error}{hint}") from error
    if not isinstance(values, list):
        raise DataError(f"{path}: expected an array of objects at the top")
    escaped = "\\u" in text
    for number, value in enumerate(values, start=1):
        place = f"{path}, item {number}"
        try:
            if escaped:
                check_unicode(value)
        except (ValueError, RecursionError) as error:
            bad.report(DataError(f"{place}: {error}"))
        else:
            yield place, value


def _parquet(path: Path, bad: BadLines) -> Rows:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:  # pragma: no cover - pyarrow is there in the tests
        raise DataError(f"{path}: reading parquet needs pyarrow; pip install pyarrow") from error
    try:
        with ParquetFile(path) as file:
            rows = chain.from_iterable(map(_values, file.iter_batches(batch_size=1024)))
            for number, value in enumerate(rows, start=1):
                place = f"{path}, row {number}"
                if isinstance(value, Exception):
                    bad.report(DataError(f"{place}: {value}"))
                else:
                    yield place, value
    except (ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable parquet file: {error}") from error


def _values(batch: Any) -> list[object]:
    """A batch's rows; an error in place of each that Python cannot hold, such as text that is not UTF-8."""
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError) as error:
        if len(batch) == 1:
            return [error]
        return [value for index in range(len(batch)) for value in _values(batch.slice(index, 1))]


READERS: Mapping[str, Callable[[Path, BadLines], Rows]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
}
