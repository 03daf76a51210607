"""Snapshots the session between two steps and starts writing it."""

from pathlib import Path
from typing import Final

from py_worker.protocol_gen import StageCheckpointArgs, StageCheckpointResult
from py_worker.session.checkpoint_files import write_snapshot
from py_worker.session.context import OperationContext
from py_worker.session.errors import CheckpointError
from py_worker.session.session import Session
from py_worker.session.session_state import take_snapshot

MAX_STAGED: Final = 2
"""Snapshots in memory: one being written while the next is taken."""


def run(session: Session, args: StageCheckpointArgs, context: OperationContext) -> StageCheckpointResult:
    """The copy is made before the reply, so that what follows may change the weights."""
    folder = Path(args.dir)
    if args.checkpoint in session.staged:
        raise CheckpointError(f"checkpoint {args.checkpoint!r} is staged already; commit it first")
    if len(session.staged) >= MAX_STAGED:
        raise CheckpointError(
            f"{MAX_STAGED} checkpoints are staged: {', '.join(session.staged)}; commit them first"
        )
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; make it first")
    snapshot = take_snapshot(session)
    context.commit()
    session.staged[args.checkpoint] = session.writer.submit(write_snapshot, snapshot, folder)
    return StageCheckpointResult(bytes=snapshot.bytes)
