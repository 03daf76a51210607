"""A disk that is full, as far as this process can tell."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

ROOM = 4096
"""Bytes that a file may have: less than the tiny student's weights."""


@contextmanager
def full_disk() -> Iterator[None]:
    """The kernel lets no file grow beyond `ROOM` bytes; Python ignores the signal that it sends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
