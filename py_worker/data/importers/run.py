"""One import from its source to a folder of JSON lines and a manifest."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from py_worker.data.errors import DataError
from py_worker.data.importers.importer import Importer, Job
from py_worker.data.importers.source import open_source
from py_worker.data.importers.writer import SplitWriter, Written, new_folder, write_json

MANIFEST = "manifest.json"
FORMAT = "ammd-import"
_VERSION = 1
_ROWS_A_TICK = 256


@dataclass(frozen=True)
class Imported:
    """What an import made.

    Attributes:
        splits: the file of each split.
        manifest: the file that says where the rows come from.
        dropped: rows left out, by reason.
        notes: what the user should know.
    """

    splits: Mapping[str, Written]
    manifest: Written
    dropped: Mapping[str, int]
    notes: tuple[str, ...]


def import_dataset(
    importer: Importer,
    source: str | None,
    folder: Path,
    *,
    seed: int,
    limit: int | None = None,
    tick: Callable[[], None] = lambda: None,
    commit: Callable[[], None] = lambda: None,
) -> Imported:
    """Reads a dataset and writes its splits; the same source and seed give the same bytes.

    Args:
        importer: of the dataset.
        source: hub dataset, folder or file; None takes the importer's own.
        folder: made whole or not at all; must not hold anything yet.
        seed: of choices at random.
        limit: most rows, for importers that have a limit; None takes theirs.
        tick: called every so many rows; may raise to stop.
        commit: called once, when all is written and only the folder's name is missing; may raise to stop.

    Raises:
        DataError: a source that cannot be read or is not what the importer expects (the message names file
            and line), or a folder that cannot be written.
    """
    named = source or importer.hub
    if named is None:
        raise DataError(f"{importer.name}: there is no hub dataset to take; {importer.remedy}")
    if limit is not None and importer.limit is None:
        raise DataError(f"{importer.name}: all rows are taken; give no limit")
    job = Job(open_source(named), seed, importer.limit if limit is None else limit)
    with new_folder(folder) as fresh:
        with SplitWriter(fresh) as writer:
            for count, (split, row) in enumerate(importer.read(job)):
                if count % _ROWS_A_TICK == 0:
                    tick()
                writer.write(split, row)
            splits = writer.done()
        notes = (*job.tally.notes, *_compare(importer, job, splits))
        manifest = write_json(fresh / MANIFEST, _manifest(importer, job, splits, notes))
        commit()
    return Imported(splits, manifest, job.tally.dropped, notes)


def _compare(importer: Importer, job: Job, splits: Mapping[str, Written]) -> tuple[str, ...]:
    """A note where the source is not as the importer's own.

    Raises:
        DataError: it is the importer's own, and not as it was; or there are no rows at all.
    """
    if not splits:
        raise DataError(f"{job.source.label}: no row was left ({_counts(job.tally.dropped) or 'none found'})")
    differing = [
        f"expected {expected:,} {name} and found {job.tally.found[name]:,}"
        for name, expected in importer.expected.items()
        if job.tally.found[name] != expected
    ]
    if differing and job.source.label == importer.hub:
        raise DataError(
            f"hub dataset {importer.hub}: {'; '.join(differing)}. It is not what {importer.name} was written "
            "for; to take it as it is, download its files and name them as the source"
        )
    if not differing:
        return ()
    tables = importer.hub or "what the tables have"
    return (f"{job.source.name} differs from {tables}: {'; '.join(differing)}",)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _manifest(
    importer: Importer, job: Job, splits: Mapping[str, Written], notes: tuple[str, ...]
) -> dict[str, Any]:
    """No path of this machine and no time, so that the same import gives the same bytes."""
    source = job.source
    return {
        "format": FORMAT,
        "version": _VERSION,
        "dataset": importer.name,
        "source": {
            "kind": source.kind,
            "name": source.name,
            "commit": source.commit,
            "files": [asdict(file) for file in source.used],
        },
        "seed": job.seed,
        "limit": job.limit,
        "expected": dict(importer.expected),
        "found": dict(job.tally.found),
        "dropped": dict(job.tally.dropped),
        "splits": {split: asdict(written) for split, written in splits.items()},
        "notes": list(notes),
    }
