"""What a running operation knows of its request: cancellation, deadline, commit point, progress."""

import threading
import time
from collections.abc import Callable

from py_worker.session.errors import CancelledError, DeadlineError


class Progress:
    """Counts what gets done (tokens, micro-batches, operations), so that standing still is visible outside.

    Reading an int needs no lock; threads that add do, or the count could fall.
    """

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        with self._lock:
            self.count += 1


class OperationContext:
    """The request's side of one running operation.

    An operation calls `check()` often while nothing is changed yet, and `commit()` once, just before its
    first change to the session. Up to there it can be cancelled or run out of time, and its failure leaves no
    trace; from there on it runs to its end.

    Attributes:
        step: 0-based optimizer step that the operation belongs to, once its arguments are decoded.

    Args:
        request_id: of the request.
        op: name of the operation.
        deadline_ms: longest execution from now on; None is no limit.
        progress: the worker's counter.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        request_id: int,
        op: str,
        deadline_ms: float | None = None,
        progress: Progress | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.request_id = request_id
        self.op = op
        self.step: int | None = None
        self._clock = clock
        self._deadline_ms = deadline_ms
        self._progress = progress if progress is not None else Progress()
        self._started = clock()
        self._cancelled = False
        self._committed = False
        self._lock = threading.Lock()

    @property
    def applied(self) -> bool:
        """Whether the commit point is passed."""
        return self._committed

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the operation began."""
        return (self._clock() - self._started) * 1000.0

    def describe(self) -> str:
        """The operation and its step, for people, who count steps from 1."""
        return self.op if self.step is None else f"{self.op} of step {self.step + 1}"

    def cancel(self) -> bool:
        """Asks the operation to stop; from another thread. False when the commit point is passed."""
        with self._lock:
            if not self._committed:
                self._cancelled = True
            return self._cancelled

    def check(self) -> None:
        """Counts progress and, before the commit point, stops an operation that should not go on.

        Raises:
            CancelledError: the controller cancelled the request.
            DeadlineError: the operation ran longer than its deadline.
        """
        self._progress.add()
        if not self._committed:
            self._stop_if_due()

    def commit(self) -> None:
        """Marks the commit point: after it neither cancellation nor deadline applies. Idempotent.

        Raises:
            CancelledError: the controller cancelled the request before.
            DeadlineError: the deadline has passed before.
        """
        with self._lock:
            if self._committed:
                return
            self._stop_if_due()
            self._committed = True

    def _stop_if_due(self) -> None:
        if self._cancelled:
            raise CancelledError(f"{self.op} was cancelled; nothing was changed")
        if self._deadline_ms is not None and self.elapsed_ms > self._deadline_ms:
            raise DeadlineError(
                f"{self.op} ran longer than its deadline of {self._deadline_ms:g} ms; nothing was changed"
            )
