"""Train and validation rows of one file or split, told apart by a hash of the question."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b

from py_worker.data.errors import DataError
from py_worker.data.records import Record

SPLITS = ("train", "validation")


def whole_and_part(split: str, place: str) -> tuple[str, str]:
    """The split that is divided, and which part of it is meant.

    Args:
        split: `NAME/train` or `NAME/validation`; alone, these are of the split `train`.
        place: the source's name, for errors.

    Raises:
        DataError: no part is named.
    """
    whole, _, part = split.rpartition("/")
    if part not in SPLITS:
        whole = whole or part
        parts = " or ".join(f"{whole}/{side}" for side in SPLITS)
        raise DataError(
            f"{place}: divided by validation_fraction, the split {split} has two parts: "
            f"name {parts}, or leave validation_fraction out for all of it"
        )
    return whole or "train", part


def split_records(
    records: Iterable[Record], split: str, validation_fraction: float, seed: int, place: str
) -> Iterator[Record]:
    """The rows of one split, in their order, each read when it is asked for.

    Whether a row is for validation depends on its instruction (of a conversation what the user says first),
    its input and the seed alone: the split is the same whatever the order of the rows, adding rows moves
    none, and one question, or one conversation at several lengths, never stands on both sides.

    Args:
        split: `train` or `validation`.
        validation_fraction: expected share of questions for validation, 0 <= fraction < 1.
        place: the source's name, for errors.

    Raises:
        DataError: another split, or validation rows where the fraction is 0.
    """
    if split not in SPLITS:
        raise DataError(f"{place} has no split '{split}'; a file has {' and '.join(SPLITS)}")
    if validation_fraction == 0:
        if split == "validation":
            raise DataError(f"{place}: the split 'validation' needs a validation_fraction above 0")
        return iter(records)
    wanted = split == "validation"
    return (record for record in records if (_position(record, seed) < validation_fraction) == wanted)


def _position(record: Record, seed: int) -> float:
    """A number in [0, 1) that the question and the seed fix."""
    asked = (message.content for message in record.history if message.role == "user")
    question = f"{seed}\0{next(asked, record.instruction)}\0{record.input}"
    return int.from_bytes(blake2b(question.encode(), digest_size=6).digest(), "big") / 2**48
