"""Makes a critic with its optimizer."""

import re
from typing import Final

from py_worker.models.critics.critic import build_critic
from py_worker.models.optimizer import Optimizer
from py_worker.ops.support.specs import argument_errors, critic_spec, optimizer_spec
from py_worker.protocol_gen import LoadCriticArgs, LoadCriticResult
from py_worker.session.context import OperationContext
from py_worker.session.errors import ArgumentError
from py_worker.session.session import Session, TrainedCritic

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
"""It becomes part of a file's name in checkpoints."""


def run(session: Session, args: LoadCriticArgs, context: OperationContext) -> LoadCriticResult:
    """Needs both roles: its values are over the vocabulary that they share."""
    if not _NAME.fullmatch(args.critic):
        raise ArgumentError(f"critic: {args.critic!r} is no name; use letters, digits, _ and -")
    if args.critic in session.critics:
        raise ArgumentError(f"critic: {args.critic!r} is loaded already; send reset first")
    roles = {name: session.role(name).policy for name in ("teacher", "student")}
    spec = critic_spec(args.spec)
    with argument_errors():
        critic = build_critic(spec, roles[spec.features])
        optimizer = Optimizer(critic.named_parameters(), optimizer_spec(args.optimizer))
    # Built again rather than copied: it begins equal, and shares the teacher's table.
    average = None if spec.target_decay is None else build_critic(spec, roles[spec.features])
    if average is not None:
        average.requires_grad_(False)
    context.commit()
    session.critics[args.critic] = TrainedCritic(critic, optimizer, average)
    return LoadCriticResult(parameters=sum(parameter.numel() for parameter in critic.parameters()))
