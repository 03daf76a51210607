"""The worker's side of the conversation, without a socket: handshake, admission, ping, cancel, bye.

Belongs to the socket thread. Whatever it does takes microseconds, so that pings are answered while an
operation runs.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import UNSET

from py_worker.protocol_gen import (
    PROTOCOL_VERSION,
    ByeMessage,
    CancelMessage,
    ControllerMessage,
    ErrorInfo,
    PingMessage,
    PongMessage,
    RefuseMessage,
    ReplyMessage,
    RequestMessage,
    Running,
    WelcomeMessage,
)
from py_worker.server.codec import (
    Frame,
    MalformedError,
    check_sizes,
    decode_message,
    encode_message,
)
from py_worker.server.replies import EncodedReply, RememberedReplies
from py_worker.server.request_queue import Admitted, RequestQueue
from py_worker.session.context import Progress
from py_worker.session.errors import OversizeError, WorkerError, error_info, make_error

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 3


class Conversation:
    """Reacts to the controller's messages.

    Args:
        queue: admitted requests go here.
        progress: told in pongs.
        send: takes the frames of a message to send; never waits.
    """

    def __init__(self, queue: RequestQueue, progress: Progress, send: Callable[[list[Frame]], None]) -> None:
        self.welcomed = False
        self.exit_status: int | None = None
        """Set when the conversation is over."""
        self._queue = queue
        self._progress = progress
        self._send = send
        self._remembered = RememberedReplies()
        self._unanswered: set[int] = set()
        self._highest_id = 0
        self._epoch = 0
        self._failed_by: int | None = None

    def receive(self, frames: Sequence[memoryview]) -> None:
        """Handles one message. Nothing that a controller sends raises."""
        body, sizes = frames[0], [len(frame) for frame in frames[1:]]
        size = len(body) + sum(sizes)
        try:
            check_sizes(len(body), [])
            message = decode_message(body)
        except (MalformedError, OversizeError) as error:
            self._not_understood(error)
        else:
            self._dispatch(message, size, _frames_defect(sizes))

    def reply(self, reply: EncodedReply) -> None:
        """Sends a request's one reply and remembers it."""
        self._unanswered.discard(reply.request_id)
        self._remembered.add(reply)
        self._send(reply.frames)

    def _dispatch(self, message: ControllerMessage, size: int, defect: WorkerError | None) -> None:
        match message:
            case PingMessage():
                self._pong(message.nonce)
            case CancelMessage():
                self._queue.cancel(message.id)
            case RequestMessage() if not self.welcomed:
                self._not_understood(MalformedError("a request before the welcome"))
            case RequestMessage():
                self._request(message, size, defect)
            case WelcomeMessage():
                self._welcome(message.protocol_version)
            case RefuseMessage():
                self._refused(message.error.message)
            case ByeMessage():
                self.exit_status = EXIT_OK

    def _welcome(self, version: int) -> None:
        if version != PROTOCOL_VERSION:
            self._refused(f"the controller speaks protocol {version}, this worker {PROTOCOL_VERSION}")
        self.welcomed = True

    def _refused(self, reason: str) -> None:
        print(f"py_worker: refused by the controller: {reason}", file=sys.stderr, flush=True)
        self.exit_status = EXIT_REFUSED

    def _pong(self, nonce: int) -> None:
        state = self._queue.state()
        running = state.running and Running(
            id=state.running.request_id, op=state.running.op, elapsed_ms=state.running.elapsed_ms
        )
        pong = PongMessage(
            nonce=nonce,
            running=running or UNSET,
            progress=self._progress.count,
            queued_requests=state.requests,
            queued_bytes=state.bytes,
        )
        self._send(encode_message(pong))

    def _request(self, request: RequestMessage, size: int, defect: WorkerError | None) -> None:
        """Admits a request, or answers at once why not.

        Only a refusal is answered here, and it may overtake replies; a defect takes its turn in the queue.
        """
        if request.id <= self._highest_id:
            self._repeated(request.id)
            return
        self._highest_id = request.id
        if request.epoch > self._epoch:
            self._epoch, self._failed_by = request.epoch, None
        if request.epoch < self._epoch:
            message = f"epoch {request.epoch} is over: epoch {self._epoch} is open"
            self._refuse(request.id, make_error("stale_epoch", message))
        elif self._failed_by is not None:
            self._refuse(request.id, aborted(request.epoch, self._failed_by))
        elif self._queue.put(Admitted(request, size, defect=defect)):
            self._unanswered.add(request.id)
        else:
            self._failed_by = request.id
            state = self._queue.state()
            waiting = f"{state.requests} requests of {state.bytes} bytes wait"
            remedy = "send it again in a new epoch after a reply"
            self._refuse(request.id, make_error("busy", f"the queue is full, {waiting}; {remedy}"))

    def _repeated(self, request_id: int) -> None:
        if request_id in self._unanswered:
            return  # Its one reply is still to come.
        remembered = self._remembered.get(request_id)
        if remembered is not None:
            self._send(remembered.frames)
        else:
            message = f"id {request_id} was used before and its reply is not remembered; use a higher id"
            self._send(error_frames(request_id, make_error("duplicate", message)))

    def _refuse(self, request_id: int, error: ErrorInfo) -> None:
        self.reply(EncodedReply(request_id, error_frames(request_id, error)))

    def _not_understood(self, error: WorkerError) -> None:
        """Nobody knows which request was lost, so nothing that follows in the epoch can rely on it."""
        if self._failed_by is None:
            self._failed_by = 0
        self._send(error_frames(0, error_info(error, applied=False)))


def aborted(epoch: int, failed_by: int) -> ErrorInfo:
    """The error of a request that follows a failed one in its epoch."""
    message = f"not run: request {failed_by} of epoch {epoch} failed"
    return make_error("aborted", message, aborted_by=failed_by)


def error_frames(request_id: int, error: ErrorInfo) -> list[Frame]:
    """An error reply of a request that was not run."""
    return encode_message(ReplyMessage(id=request_id, error=error, run_ms=0.0, idle_ms=0.0))


def _frames_defect(sizes: list[int]) -> WorkerError | None:
    """No operation of the contract takes tensors, so frames of legal size are merely unused."""
    try:
        check_sizes(0, sizes)
    except OversizeError as error:
        return error
    return MalformedError(f"{len(sizes)} frames that the body does not refer to") if sizes else None
