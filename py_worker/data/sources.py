"""Where records come from: built-in tasks, files, or the hub."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from py_worker.data import hub, microtasks
from py_worker.data.errors import DataError
from py_worker.data.fields import check_fields, to_record
from py_worker.data.files import READERS, BadLines, read_file
from py_worker.data.records import Record
from py_worker.data.splitting import split_records, whole_and_part

MICROTASKS = "builtin:microtasks"
# Drawn where no limit is given: the training set of the main job, and a standard error below 2.3 points.
_TRAIN_ROWS = 60_000
_TEST_ROWS = 500


@dataclass(frozen=True)
class DataSource:
    """What to read.

    Attributes:
        source: `builtin:microtasks`; a .jsonl, .json or .parquet file; or a hub dataset, `owner/name` or
            `owner/name:configuration`.
        split: of the built-in tasks, one of `microtasks.SPLITS`; of a file, `train` or `validation`; of a hub
            dataset, the hub's name; where `validation_fraction` is above 0, `NAME/train` or `NAME/validation`
            of the hub's split NAME, which may be left out where it is `train`.
        fields: our name (`instruction`, `input`, `output`, or `messages`; `group`) to the column's name where
            they differ.
        limit: rows used, from the first; None is all.
        validation_fraction: share of the questions that a split by seed sends to `validation`.
        seed: of that split, and of generated rows.
        skip_bad_lines: count bad lines instead of failing at the first.
    """

    source: str
    split: str = "train"
    fields: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    validation_fraction: float = 0.0
    seed: int = 0
    skip_bad_lines: bool = False


@dataclass(frozen=True)
class Records:
    """Rows of a source.

    Attributes:
        rows: those that are used.
        bad_lines: how many were skipped among those that were read.
        skips: whether rows that prove to be bad later are skipped, too.
    """

    rows: tuple[Record, ...]
    bad_lines: int
    skips: bool = False


def read_records(source: DataSource) -> Records:
    """Reads the rows of a source's split, and nothing behind the last one used.

    Raises:
        DataError: a missing source, an unknown split, a bad line (named by file and line), or no rows at all.
    """
    check_fields(source.fields)
    bad = BadLines(source.skip_bad_lines)
    found = _microtasks(source) if source.source.startswith("builtin:") else _read(source, bad)
    rows = tuple(islice(found, source.limit))
    if not rows:
        raise DataError(
            f"{source.source}: the split '{source.split}' has no rows ({bad.count} bad lines skipped)"
        )
    return Records(rows, bad.count, source.skip_bad_lines)


def _microtasks(source: DataSource) -> Iterator[Record]:
    if source.source != MICROTASKS:
        raise DataError(f"no built-in data '{source.source}'; there is {MICROTASKS}")
    if source.validation_fraction or source.fields:
        raise DataError(f"{MICROTASKS} has its own splits and columns; remove validation_fraction and fields")
    default = _TRAIN_ROWS if source.split == "train" else _TEST_ROWS
    return microtasks.rows(source.split, source.limit or default, source.seed)


def _read(source: DataSource, bad: BadLines) -> Iterator[Record]:
    path = Path(source.source).expanduser()
    if path.suffix in READERS or path.exists():
        return _split(_records([path], source, bad), source.split, source)
    if source.source.partition("@")[0].count("/") != 1 or source.source.startswith((".", "/", "~")):
        raise DataError(
            f"{source.source}: neither {MICROTASKS}, nor a file ending in {', '.join(READERS)}, "
            "nor a hub dataset named owner/name"
        )
    # Without a split by seed, the hub's own splits are meant; none of them has a slash in its name.
    if source.validation_fraction == 0 and "/" not in source.split:
        return _records(hub.download(source.source, source.split), source, bad)
    whole, part = whole_and_part(source.split, source.source)
    return _split(_records(hub.download(source.source, whole), source, bad), part, source)


def _split(records: Iterator[Record], part: str, source: DataSource) -> Iterator[Record]:
    return split_records(records, part, source.validation_fraction, source.seed, source.source)


def _records(paths: Iterable[Path], source: DataSource, bad: BadLines) -> Iterator[Record]:
    for path in paths:
        for place, value in read_file(path, bad):
            try:
                record = to_record(value, place, source.fields)
            except DataError as error:
                bad.report(error)
            else:
                yield record
