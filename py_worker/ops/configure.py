"""Sets device, threads and budgets."""

import torch

from py_worker.losses.loss_form import LossForm, check_form
from py_worker.models.attention import leave_out_cudnn
from py_worker.ops.support.specs import given
from py_worker.protocol_gen import ConfigureArgs, ConfigureResult
from py_worker.session.context import OperationContext
from py_worker.session.errors import ArgumentError
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
    context.commit()
    if device.type == "cuda":
        # What names no device belongs to the current one, which is the first: graphs, and the context (some
        # 500 MiB) of whatever pins host memory. Workers of a sweep would all have one there.
        torch.cuda.set_device(device)
        leave_out_cudnn()
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    if session.settings is None:
        session.resident_at_start = resident_bytes()
    session.settings = Settings(device, args.cache_dir, args.position_chunk or None, loss_form)
    session.drawn_rows.configured = args.rollout_rows or None
    session.handles.budgets["step"] = args.step_budget_bytes
    session.handles.budgets["buffer"] = args.buffer_budget_bytes
    return ConfigureResult(device=_in_words(device), threads=torch.get_num_threads())


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ArgumentError(f"device: {name!r} is none; use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        index, count = device.index or 0, torch.cuda.device_count()
        if index >= count:
            raise ArgumentError(
                f"device: {name} is not there; this worker sees {count} CUDA devices; use cpu or auto"
            )
        return torch.device("cuda", index)
    if device.type != "cpu":
        raise ArgumentError(f"device: {name} is not supported; use auto, cpu, cuda or cuda:N")
    return torch.device("cpu")


def _in_words(device: torch.device) -> str:
    return f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else "cpu"
