"""A list of messages to one record: the last answer is learned, all before it is what was asked."""

from collections.abc import Mapping

from py_worker.data.errors import DataError, kind_of
from py_worker.data.records import Message, Record, Speaker

# Two spellings are in use: `role` and `content`, and ShareGPT's `from` and `value`.
_SPELLINGS = (("role", "content"), ("from", "value"))
_ROLES: Mapping[str, Speaker] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "human": "user",
    "gpt": "assistant",
}


def from_messages(value: object, place: str, group: str) -> Record:
    """Reads a list of messages; where the user speaks last there is no reference.

    Args:
        value: the decoded list.
        place: where it stands, such as `data.jsonl, line 3`, for errors.
        group: of the record.

    Raises:
        DataError: no list, a message in neither spelling, an unknown role or a content that is no text; the
            user does not speak last, or last before the assistant.
    """
    if not isinstance(value, list):
        raise DataError(f"{place}: messages is {kind_of(value)}; expected a list of messages")
    messages = [_message(item, f"{place}: messages[{index}]") for index, item in enumerate(value)]
    roles = ", ".join(message.role for message in messages)
    answer = messages.pop() if messages and messages[-1].role == "assistant" else None
    if not messages or messages[-1].role != "user":
        raise DataError(
            f"{place}: a conversation ends with the user's message, or with that and the assistant's answer; "
            f"this one has {roles or 'no message'}"
        )
    *history, question = messages
    if not question.content.strip():
        raise DataError(f"{place}: the user's last message is empty")
    return Record(
        question.content, "", () if answer is None else (answer.content,), group, tuple(history), place
    )


def _message(value: object, place: str) -> Message:
    if not isinstance(value, Mapping):
        raise DataError(f"{place} is {kind_of(value)}; expected an object with role and content")
    # A parquet file of both has both in every message, and null in those that are not meant.
    spelled = [names for names in _SPELLINGS if all(name in value for name in names)]
    filled = [names for names in spelled if all(value[name] is not None for name in names)]
    spelling = next(iter([*filled, *spelled]), None)
    if spelling is None:
        found = ", ".join(map(str, value)) or "nothing"
        raise DataError(f"{place} has {found}; expected role and content (or from and value)")
    role, content = (value[name] for name in spelling)
    if not isinstance(role, str) or role not in _ROLES:
        raise DataError(f"{place} is of {str(role)[:40]!r}; expected {', '.join(_ROLES)}")
    if not isinstance(content, str):
        raise DataError(f"{place}: {spelling[1]} is {kind_of(content)}; expected a string")
    return Message(_ROLES[role], content)
