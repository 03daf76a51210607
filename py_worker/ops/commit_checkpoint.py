"""Answers when a staged checkpoint is on disk."""

from concurrent.futures import Future

from msgspec import Struct

from py_worker.protocol_gen import CommitCheckpointArgs, CommitCheckpointResult
from py_worker.session.context import OperationContext
from py_worker.session.errors import CheckpointError
from py_worker.session.outcome import Eventually
from py_worker.session.session import Session


def run(session: Session, args: CommitCheckpointArgs, context: OperationContext) -> Eventually:
    """Training goes on meanwhile: the reply comes from the thread that writes."""
    if args.checkpoint not in session.staged:
        staged = ", ".join(session.staged) or "none"
        raise CheckpointError(f"checkpoint {args.checkpoint!r} is not staged; staged: {staged}")
    context.commit()
    written = session.staged.pop(args.checkpoint)
    result: Future[Struct] = Future()

    def pass_on(_: object) -> None:
        error = written.exception()
        if error is None:
            result.set_result(CommitCheckpointResult(files=written.result()))
        else:
            result.set_exception(error)

    written.add_done_callback(pass_on)
    return Eventually(result)
