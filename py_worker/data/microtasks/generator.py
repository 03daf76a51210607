"""Rows of the built-in tasks, drawn on demand and the same for the same seed."""

from collections.abc import Iterator
from hashlib import blake2b
from random import Random

from py_worker.data.errors import DataError
from py_worker.data.microtasks.compositions import COMPOSE
from py_worker.data.microtasks.numbers import NUMBER_TASKS
from py_worker.data.microtasks.task import Task
from py_worker.data.microtasks.text import TEXT_TASKS
from py_worker.data.records import Record

TASKS: tuple[Task, ...] = (*TEXT_TASKS, *NUMBER_TASKS, COMPOSE)
TEST_SETS = ("seen", "phrasing", "longer", "composition", "parameters")
SPLITS = ("train", "validation", "tuning", *TEST_SETS)

# Upper ends of the shares of inputs, in per cent; the rest (20 %) is for testing.
_SHARES = (("train", 70), ("validation", 75), ("tuning", 80))
# With 5 % of the inputs, 400 draws miss a split with a chance of 1e-9; a set that needs more is exhausted.
_TRIES = 400


def split_of(text: str) -> str:
    """The split an input belongs to, by its hash alone: whatever the task, the phrasing and the seed.

    Returns:
        `train`, `validation`, `tuning` or `test`.
    """
    bucket = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") % 100
    return next((name for name, end in _SHARES if bucket < end), "test")


def rows(split: str, count: int, seed: int) -> Iterator[Record]:
    """Draws rows of one split; a longer draw starts with the rows of a shorter one.

    Training rows may repeat. Every other split shows each question once.

    Args:
        split: `train`, `validation`, `tuning`, or a test set: `seen` (new content), `phrasing` (new wording),
            `longer` (longer inputs), `composition` (pairs of tasks not seen in training), `parameters`
            (variants not seen in training, such as other units).
        count: how many rows.
        seed: of the draws; which inputs belong to a split does not depend on it.

    Raises:
        DataError: an unknown split, or fewer distinct rows than asked for.
    """
    if split not in SPLITS:
        raise DataError(f"builtin:microtasks has no split '{split}'; it has {', '.join(SPLITS)}")
    rng = Random(f"microtasks {split} {seed}")
    tasks = [task for task in TASKS if _variants(task, split)]
    weights = [task.weight for task in tasks]
    shown: set[tuple[str, str]] = set()
    for index in range(count):
        for _ in range(_TRIES):
            task = rng.choices(tasks, weights)[0]
            row = _draw(task, split, rng)
            question = (row.instruction, row.input)
            if _belongs(row.input, split) and question not in shown:
                break
        else:
            raise DataError(
                f"builtin:microtasks has about {index} distinct rows in '{split}', and {count} were asked "
                "for; ask for fewer"
            )
        if split != "train":
            shown.add(question)
        yield row


def _belongs(text: str, split: str) -> bool:
    return split_of(text) == ("test" if split in TEST_SETS else split)


def _variants(task: Task, split: str) -> tuple[str, ...]:
    """The parameters that a split draws from; none where the task does not appear in it."""
    if split == "composition":
        return task.new_parameters if task is COMPOSE else ()
    if split == "parameters":
        return () if task is COMPOSE else task.new_parameters
    if split == "longer" and not task.has_longer:
        return ()
    return task.parameters


def _draw(task: Task, split: str, rng: Random) -> Record:
    parameter = rng.choice(_variants(task, split))
    phrasing = rng.choice(task.new_phrasings if split == "phrasing" else task.phrasings)
    text = task.draw(rng, parameter, split == "longer")
    return Record(phrasing.format(parameter), text, (task.solve(text, parameter),), task.name)
