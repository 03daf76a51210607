"""S-NI: the English test tasks of Super-NaturalInstructions, from a clone, a test set."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from py_worker.data.errors import DataError
from py_worker.data.files import check_unicode
from py_worker.data.importers.choosing import is_long
from py_worker.data.importers.importer import ImportedRow, Importer, Job, Splits
from py_worker.data.importers.shapes import OURS, columns_of, has_answer, row_of

_TASKS = "splits/default/test_tasks.txt"
_INSTANCES = 100
"""Instances taken of each task: natural-instructions puts those meant for evaluation first."""
_REMEDY = "make a git clone of allenai/natural-instructions and give its folder"


def _read(job: Job) -> Splits:
    """The first 100 instances of each task, as natural-instructions evaluates; then those with long answers.

    A file or hub dataset has rows in our columns instead, such as those that MiniLLM publishes.
    """
    rows = _clone(job) if job.source.kind == "folder" else _published(job)
    for row in rows:
        job.tally.found["instances"] += 1
        if not has_answer(row.record) or not is_long(row.record):
            job.tally.dropped["answer under 11 words"] += 1
        else:
            yield "test", row


def _published(job: Job) -> Iterator[ImportedRow]:
    for number, (place, value) in enumerate(job.source.whole("valid", "test", "train")):
        yield row_of(value, place, number, OURS)


def _clone(job: Job) -> Iterator[ImportedRow]:
    listed = job.source.file(_TASKS)
    if listed is None:
        raise DataError(
            f"{job.source.label}: no clone of natural-instructions, {_TASKS} is missing; {_REMEDY}"
        )
    for line in listed.read_text(encoding="utf-8").split():
        job.tally.found["tasks"] += 1
        task = line.removesuffix(".json")
        path = job.source.file(f"tasks/{task}.json")
        if path is None:
            raise DataError(
                f"{job.source.label}: tasks/{task}.json is missing, which {_TASKS} names; is the clone whole?"
            )
        yield from _instances(task, path)


def _instances(task: str, path: Path) -> Iterator[ImportedRow]:
    try:
        content = columns_of(json.loads(path.read_text(encoding="utf-8")), str(path))
        check_unicode(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}") from error
    definition = content.get("Definition")
    instances = content.get("Instances")
    if isinstance(definition, list):
        definition = definition[0] if definition else None
    if not isinstance(definition, str) or not isinstance(instances, list):
        raise DataError(f"{path}: expected a text as Definition and a list as Instances, as task files have")
    for index, instance in enumerate(instances[:_INSTANCES]):
        place = f"{path}, Instances[{index}]"
        columns = columns_of(instance, place)
        row = row_of({"task": task, "instruction": definition, **columns}, place, index, OURS)
        yield row if "id" in columns else replace(row, id=f"{task}-{index}")


IMPORTER = Importer(
    name="sni",
    hub=None,
    expected={"tasks": 119, "instances": 11_810},
    read=_read,
    remedy=_REMEDY,
)
