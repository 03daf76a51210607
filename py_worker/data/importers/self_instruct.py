"""SelfInst: the 252 user-oriented instructions of Self-Instruct, a test set."""

from py_worker.data.importers.importer import ImportedRow, Importer, Job, Splits
from py_worker.data.importers.shapes import OURS, columns_of, id_of, instances_of, row_of, text_of

_INSTANCE = {"instruction": "instruction", "input": "input", "output": "output"}


def _read(job: Job) -> Splits:
    """One row an instruction; where it has several instances, each is one."""
    for number, (place, value) in enumerate(job.source.whole("train", "test", "eval", "valid")):
        job.tally.found["instructions"] += 1
        columns = columns_of(value, place)
        if "instances" not in columns:
            yield "test", row_of(columns, place, number, OURS)
            continue
        instruction, name = text_of(columns, "instruction", place), id_of(columns, number)
        for index, (at, instance) in enumerate(instances_of(columns, place)):
            found = row_of({"instruction": instruction, **instance}, at, number, _INSTANCE)
            yield "test", ImportedRow(name if index == 0 else f"{name}-{index}", found.record)


IMPORTER = Importer(
    name="self_instruct",
    hub="yizhongw/self_instruct:human_eval",
    expected={"instructions": 252},
    read=_read,
)
