"""One object of a data file to one record, with an error that names its place."""

from collections.abc import Mapping

from py_worker.data.conversations import from_messages
from py_worker.data.errors import DataError, kind_of
from py_worker.data.records import Record

NAMES = ("instruction", "input", "output", "messages", "group")
# What a conversation says in one column.
_PARTS = ("instruction", "input", "output")
# Columns that name a row's group, where `fields` does not.
_GROUP_COLUMNS = ("task", "category")


def check_fields(fields: Mapping[str, str]) -> None:
    """Raises DataError where `fields` maps a name that records do not have, or one thing twice."""
    unknown = [name for name in fields if name not in NAMES]
    if unknown:
        raise DataError(f"fields: unknown name '{unknown[0]}'; a record has {', '.join(NAMES)}")
    beside = [name for name in _PARTS if name in fields]
    if "messages" in fields and beside:
        raise DataError(f"fields: messages stands for {beside[0]} too; give one of them")


def to_record(value: object, place: str, fields: Mapping[str, str]) -> Record:
    """Reads `instruction`, `input` (optional), `output` (a string or a list of references), or `messages`.

    A column `messages` is read as a conversation where `fields` says so, or where nothing says what the
    instruction is.

    Args:
        value: the decoded object.
        place: where it stands, such as `data.jsonl, line 3`, for errors.
        fields: our name to the column's name where they differ; a dot descends, as in `translation.de`.

    Raises:
        DataError: not an object, a missing column or a wrong type.
    """
    if not isinstance(value, Mapping):
        raise DataError(f"{place}: expected an object with named fields, found {kind_of(value)}")
    if "messages" in fields or (
        "messages" in value and "instruction" not in fields and value.get("instruction") is None
    ):
        messages = _column(value, "messages", place, fields)
        return from_messages(messages, place, _group(value, place, fields))
    instruction = _text(_column(value, "instruction", place, fields), "instruction", place)
    if not instruction.strip():
        raise DataError(f"{place}: the instruction is empty")
    has_input = "input" in fields or "input" in value
    given_input = _column(value, "input", place, fields) if has_input else None
    return Record(
        instruction=instruction,
        input="" if given_input is None else _text(given_input, "input", place),
        outputs=_outputs(_column(value, "output", place, fields), place),
        group=_group(value, place, fields),
        place=place,
    )


def _column(value: Mapping[str, object], name: str, place: str, fields: Mapping[str, str]) -> object:
    column = fields.get(name, name)
    if column in value:
        return value[column]
    found: object = value
    for key in column.split("."):
        if not isinstance(found, Mapping) or key not in found:
            wanted = f"'{column}' (for {name})" if column != name else f"'{name}'"
            raise DataError(
                f"{place}: there is no {wanted}; there is {', '.join(map(str, value)) or 'nothing'}. "
                f"Map another column with fields: {{{_suggestion(value, name)}}}"
            )
        found = found[key]
    return found


def _suggestion(value: Mapping[str, object], name: str) -> str:
    """What `fields` could say: a list of objects is a conversation."""
    lists = (
        str(column)
        for column, found in value.items()
        if isinstance(found, list) and found and all(isinstance(item, Mapping) for item in found)
    )
    talk = next(lists, None)
    return f"{name}: COLUMN" if talk is None else f"messages: {talk}"


def _outputs(value: object, place: str) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(_text(item, f"output[{index}]", place) for index, item in enumerate(value))
    return (_text(value, "output", place, expected="a string or a list of strings"),)


def _group(value: Mapping[str, object], place: str, fields: Mapping[str, str]) -> str:
    if "group" in fields:
        given = _column(value, "group", place, fields)
        return "" if given is None else str(given)
    named = (value[column] for column in _GROUP_COLUMNS if isinstance(value.get(column), str))
    return str(next(named, ""))


def _text(value: object, name: str, place: str, expected: str = "a string") -> str:
    if not isinstance(value, str):
        raise DataError(f"{place}: {name} is {kind_of(value)}; expected {expected}")
    return value
