"""Memory and live handles."""

import resource
import sys
from pathlib import Path

import torch

from py_worker.server.context import OperationContext
from py_worker.server.protocol_gen import ReportMemoryArgs, ReportMemoryResult
from py_worker.server.session import Session


def run(session: Session, _args: ReportMemoryArgs, _context: OperationContext) -> ReportMemoryResult:
    """Reads counters; waits for nothing."""
    on_cuda = session.device.type == "cuda"
    return ReportMemoryResult(
        resident_bytes=_resident_bytes(),
        peak_resident_bytes=_peak_resident_bytes(),
        device_bytes=torch.cuda.memory_allocated(session.device) if on_cuda else 0,
        peak_device_bytes=torch.cuda.max_memory_allocated(session.device) if on_cuda else 0,
        handles=session.handles.usage(),
    )


def _peak_resident_bytes() -> int:
    """The kernel counts in KiB on Linux and in bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _resident_bytes() -> int:
    """From /proc; where there is none, the peak is the closest figure without a further package."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return _peak_resident_bytes()
    return int(statm.read_text().split()[1]) * resource.getpagesize()
