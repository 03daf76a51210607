"""databricks-dolly-15k: training, validation and DollyEval rows."""

from collections.abc import Iterator

from py_worker.data.errors import DataError
from py_worker.data.files import BadLines, read_file
from py_worker.data.importers.choosing import shuffled
from py_worker.data.importers.importer import ImportedRow, Importer, Job, Splits
from py_worker.data.importers.shapes import OURS, has_answer, row_of

TEST_ROWS = 500
VALIDATION_ROWS = 1_000
_DATABRICKS = {"instruction": "instruction", "input": "context", "output": "response"}


def _read(job: Job) -> Splits:
    """The reference scripts' own split where the source has it, else one by seed.

    MiniLLM publishes its rows as `raw.jsonl`, of which the first 1,000 are for validation, and `valid.jsonl`,
    which is DollyEval. Which rows of databricks-dolly-15k those are follows from no rule, so a split of that
    one is ours, with the scripts' sizes.
    """
    raw, test = job.source.file("raw.jsonl"), job.source.file("valid.jsonl")
    if raw is None or test is None:
        rows = list(_rows(job, job.source.whole("train"), "rows"))
        return _split_by_seed(job, rows)
    return _reference_split(
        list(_rows(job, read_file(raw, BadLines()), "rows")),
        list(_rows(job, read_file(test, BadLines()), "test rows")),
    )


def _rows(job: Job, found: Iterator[tuple[str, object]], count: str) -> Iterator[ImportedRow]:
    for number, (place, value) in enumerate(found):
        job.tally.found[count] += 1
        row = row_of(value, place, number, _DATABRICKS, OURS)
        if has_answer(row.record):
            yield row
        else:
            job.tally.dropped["no response"] += 1


def _reference_split(raw: list[ImportedRow], test: list[ImportedRow]) -> Splits:
    for split, rows in (
        ("train", raw[VALIDATION_ROWS:]),
        ("validation", raw[:VALIDATION_ROWS]),
        ("test", test),
    ):
        yield from ((split, row) for row in rows)


def _split_by_seed(job: Job, rows: list[ImportedRow]) -> Splits:
    held_rows = TEST_ROWS + VALIDATION_ROWS
    if len(rows) <= held_rows:
        raise DataError(
            f"{job.source.label}: {len(rows)} rows; {TEST_ROWS} are for test and {VALIDATION_ROWS} for "
            f"validation, so there must be more than {held_rows}"
        )
    # By the question: equal ones come together, only the borders part them, and the first side keeps those.
    order = sorted(range(len(rows)), key=lambda index: (shuffled(job.seed, *_question(rows[index])), index))
    sides: dict[int, str] = {}
    first: dict[tuple[str, str], str] = {}
    for place, index in enumerate(order):
        side = "test" if place < TEST_ROWS else "validation" if place < held_rows else "train"
        sides[index] = side
        first.setdefault(_question(rows[index]), side)
    for index, row in enumerate(rows):
        if sides[index] == first[_question(row)]:
            yield sides[index], row
        else:
            job.tally.dropped["question of a test or validation row"] += 1


def _question(row: ImportedRow) -> tuple[str, str]:
    return row.record.instruction, row.record.input


IMPORTER = Importer(
    name="dolly",
    hub="databricks/databricks-dolly-15k",
    expected={"rows": 15_011},
    read=_read,
)
