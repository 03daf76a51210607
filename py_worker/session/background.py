"""Rollouts that are drawn beside training: in a thread, on a stream and from weights of their own."""

import contextlib
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from msgspec import Struct

from py_worker.models.policy import Policy
from py_worker.models.shadow import Shadow
from py_worker.session.context import OperationContext
from py_worker.session.held import Rollout


class SideStream(Protocol):
    """Where the device's work for these rollouts is queued."""

    def follow(self) -> None:
        """What is queued here from now on begins after all that the calling thread has queued elsewhere."""

    def entered(self) -> AbstractContextManager[None]:
        """Within, the calling thread queues its work here; at the end all of it is done."""


class CudaSideStream:
    """A CUDA stream beside the one that training uses."""

    def __init__(self, device: torch.device) -> None:
        # A step's kernels are small and wait for each other; at training's priority they would wait for its
        # large ones too.
        self._device, self._stream = device, torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]

    def follow(self) -> None:
        self._stream.wait_stream(torch.cuda.current_stream(self._device))

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            try:
                yield
            finally:
                # The next copy of the weights, on another stream, overwrites what this one still reads.
                self._stream.synchronize()


@dataclass(frozen=True)
class Drawing:
    """A rollout that is being drawn.

    Attributes:
        reply: of the operation that asked for it.
        rollout: for operations that need it.
    """

    reply: "Future[Struct]" = field(default_factory=Future)
    rollout: "Future[Rollout]" = field(default_factory=Future)


class BackgroundRollouts:
    """Draws one rollout after the other in a thread, from a copy of the student, while operations run.

    For a GPU, which computes the small steps of generation beside the large ones of training. On a CPU two
    computations at a time on the same cores are slower than one after the other.
    """

    def __init__(self, student: Policy, stream: SideStream) -> None:
        """
        Args:
            student: whose weights are copied; it may change while a rollout is drawn.
            stream: for the device's work.
        """
        self._shadow, self._stream = Shadow(student), stream
        self._version: int | None = None
        self._thread = ThreadPoolExecutor(1, "rollouts")
        self._begun: list[tuple[Future[None], OperationContext]] = []

    @property
    def policy(self) -> Policy:
        """What is drawn from, once `start` has copied the weights."""
        return self._shadow.policy

    def start(
        self, version: int, context: OperationContext, draw: Callable[[], tuple[Rollout, Struct]]
    ) -> Drawing:
        """Copies the student's weights where they are newer, and begins.

        It waits first for rollouts that are drawn from the older ones.

        Args:
            version: of the student's weights as they are now.
            context: of the operation, which is committed when the rollout is there.
            draw: gives the rollout and the operation's result; called in the thread.
        """
        if version != self._version:
            self._wait()
            self._shadow.update()
            self._stream.follow()
            self._version = version
        drawing = Drawing()
        self._begun.append((self._thread.submit(self._draw, context, draw, drawing), context))
        return drawing

    def stop(self) -> None:
        """Lets what is being drawn fail at its next token."""
        for _, context in self._begun:
            context.cancel()

    def close(self) -> None:
        """Waits for what is being drawn, and ends the thread."""
        self._wait()
        self._thread.shutdown()

    def _wait(self) -> None:
        wait([begun for begun, _ in self._begun])
        self._begun.clear()

    def _draw(
        self, context: OperationContext, draw: Callable[[], tuple[Rollout, Struct]], drawing: Drawing
    ) -> None:
        # The reply goes first: should the rollout fail, its error fails the epoch, not that of an operation
        # which waits for it.
        try:
            with self._stream.entered():
                rollout, result = draw()
            context.commit()
        except BaseException as error:
            # All of them: nobody else would ever tell whoever waits.
            # Whoever keeps the error would keep the tensors in its frames.
            traceback.clear_frames(error.__traceback__)
            drawing.reply.set_exception(error)
            drawing.rollout.set_exception(error)
        else:
            drawing.reply.set_result(result)
            drawing.rollout.set_result(rollout)
