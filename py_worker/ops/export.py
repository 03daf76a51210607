"""Writes a role in Hugging Face format, or its adapters in PEFT's."""

import shutil
from pathlib import Path
from tempfile import mkdtemp

from py_worker.models.errors import ModelError
from py_worker.models.saving import save_policy, save_policy_adapters
from py_worker.ops.support.specs import given
from py_worker.protocol_gen import ExportArgs, ExportResult, FileHash
from py_worker.session.checkpoint_files import FILE_ERRORS, flush_and_hash, flush_folder
from py_worker.session.context import OperationContext
from py_worker.session.session import Session


def run(session: Session, args: ExportArgs, context: OperationContext) -> ExportResult:
    """Written beside the folder and moved into it file by file, so that no file there is ever half a file."""
    policy = session.role(args.role).policy
    save = save_policy_adapters if given(args.form) == "adapter" else save_policy
    folder = Path(args.dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for killed in folder.glob(".export-*"):
            shutil.rmtree(killed, ignore_errors=True)
        fresh = Path(mkdtemp(prefix=".export-", dir=folder))
    except OSError as error:
        raise ModelError(f"{folder}: cannot be written: {error}") from error
    try:
        save(policy, fresh)
        hashes = [flush_and_hash(path, fresh) for path in sorted(fresh.rglob("*")) if path.is_file()]
        context.commit()
        _move(fresh, folder, hashes)
    except FILE_ERRORS as error:
        raise ModelError(f"{folder}: cannot be written: {error}; free some space there") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return ExportResult(files=hashes)


def _move(fresh: Path, folder: Path, hashes: list[FileHash]) -> None:
    for written in hashes:
        target = folder / written.name
        target.parent.mkdir(parents=True, exist_ok=True)
        (fresh / written.name).replace(target)
    flush_folder(folder)
