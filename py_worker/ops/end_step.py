"""Ends a step: its metrics go to the controller, its handles are freed."""

from py_worker.protocol_gen import EndStepArgs, EndStepResult
from py_worker.session.context import OperationContext
from py_worker.session.outcome import Late
from py_worker.session.session import Session


def run(session: Session, args: EndStepArgs, context: OperationContext) -> Late:
    """The one copy from the device of a step; on CUDA it is read when the device has come this far."""
    context.commit()
    read = session.metrics.take(args.step)
    session.handles.end_step(args.step)
    handles = session.handles.usage()
    return Late(lambda: EndStepResult(metrics=read(), handles=handles))
