"""StrategyQA: yes or no, after the facts that decide it."""

from collections.abc import Mapping

from py_worker.data.errors import DataError
from py_worker.data.importers.importer import ImportedRow, Importer, Job, Splits
from py_worker.data.importers.shapes import columns_of, id_of, text_of
from py_worker.data.records import Record

_SPLITS = {"train": ("train",), "validation": ("validation", "dev"), "test": ("test",)}
_INSTRUCTION = "Answer the question with yes or no. First give the facts that decide it."


def _read(job: Job) -> Splits:
    """The splits of the source: its authors publish train and dev, the copy on the hub has train and test."""
    for split, names in _SPLITS.items():
        for number, (place, value) in enumerate(job.source.split(*names) or ()):
            job.tally.found[f"{split} rows"] += 1
            columns = columns_of(value, place)
            question = text_of(columns, "question", place)
            record = Record(_INSTRUCTION, question, (_answer(columns, place),))
            yield split, ImportedRow(id_of(columns, number), record)


def _answer(columns: Mapping[str, object], place: str) -> str:
    """The facts and the answer, as a chain of thought (our wording)."""
    answer, facts = columns.get("answer"), columns.get("facts", [])
    given = [facts] if isinstance(facts, str) else facts
    if not isinstance(answer, bool) or not isinstance(given, list):
        raise DataError(f"{place}: expected true or false as answer, and texts as facts")
    texts = [str(fact).strip() for fact in given]
    sentences = [text if text.endswith((".", "!", "?")) else f"{text}." for text in texts if text]
    return " ".join([*sentences, f"So the answer is {'yes' if answer else 'no'}."])


IMPORTER = Importer(
    name="strategyqa",
    hub="ChilleD/StrategyQA",
    expected={"train rows": 1_603, "test rows": 687},
    read=_read,
)
