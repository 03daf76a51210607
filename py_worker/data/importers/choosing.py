"""Choices of rows: by a seed, and by the length of the answer."""

from hashlib import blake2b

from py_worker.data.records import Record

SHORTEST_ANSWER = 11
"""Words; MiniLLM evaluates the subsets of S-NI and UnNI whose answers have as many or more."""


def shuffled(seed: int, *texts: str) -> bytes:
    """A sort key that puts things in an order by seed, which neither their number nor their order changes."""
    named = "\0".join([str(seed), *texts])
    return blake2b(named.encode(), digest_size=16).digest()


def is_long(record: Record) -> bool:
    """Whether the first reference has `SHORTEST_ANSWER` words; white space parts them (our choice)."""
    return len(record.outputs[0].split()) >= SHORTEST_ANSWER
