"""SAMSum: dialogues and their summaries."""

from py_worker.data.importers.importer import Importer, Job, Splits
from py_worker.data.importers.shapes import columns_of, row_of

_SPLITS = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}
_SHAPE = {"instruction": "instruction", "input": "dialogue", "output": "summary"}
_INSTRUCTION = "Summarize the following dialogue."


def _read(job: Job) -> Splits:
    """The published splits. A copy on the hub has an empty dialogue, which is left out."""
    for split, names in _SPLITS.items():
        for number, (place, value) in enumerate(job.source.split(*names) or ()):
            job.tally.found[f"{split} rows"] += 1
            columns = columns_of(value, place)
            if not columns.get("dialogue", True) or not columns.get("summary", True):
                job.tally.dropped["no dialogue or summary"] += 1
                continue
            yield split, row_of({"instruction": _INSTRUCTION, **columns}, place, number, _SHAPE)


IMPORTER = Importer(
    name="samsum",
    hub="knkarthick/samsum",
    expected={"train rows": 14_732, "validation rows": 818, "test rows": 819},
    read=_read,
)
