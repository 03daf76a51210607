"""Loads the teacher or the student."""

import torch
from msgspec import UNSET

from py_worker.data.tokenizer_hash import tokenizer_hash
from py_worker.models.errors import ModelError
from py_worker.models.loading.load import load_policy
from py_worker.models.loading.sources import hub_commit
from py_worker.models.loss_scale import LossScale
from py_worker.models.optimizer import Optimizer
from py_worker.models.policy import Policy
from py_worker.ops.support.specs import given, optimizer_spec, role_spec
from py_worker.protocol_gen import LoadRoleArgs, LoadRoleResult
from py_worker.rollout.engine import AUTO, select_engine
from py_worker.session.context import OperationContext
from py_worker.session.errors import ArgumentError, UnsupportedError
from py_worker.session.session import Role, Session


def run(session: Session, args: LoadRoleArgs, context: OperationContext) -> LoadRoleResult:
    """Teacher first, so that the student is checked against it; `reset` before anything is loaded anew."""
    settings = session.configured()
    _check_order(session, args)
    _check_precision(args)
    _check_offload(args)
    loaded = session.roles.get("teacher")
    teacher = None if loaded is None else loaded.policy
    policy = load_policy(role_spec(args), device=settings.device, teacher=teacher)
    selection = select_engine(policy, name=given(args.engine) or AUTO)
    role = Role(policy, selection.engine, _prepare(policy, args), engine_choice=given(args.engine) or AUTO)
    offload_note = _offload(policy) if given(args.offload) else None
    context.commit()
    session.roles[args.role] = role
    if teacher is not None:
        teacher.limit_vocabulary(policy.vocab_size)
    return _describe(role, [note for note in (selection.note, offload_note) if note is not None])


def _check_order(session: Session, args: LoadRoleArgs) -> None:
    if args.role in session.roles:
        raise ArgumentError(f"role: a {args.role} is loaded already; send reset first")
    if args.role == "teacher" and "student" in session.roles:
        raise ArgumentError(
            "role: load the teacher before the student, whose vocabulary is checked against it"
        )
    for field in ("optimizer", "lora"):
        if args.role == "teacher" and given(getattr(args, field)) is not None:
            raise ArgumentError(
                f"{field}: only the student is trained; load the model as the student to train it"
            )


def _check_precision(args: LoadRoleArgs) -> None:
    """AdamW on 16-bit weights is another algorithm: updates below 2^-9 of a weight are rounded away.

    Adapters are in float32 whatever the weights' dtype.
    """
    if given(args.optimizer) is None:
        return
    if args.model.dtype != "float32" and given(args.lora) is None:
        raise UnsupportedError(
            f"model.dtype: {args.model.dtype} weights cannot be trained; use dtype: float32 with "
            "compute_dtype: bfloat16"
        )


def _check_offload(args: LoadRoleArgs) -> None:
    if given(args.offload) and given(args.optimizer) is not None:
        raise ArgumentError(
            "offload: weights that are trained stay on the device, with their gradients; leave it out"
        )


def _offload(policy: Policy) -> str | None:
    """Moves the weights to host memory; what there is to say about it."""
    if policy.device.type == "cpu":
        return "Offloading has no effect on the device cpu: its memory is the host's."
    policy.offload()
    return None


def _prepare(policy: Policy, args: LoadRoleArgs) -> Optimizer | None:
    spec = given(args.optimizer)
    if spec is None:
        policy.freeze()
        return None
    try:
        return Optimizer(policy.trainable(), optimizer_spec(spec), _loss_scale(policy))
    except ValueError as error:
        raise ModelError(f"{args.model.source}: {error}") from error


def _loss_scale(policy: Policy) -> LossScale | None:
    """Small gradients are 0 in float16 without one; bfloat16 has the range of float32."""
    half = torch.float16 in (policy.dtype, policy.compute_dtype)
    return LossScale(policy.device) if half else None


def _describe(role: Role, notes: list[str]) -> LoadRoleResult:
    policy = role.policy
    return LoadRoleResult(
        parameters=sum(parameter.numel() for parameter in policy.module.parameters()),
        trained_parameters=0 if role.optimizer is None else role.optimizer.size,
        vocabulary=policy.vocab_size,
        hidden_size=policy.hidden_size,
        layers=policy.module.config.get_text_config().num_hidden_layers,
        architecture=type(policy.module).__name__,
        tokenizer_hash=tokenizer_hash(policy.tokenizer),
        eos_ids=list(policy.eos_ids),
        engine=role.engine.name,
        revision=hub_commit(policy.name) or UNSET,
        notes=notes,
    )
