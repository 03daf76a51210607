"""IWSLT'17, English to German."""

from py_worker.data.errors import DataError
from py_worker.data.importers.importer import ImportedRow, Importer, Job, Splits
from py_worker.data.importers.shapes import columns_of, text_of
from py_worker.data.records import Record

_SPLITS = {"train": ("train",), "validation": ("validation", "valid", "dev"), "test": ("test",)}
_INSTRUCTION = "Translate the following text from English to German."


def _read(job: Job) -> Splits:
    """The published splits; the files of either direction serve."""
    for split, names in _SPLITS.items():
        for number, (place, value) in enumerate(job.source.split(*names) or ()):
            job.tally.found[f"{split} rows"] += 1
            pair = columns_of(value, place).get("translation")
            if not isinstance(pair, dict):
                raise DataError(f"{place}: expected an object as translation, with the texts en and de")
            english, german = (text_of(pair, language, place) for language in ("en", "de"))
            yield split, ImportedRow(f"{split}-{number}", Record(_INSTRUCTION, english, (german,)))


IMPORTER = Importer(
    name="iwslt17",
    hub="IWSLT/iwslt2017:iwslt2017-en-de",
    expected={"train rows": 206_112, "validation rows": 888, "test rows": 8_079},
    read=_read,
)
