"""Frees handles of the buffer or session scope."""

from py_worker.protocol_gen import DropArgs, DropResult
from py_worker.session.context import OperationContext
from py_worker.session.errors import ArgumentError
from py_worker.session.handles import scope_of
from py_worker.session.session import Session


def run(session: Session, args: DropArgs, context: OperationContext) -> DropResult:
    """All of them or, when one is not alive, none."""
    of_a_step = [name for name in args.handles if scope_of(name) == "step"]
    if of_a_step:
        raise ArgumentError(f"handles: {of_a_step[0]} is of a step; end_step frees it")
    session.handles.require_alive(args.handles)
    context.commit()
    session.handles.drop(args.handles)
    return DropResult()
