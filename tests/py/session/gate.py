"""A side stream of an imaginary device: what is queued on it begins when a test says so."""

import contextlib
import threading
from collections.abc import Iterator


class Gate:
    """Notes what happens to it, in order."""

    def __init__(self, *, open_at_once: bool = False) -> None:
        self.log: list[str] = []
        self._open = threading.Event()
        if open_at_once:
            self.open()

    def open(self) -> None:
        self._open.set()

    def follow(self) -> None:
        self.log.append("follow")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        assert self._open.wait(30), "the gate stayed shut"
        self.log.append("begin")
        yield
        self.log.append("end")
