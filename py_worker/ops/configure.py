"""Sets device, threads and budgets."""

import torch

from py_worker.losses.loss_form import LossForm, check_form
from py_worker.models.attention import leave_out_cudnn, repeat_heads_where_needed
from py_worker.ops.support.specs import given
from py_worker.protocol_gen import ConfigureArgs, ConfigureResult
from py_worker.session.context import OperationContext
from py_worker.session.cores import own_threads
from py_worker.session.errors import ArgumentError, UnsupportedError
from py_worker.session.gpus import gpu_names, shown_in_words
from py_worker.session.host_memory import resident_bytes
from py_worker.session.session import Session, Settings


def run(session: Session, args: ConfigureArgs, context: OperationContext) -> ConfigureResult:
    """May come again; the device can change only while nothing is loaded."""
    device = _device(args.device)
    loss_form: LossForm = given(args.loss_form) or "auto"
    if session.settings is not None and device != session.settings.device and session.roles:
        raise ArgumentError(
            f"device: models are on {session.settings.device}; send reset before changing to {device}"
        )
    try:
        check_form(loss_form, device)
    except ValueError as error:
        raise ArgumentError(f"loss_form: {error}") from error
    if device.type == "cuda":
        _take(device)
    context.commit()
    if device.type == "cuda":
        leave_out_cudnn()
        repeat_heads_where_needed()
        # Images of NVIDIA's set TORCH_ALLOW_TF32_CUBLAS_OVERRIDE, with which float32 has 10 bits of mantissa.
        torch.set_float32_matmul_precision("highest")
    threads = args.threads or own_threads(torch.get_num_threads())
    if args.threads > 0 or threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    if session.settings is None:
        session.resident_at_start = resident_bytes()
    session.settings = Settings(device, args.cache_dir, args.position_chunk or None, loss_form)
    session.drawn_rows.configured = args.rollout_rows or None
    session.handles.budgets["step"] = args.step_budget_bytes
    session.handles.budgets["buffer"] = args.buffer_budget_bytes
    return ConfigureResult(device=_in_words(device), threads=torch.get_num_threads())


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda:0" if gpu_names() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ArgumentError(f"device: {name!r} is none; use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        index = device.index or 0
        if index >= len(gpu_names()):
            raise ArgumentError(
                f"device: {name} is not there; this worker sees {shown_in_words()}; use cpu or auto"
            )
        return torch.device("cuda", index)
    if device.type != "cpu":
        raise ArgumentError(f"device: {name} is not supported; use auto, cpu, cuda or cuda:N")
    return torch.device("cpu")


def _take(device: torch.device) -> None:
    """Makes a GPU the current one, to which all belongs that names none, as graphs do.

    Raises:
        UnsupportedError: it cannot be used, as one that another process has for itself.
    """
    try:
        torch.cuda.set_device(device)
    except RuntimeError as error:
        raise UnsupportedError(f"device: {device} cannot be used: {error}") from error


def _in_words(device: torch.device) -> str:
    return f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else "cpu"
