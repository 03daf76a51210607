"""VicunaEval: 80 questions, a test set."""

from py_worker.data.importers.importer import ImportedRow, Importer, Job, Splits
from py_worker.data.importers.shapes import OURS, columns_of, id_of, row_of, text_of
from py_worker.data.records import Record


def _read(job: Job) -> Splits:
    """FastChat's `question.jsonl` has no answers: rows without a reference can be answered, not scored."""
    unanswered = 0
    for number, (place, value) in enumerate(job.source.whole("train", "test", "valid")):
        job.tally.found["questions"] += 1
        columns = columns_of(value, place)
        if "text" in columns and "instruction" not in columns:
            group = columns.get("category")
            record = Record(text_of(columns, "text", place), "", (), group if isinstance(group, str) else "")
            row = ImportedRow(id_of(columns, number), record)
        else:
            row = row_of(columns, place, number, OURS)
        unanswered += not row.record.outputs
        yield "test", row
    if unanswered:
        job.tally.notes.append(f"{unanswered} questions have no reference: they can be answered, not scored")


IMPORTER = Importer(
    name="vicuna",
    hub="MiniLLM/Vicuna",
    expected={"questions": 80},
    read=_read,
)
