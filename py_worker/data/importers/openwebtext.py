"""OpenWebText: plain text for a language-model loss."""

from itertools import islice

from py_worker.data.importers.importer import ImportedRow, Importer, Job, Splits
from py_worker.data.importers.shapes import columns_of, id_of, text_of
from py_worker.data.records import Record

_LONGEST = 8_000
"""Characters kept of a document: more than 512 tokens, so that a run which takes those finds no false end."""


def _read(job: Job) -> Splits:
    """The first documents. The first word is the prompt, which must not be empty; the rest is learned.

    The template `text` puts both together again as they were.
    """
    return islice(_documents(job), job.limit)


def _documents(job: Job) -> Splits:
    for number, (place, value) in enumerate(job.source.whole("train")):
        columns = columns_of(value, place)
        text = text_of(columns, "text", place).strip()[:_LONGEST]
        words = text.split(maxsplit=1)
        if len(words) < 2:
            job.tally.dropped["under two words"] += 1
            continue
        record = Record(words[0], "", (text[len(words[0]) :],))
        yield "train", ImportedRow(id_of(columns, number), record)


IMPORTER = Importer(
    name="openwebtext",
    hub="Skylion007/openwebtext",
    expected={},
    read=_read,
    limit=200_000,
)
