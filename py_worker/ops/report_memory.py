"""Memory and live handles."""

import torch

from py_worker.protocol_gen import ReportMemoryArgs, ReportMemoryResult
from py_worker.session.context import OperationContext
from py_worker.session.host_memory import peak_resident_bytes, resident_bytes
from py_worker.session.session import Session


def run(session: Session, _args: ReportMemoryArgs, _context: OperationContext) -> ReportMemoryResult:
    """Reads counters; waits for nothing."""
    on_cuda = session.device.type == "cuda"
    return ReportMemoryResult(
        resident_bytes=resident_bytes(),
        peak_resident_bytes=peak_resident_bytes(),
        device_bytes=torch.cuda.memory_allocated(session.device) if on_cuda else 0,
        peak_device_bytes=torch.cuda.max_memory_allocated(session.device) if on_cuda else 0,
        handles=session.handles.usage(),
    )
