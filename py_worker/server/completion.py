"""When an operation is done: at once on the CPU; on CUDA when the device has done what was queued for it.

The operation loop does not wait for the device. A thread does, one event per operation, and sends the replies
in order; so the loop prepares the next operation meanwhile, and a reply's time is the device's.
"""

import queue
import threading
from collections.abc import Callable
from typing import Protocol

import torch

Deliver = Callable[[float], None]
"""Sends the reply; takes the milliseconds that the operation ran."""


class Completion(Protocol):
    """Follows one operation after the other."""

    def begin(self) -> None:
        """An operation begins."""

    def deliver(self, host_ms: float, deliver: Deliver) -> None:
        """It has returned after `host_ms`; calls `deliver` when it is done."""

    def close(self) -> None:
        """Waits until everything is delivered."""


class ImmediateCompletion:
    """Tensor operations on the CPU are done when they return."""

    def begin(self) -> None:
        return

    def deliver(self, host_ms: float, deliver: Deliver) -> None:
        deliver(host_ms)

    def close(self) -> None:
        return


class CudaCompletion:
    """Waits for CUDA events in a thread of its own, first in, first out."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pending: queue.SimpleQueue[tuple[torch.cuda.Event, torch.cuda.Event, float, Deliver] | None]
        self._pending = queue.SimpleQueue()
        self._started = self._record()
        self._thread = threading.Thread(target=self._wait, name="completion", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        self._started = self._record()

    def deliver(self, host_ms: float, deliver: Deliver) -> None:
        self._pending.put((self._started, self._record(), host_ms, deliver))

    def close(self) -> None:
        self._pending.put(None)
        self._thread.join()

    def _record(self) -> torch.cuda.Event:
        # Blocking: a spinning wait would take a core from the operation loop.
        event = torch.cuda.Event(enable_timing=True, blocking=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _wait(self) -> None:
        # Of this thread, or waiting might open a context on the first GPU.
        torch.cuda.set_device(self._device)
        while (item := self._pending.get()) is not None:
            started, ended, host_ms, deliver = item
            try:
                ended.synchronize()
                device_ms = started.elapsed_time(ended)
            except RuntimeError:
                device_ms = 0.0  # The device has failed; `deliver` meets the same error and reports it.
            # Work of the host alone leaves no time between the events.
            deliver(max(host_ms, device_ms))


def completion_for(device: torch.device) -> Completion:
    """The completion of a device."""
    return CudaCompletion(device) if device.type == "cuda" else ImmediateCompletion()
