"""Writes a dataset of the literature as JSON lines, with a manifest."""

from pathlib import Path

from py_worker.data.importers.registry import IMPORTERS
from py_worker.data.importers.run import import_dataset
from py_worker.data.importers.writer import Written
from py_worker.ops.support.specs import given
from py_worker.protocol_gen import FileHash, ImportDataArgs, ImportDataResult
from py_worker.session.context import OperationContext
from py_worker.session.errors import ArgumentError
from py_worker.session.session import Session


def run(_session: Session, args: ImportDataArgs, context: OperationContext) -> ImportDataResult:
    """The session knows nothing of it: a run reads the files that this leaves."""
    importer = IMPORTERS.get(args.importer)
    if importer is None:
        raise ArgumentError(f"importer: no importer {args.importer!r}; there are {', '.join(IMPORTERS)}")
    made = import_dataset(
        importer,
        given(args.source),
        Path(args.dir),
        seed=args.seed,
        limit=given(args.limit),
        tick=context.check,
        commit=context.commit,
    )
    return ImportDataResult(
        files=[*map(_file_hash, made.splits.values()), _file_hash(made.manifest)],
        rows={split: written.rows for split, written in made.splits.items()},
        dropped=dict(made.dropped),
        notes=list(made.notes),
    )


def _file_hash(written: Written) -> FileHash:
    return FileHash(name=written.name, bytes=written.bytes, sha256=written.sha256)
