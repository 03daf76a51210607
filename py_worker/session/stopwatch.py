"""Times the parts of an operation without waiting for the device."""

import time
from typing import Protocol

import torch


class Stopwatch(Protocol):
    """Laps with names, in the order they end."""

    def lap(self, name: str) -> None:
        """What ran since the last lap is called this."""

    def laps_ms(self) -> dict[str, float]:
        """Milliseconds of each lap; on CUDA to be asked when the stream has come this far."""
        ...


class HostStopwatch:
    """Tensor operations on the CPU are done when they return."""

    def __init__(self) -> None:
        self._marks = [("", time.perf_counter())]

    def lap(self, name: str) -> None:
        self._marks.append((name, time.perf_counter()))

    def laps_ms(self) -> dict[str, float]:
        pairs = zip(self._marks, self._marks[1:], strict=False)
        return {name: (end - start) * 1000.0 for (_, start), (name, end) in pairs}


class CudaStopwatch:
    """Events in the device's stream."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[tuple[str, torch.cuda.Event]] = []
        self.lap("")

    def lap(self, name: str) -> None:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        self._marks.append((name, event))

    def laps_ms(self) -> dict[str, float]:
        pairs = zip(self._marks, self._marks[1:], strict=False)
        return {name: start.elapsed_time(end) for (_, start), (name, end) in pairs}


def stopwatch_for(device: torch.device) -> Stopwatch:
    """A stopwatch of a device, started."""
    return CudaStopwatch(device) if device.type == "cuda" else HostStopwatch()
