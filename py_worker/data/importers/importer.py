"""What an importer is."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from py_worker.data.importers.source import Source
from py_worker.data.records import Record


@dataclass(frozen=True)
class ImportedRow:
    """One row of a split.

    Attributes:
        id: its identity in the source.
        record: what is asked and answered.
    """

    id: str
    record: Record


@dataclass
class Tally:
    """What an importer met.

    Attributes:
        found: counts that are compared with `Importer.expected`, such as rows of the source.
        dropped: rows left out, by reason.
        notes: what the user should know.
    """

    found: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """One import.

    Attributes:
        source: what is read.
        seed: of choices at random.
        limit: most rows; None where the importer has no limit.
        tally: the importer counts here.
    """

    source: Source
    seed: int
    limit: int | None
    tally: Tally = field(default_factory=Tally)


Splits = Iterator[tuple[str, ImportedRow]]
"""`(split, row)`, in the order in which the rows of a split are written."""


@dataclass(frozen=True)
class Importer:
    """A dataset of the literature.

    Attributes:
        name: in `ammd import NAME`.
        hub: the hub dataset it is read from unless another source is named; None where there is none.
        expected: counts of that dataset as the literature uses it; compared with `Tally.found`.
        read: yields the rows of all splits.
        remedy: how to get a source, where `hub` is None.
        limit: most rows unless another number is named; None where all are taken.
    """

    name: str
    hub: str | None
    expected: Mapping[str, int]
    read: Callable[[Job], Splits]
    remedy: str = ""
    limit: int | None = None
