"""Frees roles, critics, datasets, handles and metrics."""

import torch

from py_worker.ops.support.specs import given
from py_worker.protocol_gen import ResetArgs, ResetResult
from py_worker.session.context import OperationContext
from py_worker.session.host_memory import give_back
from py_worker.session.session import Session


def run(session: Session, args: ResetArgs, context: OperationContext) -> ResetResult:
    """The settings of `configure` stay.

    Raises:
        NotLoadedError: there is no teacher to keep.
    """
    keep_teacher = given(args.keep_teacher) or False
    if keep_teacher:
        session.role("teacher")
    context.commit()
    session.reset(keep_teacher=keep_teacher)
    # Models hold reference cycles; without a collection their memory would stay until some later one. After a
    # stage of 135 M parameters 0.7 GiB of the heap were free and the system had none of it.
    give_back()
    if session.device.type == "cuda":
        torch.cuda.empty_cache()
    return ResetResult()
