"""Frees roles, critics, datasets, handles and metrics."""

import torch

from py_worker.server.context import OperationContext
from py_worker.server.host_memory import give_back
from py_worker.server.protocol_gen import ResetArgs, ResetResult
from py_worker.server.session import Session


def run(session: Session, _args: ResetArgs, context: OperationContext) -> ResetResult:
    """The settings of `configure` stay."""
    context.commit()
    session.reset()
    # Models hold reference cycles; without a collection their memory would stay until some later one. After a
    # stage of 135 M parameters 0.7 GiB of the heap were free and the system had none of it.
    give_back()
    if session.device.type == "cuda":
        torch.cuda.empty_cache()
    return ResetResult()
