"""Puts a checkpoint's state into what is loaded."""

from pathlib import Path

from py_worker.protocol_gen import RestoreArgs, RestoreResult
from py_worker.session.checkpoint_files import read_snapshot
from py_worker.session.context import OperationContext
from py_worker.session.session import Session
from py_worker.session.session_state import plan_restore


def run(session: Session, args: RestoreArgs, context: OperationContext) -> RestoreResult:
    """Hashes, names, shapes, dtypes and room are checked before anything changes; all handles are freed."""
    snapshot = read_snapshot(Path(args.dir), args.files)
    context.check()
    apply = plan_restore(session, snapshot)
    context.commit()
    session.end_background()  # Another student may have the version of the one that its copy was made from.
    apply()
    return RestoreResult(policy_version=snapshot.state["policy_version"])
