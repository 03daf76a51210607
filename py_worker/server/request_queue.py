"""The bounded queue between the socket thread, which fills it, and the operation loop, which empties it."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from py_worker.protocol_gen import MAX_QUEUED_BYTES, MAX_QUEUED_REQUESTS, RequestMessage
from py_worker.session.context import OperationContext
from py_worker.session.errors import WorkerError


@dataclass
class Admitted:
    """A request in the queue.

    Attributes:
        message: the request; its arguments are still raw.
        size: bytes of its body and frames.
        arrived: when it came, in seconds of the queue's clock.
        defect: why it cannot run; it waits its turn all the same, because it fails its epoch.
        cancelled: the controller took it back.
    """

    message: RequestMessage
    size: int
    arrived: float = 0.0
    defect: WorkerError | None = None
    cancelled: bool = field(default=False, init=False)


@dataclass(frozen=True)
class QueueState:
    """What a pong tells; and the operation that ended last, for last words."""

    running: OperationContext | None
    last: OperationContext | None
    requests: int
    bytes: int


class RequestQueue:
    """First in, first out; bounded in requests (the running one included) and in bytes.

    Args:
        max_requests: requests held.
        max_bytes: bytes of waiting requests; an empty queue takes any request.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        max_requests: int = MAX_QUEUED_REQUESTS,
        max_bytes: int = MAX_QUEUED_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._clock = clock
        self._waiting: deque[Admitted] = deque()
        self._bytes = 0
        self._taken: Admitted | None = None
        self._running: OperationContext | None = None
        self._last: OperationContext | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, request: Admitted) -> bool:
        """Appends without waiting. False when the queue is full or closed: nothing was kept."""
        with self._changed:
            over_bytes = bool(self._waiting) and self._bytes + request.size > self._max_bytes
            held = len(self._waiting) + (self._taken is not None)
            if self._closed or held >= self._max_requests or over_bytes:
                return False
            request.arrived = self._clock()
            self._waiting.append(request)
            self._bytes += request.size
            self._changed.notify()
            return True

    def get(self) -> Admitted | None:
        """Waits for the next request, which counts as running until `finish`. None when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            request = self._waiting.popleft()
            self._bytes -= request.size
            self._taken = request
            return request

    def next_op(self) -> str | None:
        """The operation that `get` would give now."""
        with self._changed:
            return self._waiting[0].message.op if self._waiting else None

    def begin(self, context: OperationContext) -> None:
        """The request got last runs in this context; a cancel that came before holds."""
        with self._changed:
            self._running = context
            if self._taken is not None and self._taken.cancelled:
                context.cancel()

    def finish(self) -> None:
        """The request got last is done. Idempotent."""
        with self._changed:
            self._last = self._running or self._last
            self._running = None
            self._taken = None

    def cancel(self, request_id: int) -> None:
        """Cancels a waiting or running request; an unknown or finished one is left alone."""
        with self._changed:
            if self._running is not None and self._running.request_id == request_id:
                self._running.cancel()
                return
            held = self._waiting if self._taken is None else (self._taken, *self._waiting)
            for request in held:
                if request.message.id == request_id:
                    request.cancelled = True

    def close(self) -> None:
        """Drops what waits and lets `get` return None."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._bytes = 0
            self._changed.notify_all()

    def state(self) -> QueueState:
        """What runs and what waits."""
        with self._changed:
            return QueueState(self._running, self._last, len(self._waiting), self._bytes)
