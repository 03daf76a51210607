"""UnNI: rows of Unnatural Instructions' core set, a test set."""

from collections.abc import Iterator

from py_worker.data.importers.choosing import is_long, shuffled
from py_worker.data.importers.importer import ImportedRow, Importer, Job, Splits
from py_worker.data.importers.shapes import (
    OURS,
    columns_of,
    has_answer,
    id_of,
    instances_of,
    row_of,
    text_of,
)

_ROWS = 10_000


def _read(job: Job) -> Splits:
    """The instances with long answers, and of them 10,000 by seed.

    MiniLLM samples 10,000 too; which ones is not published as a rule, so the choice of rows is ours.
    """
    rows = []
    for row in _rows(job):
        job.tally.found["instances"] += 1
        if has_answer(row.record) and is_long(row.record):
            rows.append(row)
        else:
            job.tally.dropped["answer under 11 words"] += 1
    order = sorted(range(len(rows)), key=lambda index: (shuffled(job.seed, rows[index].id), index))
    job.tally.dropped["not among the 10,000 chosen"] += len(order[_ROWS:])
    yield from (("test", rows[index]) for index in sorted(order[:_ROWS]))


def _rows(job: Job) -> Iterator[ImportedRow]:
    for number, (place, value) in enumerate(job.source.whole("train", "test", "valid")):
        columns = columns_of(value, place)
        if "instances" not in columns:
            yield row_of(columns, place, number, OURS)
            continue
        instruction, name = text_of(columns, "instruction", place), id_of(columns, number)
        for index, (at, instance) in enumerate(instances_of(columns, place)):
            found = row_of({"instruction": instruction, **instance}, at, number, OURS)
            yield ImportedRow(f"{name}-{index}", found.record)


IMPORTER = Importer(
    name="unni",
    hub="mrm8488/unnatural-instructions-core",
    expected={"instances": 68_478},
    read=_read,
)
