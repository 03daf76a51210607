"""From a Python exception to the error of a reply.

An exception states its code of the contract in a class attribute `code`; exceptions of other libraries stand
in `FOREIGN_CODES`. Everything else is a defect of the worker: `internal`, with the traceback in the detail.
"""

import traceback
from typing import Final, cast, get_args

import torch
from msgspec import UNSET, UnsetType

from py_worker.protocol_gen import ErrorCode, ErrorInfo

CODES: Final[frozenset[str]] = frozenset(get_args(ErrorCode))
FOREIGN_CODES: Final[tuple[tuple[type[BaseException], ErrorCode], ...]] = (
    (torch.OutOfMemoryError, "out_of_memory"),
    (MemoryError, "out_of_memory"),
)
OUT_OF_MEMORY_TEXTS: Final = (
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "Triton Error [CUDA]: out of memory",
)
"""Texts of torch's errors without a class of their own: from the host, a library's workspace, the driver."""
MAX_TEXT: Final = 65536
"""Longest message and detail of the contract, in characters."""


class WorkerError(Exception):
    """An error that a reply names by its code; the message names the place and the remedy."""

    code: ErrorCode = "internal"


class ArgumentError(WorkerError):
    """An argument that the contract's types allow and this session cannot use."""

    code = "invalid_argument"


class UnsupportedError(WorkerError):
    """A known model or setting that is not supported; the message says what is."""

    code = "unsupported"


class NotLoadedError(WorkerError):
    """A role, critic or dataset that an operation needs is not loaded."""

    code = "not_loaded"


class UnknownHandleError(WorkerError):
    """No live handle of that name."""

    code = "unknown_handle"


class HandleExistsError(WorkerError):
    """A live handle has that name already."""

    code = "handle_exists"


class OverBudgetError(WorkerError):
    """A scope's byte budget would be exceeded."""

    code = "over_budget"


class CheckpointError(WorkerError):
    """A checkpoint is missing, incomplete, of other settings, or its hash is wrong."""

    code = "checkpoint_error"


class CancelledError(WorkerError):
    """Cancelled before the commit point."""

    code = "cancelled"


class DeadlineError(WorkerError):
    """Over the deadline before the commit point."""

    code = "deadline"


class QueueTimeoutError(WorkerError):
    """Waited in the queue for too long."""

    code = "queue_timeout"


class OversizeError(WorkerError):
    """A body, frame or frame count over its limit."""

    code = "oversize"


def code_of(error: BaseException) -> ErrorCode:
    """The contract's code of an exception."""
    code = getattr(error, "code", None)
    if isinstance(code, str) and code in CODES:
        return cast(ErrorCode, code)
    for kind, foreign in FOREIGN_CODES:
        if isinstance(error, kind):
            return foreign
    text = str(error)
    return "out_of_memory" if any(known in text for known in OUT_OF_MEMORY_TEXTS) else "internal"


def error_info(error: BaseException, *, applied: bool) -> ErrorInfo:
    """The error of a reply; the traceback is in the detail and nowhere else."""
    code = code_of(error)
    message = str(error) or type(error).__name__
    if code == "internal":
        message = f"{type(error).__name__}: {message}"
    detail = "".join(traceback.format_exception(error))
    return make_error(code, message, applied=applied, detail=detail)


def make_error(
    code: ErrorCode,
    message: str,
    *,
    applied: bool = False,
    detail: str | UnsetType = UNSET,
    aborted_by: int | UnsetType = UNSET,
) -> ErrorInfo:
    """An error within the contract's bounds; of a long detail the end is kept, where the cause is."""
    return ErrorInfo(
        code=code,
        message=message[:MAX_TEXT],
        detail=detail[-MAX_TEXT:] if isinstance(detail, str) else UNSET,
        aborted_by=aborted_by,
        applied=applied,
    )
