"""Runs requests one at a time, in order, on the main thread."""

import sys
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

import torch
from msgspec import UNSET, Struct

from py_worker.protocol_gen import QUEUE_MS, ErrorInfo, ReplyMessage
from py_worker.server.codec import Frame, decode_args, encode_message
from py_worker.server.completion import Completion, ImmediateCompletion, completion_for
from py_worker.server.conversation import aborted
from py_worker.server.replies import EncodedReply
from py_worker.server.request_queue import Admitted, RequestQueue
from py_worker.session.context import OperationContext, Progress
from py_worker.session.errors import CancelledError, QueueTimeoutError, error_info
from py_worker.session.handles import step_of_args
from py_worker.session.outcome import Eventually, Late, Outcome
from py_worker.session.session import Session

Clock = Callable[[], float]
RunOperation = Callable[[str, Session, Struct, OperationContext], Outcome]
"""Runs the operation of that name on a session with decoded arguments."""


class OperationLoop:
    """Takes requests from the queue, runs them on the session, and posts one reply for each.

    Args:
        queue: admitted requests.
        session: what operations work on.
        run_operation: does what a request asks for.
        post: takes replies; called from this thread, and on CUDA from the completion's.
        progress: counted up by operations.
        clock: seconds, monotonic; the queue's.
    """

    def __init__(
        self,
        queue: RequestQueue,
        session: Session,
        run_operation: RunOperation,
        post: Callable[[EncodedReply], None],
        progress: Progress,
        clock: Clock = time.monotonic,
    ) -> None:
        self._queue = queue
        self._session = session
        self._run_operation = run_operation
        self._post = post
        self._progress = progress
        self._clock = clock
        self._completion: Completion = ImmediateCompletion()
        self._device = torch.device("cpu")
        self._failed: tuple[int, int] | None = None  # epoch, id of the request that failed first in it

    def run(self) -> None:
        """Until the queue is closed; then everything that ran has its reply posted."""
        idle_since = self._clock()
        while (request := self._queue.get()) is not None:
            begun = self._clock()
            try:
                self._handle(request, idle_ms=(begun - idle_since) * 1000.0)
            finally:
                self._queue.finish()
            idle_since = self._clock()
        self._session.close()
        self._completion.close()

    def _handle(self, request: Admitted, idle_ms: float) -> None:
        message = request.message
        if self._failed is not None and message.epoch == self._failed[0]:
            reply = ReplyMessage(id=message.id, error=aborted(*self._failed), run_ms=0.0, idle_ms=idle_ms)
            self._post(EncodedReply(message.id, encode_message(reply)))
            return
        deadline = None if message.deadline_ms is UNSET else message.deadline_ms
        context = OperationContext(message.id, message.op, deadline, self._progress, self._clock)
        self._follow_device()
        try:
            self._completion.begin()
        except RuntimeError:
            _end_with_device(None)
        self._queue.begin(context)
        outcome = self._outcome(request, context)
        # Before the reply, so that whoever has it is not told by a pong that the operation still runs.
        self._queue.finish()
        epoch = message.epoch

        def deliver(run_ms: float) -> None:
            self._deliver(epoch, context, outcome, run_ms, idle_ms)

        if isinstance(outcome, Eventually):
            run_ms = context.elapsed_ms
            outcome.result.add_done_callback(lambda _: deliver(run_ms))
        else:
            try:
                self._completion.deliver(context.elapsed_ms, deliver)
            except RuntimeError:
                _end_with_device(outcome)

    def _outcome(self, request: Admitted, context: OperationContext) -> Outcome | ErrorInfo:
        try:
            self._require_runnable(request)
            args = decode_args(request.message.op, request.message.args)
            context.step = step_of_args(args)
            return self._run_operation(request.message.op, self._session, args, context)
        except Exception as error:
            # The error is turned into text here: holding its traceback would hold the operation's tensors.
            return self._fail(request.message.epoch, context, error)

    def _require_runnable(self, request: Admitted) -> None:
        if request.defect is not None:
            raise request.defect
        if request.cancelled:
            raise CancelledError(f"{request.message.op} was cancelled while it waited; nothing was changed")
        limit = QUEUE_MS if request.message.queue_ms is UNSET else request.message.queue_ms
        waited = (self._clock() - request.arrived) * 1000.0
        if waited > limit:
            op = request.message.op
            raise QueueTimeoutError(f"{op} waited {waited:.0f} ms in the queue; its limit is {limit:g} ms")

    def _deliver(
        self,
        epoch: int,
        context: OperationContext,
        outcome: Outcome | ErrorInfo,
        run_ms: float,
        idle_ms: float,
    ) -> None:
        """Posts the reply. What cannot be finished or encoded is an error like any other."""
        self._progress.add()
        # The end of a step takes no time, and its reply is the one that the controller waits for.
        # A draw in the background replies from another thread, perhaps after the end of the step.
        may_wait = not isinstance(outcome, Eventually) and self._queue.next_op() == "end_step"
        try:
            frames = _encode(context.request_id, outcome, run_ms, idle_ms)
        except Exception as error:
            failure = self._fail(epoch, context, error)
            frames = _encode(context.request_id, failure, run_ms, idle_ms)
        self._post(EncodedReply(context.request_id, frames, may_wait))

    def _fail(self, epoch: int, context: OperationContext, error: Exception) -> ErrorInfo:
        if self._failed is None or self._failed[0] < epoch:
            self._failed = (epoch, context.request_id)
        return error_info(error, applied=context.applied)

    def _follow_device(self) -> None:
        """The session's device is known once it is configured."""
        if self._session.device != self._device:
            self._completion.close()
            self._device = self._session.device
            self._completion = completion_for(self._device)


def _end_with_device(outcome: Outcome | ErrorInfo | None) -> NoReturn:
    """Ends the worker, whose device takes no events any more; last in its log is what it failed at."""
    traceback.print_exc()
    if isinstance(outcome, ErrorInfo) and isinstance(outcome.detail, str):
        print(outcome.detail, file=sys.stderr, flush=True)
    sys.exit(1)


def _encode(request_id: int, outcome: Outcome | ErrorInfo, run_ms: float, idle_ms: float) -> list[Frame]:
    if isinstance(outcome, ErrorInfo):
        reply = ReplyMessage(id=request_id, error=outcome, run_ms=run_ms, idle_ms=idle_ms)
    else:
        reply = ReplyMessage(id=request_id, result=_result(outcome), run_ms=run_ms, idle_ms=idle_ms)
    return encode_message(reply)


def _result(outcome: Outcome) -> Struct:
    match outcome:
        case Late():
            return outcome.finish()
        case Eventually():
            return outcome.result.result()
    return outcome
