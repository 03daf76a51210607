"""Rows in the shape that a dataset was published in, or in ours, to records."""

from collections.abc import Iterator, Mapping

from py_worker.data.errors import DataError
from py_worker.data.fields import to_record
from py_worker.data.importers.importer import ImportedRow
from py_worker.data.records import Record

OURS: Mapping[str, str] = {"instruction": "instruction", "output": "output"}
"""The columns that importers write, which all instruction importers also read: `input` may be missing."""


def row_of(value: object, place: str, number: int, *shapes: Mapping[str, str]) -> ImportedRow:
    """One row, read by the first shape whose columns it has.

    Args:
        value: the decoded object.
        place: where it stands, for errors.
        number: from 0; the row's id where it has none (`id`, `question_id` or `qid`).
        shapes: our name (`instruction`, `input`, `output`, `group`) to the column's name.

    Raises:
        DataError: none of the shapes fits, or a column has the wrong type.
    """
    columns = columns_of(value, place)
    fitting = (shape for shape in shapes if all(column in columns for column in shape.values()))
    shape = next(fitting, None)
    if shape is None:
        wanted = ", or ".join(", ".join(shape.values()) for shape in shapes)
        raise DataError(
            f"{place}: expected the columns {wanted}; there is {', '.join(map(str, columns)) or 'nothing'}"
        )
    return ImportedRow(id_of(columns, number), to_record(columns, place, shape))


def columns_of(value: object, place: str) -> Mapping[str, object]:
    """The row as an object with named fields.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(value, Mapping):
        raise DataError(f"{place}: expected an object with named fields, found {type(value).__name__}")
    return value


def id_of(columns: Mapping[str, object], number: int) -> str:
    """The row's own id, or its number."""
    named = (columns[name] for name in ("id", "question_id", "qid") if name in columns)
    return next((str(value) for value in named if isinstance(value, str | int)), str(number))


def text_of(columns: Mapping[str, object], name: str, place: str) -> str:
    """A column of text.

    Raises:
        DataError: it is missing or no text.
    """
    value = columns.get(name)
    if not isinstance(value, str):
        found = "nothing of that name" if name not in columns else type(value).__name__
        raise DataError(f"{place}: expected text as {name}, found {found}")
    return value


def instances_of(columns: Mapping[str, object], place: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The column `instances`: a list of objects or, as parquet files may have it, an object of lists.

    Yields:
        Place and instance.

    Raises:
        DataError: neither, or lists of different lengths.
    """
    instances = columns["instances"]
    if isinstance(instances, Mapping):
        lists = [value for value in instances.values() if isinstance(value, list)]
        if len(lists) != len(instances) or len({len(value) for value in lists}) != 1:
            raise DataError(f"{place}: expected lists of one length in instances")
        instances = [dict(zip(instances, values, strict=True)) for values in zip(*lists, strict=True)]
    if not isinstance(instances, list):
        raise DataError(f"{place}: expected a list as instances, found {type(instances).__name__}")
    for index, instance in enumerate(instances):
        at = f"{place}, instances[{index}]"
        yield at, columns_of(instance, at)


def has_answer(record: Record) -> bool:
    """Whether the first reference, which a model learns from, says anything."""
    return bool(record.outputs) and bool(record.outputs[0].strip())
