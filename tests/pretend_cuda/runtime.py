"""`torch.cuda` of a machine with one pretended GPU."""

import contextlib
import threading
import time
from types import SimpleNamespace
from typing import Any

import torch

from tests.pretend_cuda import graphs
from tests.pretend_cuda.tensor import CUDA, MEMORY, Factories, settable_data

TOTAL_BYTES = 64 << 30


class Event:
    """Marks a time of the host: the device computes at once."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False) -> None:
        self._timed, self.blocking = enable_timing, blocking
        self._at: float | None = None

    def record(self, stream: "Stream | None" = None) -> None:
        assert stream is None or isinstance(stream, Stream)
        self._at = time.perf_counter()

    def synchronize(self) -> None:
        return

    def query(self) -> bool:
        return True

    def elapsed_time(self, end: "Event") -> float:
        if not (self._timed and end._timed) or self._at is None or end._at is None:
            raise ValueError("Both events must be recorded and created with enable_timing")
        return (end._at - self._at) * 1000.0


class Stream:
    """One of several, all at rest."""

    def __init__(self, device: Any = None, priority: int = 0) -> None:
        self.priority = priority
        self.device = torch.device(CUDA if device is None else device)

    def wait_stream(self, stream: "Stream") -> None:
        assert isinstance(stream, Stream)

    def wait_event(self, event: Event) -> None:
        assert isinstance(event, Event)

    def synchronize(self) -> None:
        return


_DEFAULT_STREAM = Stream()


class Entered:
    """Of device or stream: there is nothing to change to."""

    def __init__(self, *_: Any) -> None:
        return

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: Any) -> None:
        return


def _no_grad(mode: bool = True) -> Any:
    return torch.no_grad() if mode else contextlib.nullcontext()


def _begin_thread() -> None:
    """For a thread of its own: what torch keeps for each of them."""
    Factories().__enter__()
    # `torch.tensor` makes its tensor on the CPU, and copies it where an operation can be seen.
    torch._C._set_only_lift_cpu_tensors(True)


def _in_thread(run: Any) -> Any:
    def begun(thread: threading.Thread) -> None:
        _begin_thread()
        run(thread)

    return begun


def install() -> None:
    """Puts it in place for the rest of the process, in this thread and all that start from now on."""
    properties = SimpleNamespace(
        name="a pretended GPU", total_memory=TOTAL_BYTES, major=9, minor=0, multi_processor_count=1
    )
    replaced = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda *_: None,
        "get_device_name": lambda *_: properties.name,
        "get_device_capability": lambda *_: (properties.major, properties.minor),
        "get_device_properties": lambda *_: properties,
        "is_bf16_supported": lambda *_, **__: True,
        "mem_get_info": lambda *_: (TOTAL_BYTES - MEMORY.allocated, TOTAL_BYTES),
        "memory_allocated": lambda *_: MEMORY.allocated,
        "max_memory_allocated": lambda *_: MEMORY.peak,
        "memory_reserved": lambda *_: MEMORY.allocated,
        "reset_peak_memory_stats": lambda *_: MEMORY.reset_peak(),
        "empty_cache": lambda: None,
        "synchronize": lambda *_: None,
        "manual_seed_all": lambda *_: None,
        "CUDAGraph": graphs.CUDAGraph,
        "graph": graphs.graph,
        "Event": Event,
        "Stream": Stream,
        "current_stream": lambda *_: _DEFAULT_STREAM,
        "default_stream": lambda *_: _DEFAULT_STREAM,
        "stream": Entered,
        "device": Entered,
        "device_of": Entered,
        "default_generators": (torch.default_generator,),
    }
    for name, value in replaced.items():
        setattr(torch.cuda, name, value)
    # A module's weights are exchanged for others, not given other data, which a wrapper cannot take over.
    torch.__future__.set_swap_module_params_on_conversion(True)
    setattr(torch.Tensor, "data", settable_data())  # noqa: B010 (a property takes no other way)
    torch.inference_mode = _no_grad  # no wrapper can be a view of an inference tensor
    threading.Thread.run = _in_thread(threading.Thread.run)  # type: ignore[method-assign]
    _begin_thread()
