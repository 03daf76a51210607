"""One ascent step of each named critic on its part of a scored batch."""

from torch import Tensor

from py_worker.losses.ascent import critic_backward
from py_worker.losses.scored import ScoredBatch
from py_worker.ops.support.halving import until_it_fits
from py_worker.protocol_gen import StepCriticArgs, StepCriticResult
from py_worker.session.context import OperationContext
from py_worker.session.errors import ArgumentError
from py_worker.session.held import require_part
from py_worker.session.session import Session, TrainedCritic

_LATEST = ("gradient_norm", "skipped")
"""Metrics of the last turn that keep their plain names."""

_NOISE = 1e-4
"""Gradient norm over the objective below which a critic under a penalty stays as it is (our choice).

Its objective is concave in its values then, so there is nothing to learn; one under `tanh` may be saturated.
A critic that begins as its own best answer, as one of head `policy` on the student's states, has 1e-8 to 2e-6
then, of rounding, and 2e-3 to 1e-1 from the next step on; others were never below 0.8 (LOG.md, 2026-11-27).
"""


def run(session: Session, args: StepCriticArgs, context: OperationContext) -> StepCriticResult:
    """All gradients first, then all updates: a failure before them leaves every critic as it was."""
    batch = session.handles.get(args.batch, ScoredBatch).batch
    names = [update.critic for update in args.updates]
    if len(set(names)) != len(names):
        raise ArgumentError(f"updates: a critic is named twice in {', '.join(names)}; one step each")
    for update in args.updates:
        require_part(batch, update.part, f"updates: critic {update.critic!r}")
    critics = {name: session.critic(name) for name in names}

    def compute(scored: ScoredBatch, chunk_size: int | None) -> dict[str, dict[str, Tensor]]:
        return _gradients(session, args, context, scored, critics, chunk_size)

    def discard() -> None:
        for trained in critics.values():
            trained.optimizer.discard_gradients()

    try:
        fitted = until_it_fits(
            session, args.batch, context, compute, passes=False, chunks=True, discard=discard
        )
        context.commit()
        fitted.adopt(session, args.batch, context)
        metrics = fitted.result
        for name, trained in critics.items():
            metrics[name] |= _update(trained, args, metrics[name].get("objective"))
    finally:
        discard()
    _record(session, args, metrics)
    return StepCriticResult()


def _gradients(
    session: Session,
    args: StepCriticArgs,
    context: OperationContext,
    scored: ScoredBatch,
    critics: dict[str, TrainedCritic],
    chunk_size: int | None,
) -> dict[str, dict[str, Tensor]]:
    student, teacher = session.role("student").policy, session.role("teacher").policy
    return {
        update.critic: critic_backward(
            critics[update.critic].critic,
            scored,
            update.part,
            student=student,
            teacher=teacher,
            chunk_size=chunk_size,
            diagnostics=args.diagnostics and args.turn == 0,
            tick=context.check,
        )
        for update in args.updates
    }


def _update(trained: TrainedCritic, args: StepCriticArgs, objective: Tensor | None) -> dict[str, Tensor]:
    """Weights, then what follows them: spectral norms and the average. A held update moves none of it."""
    floor = None
    if objective is not None and trained.critic.spec.bound != "tanh":
        floor = objective.abs() * _NOISE
    metrics = trained.optimizer.step(lr=args.lr, clip_norm=args.clip_norm, floor=floor)
    applied = metrics.pop("applied", 1.0 - metrics["skipped"])
    decay = trained.critic.spec.target_decay
    trained.critic.follow_update(applied)
    if trained.average is not None and decay is not None:
        trained.average.average_in(trained.critic, decay, applied)
    return metrics


def _record(session: Session, args: StepCriticArgs, metrics: dict[str, dict[str, Tensor]]) -> None:
    """`critic/NAME/...`: as it was before the step's first update, and `..._last` before its last."""
    for name, values in metrics.items():
        for metric, value in values.items():
            again = args.turn > 0 and metric not in _LATEST
            session.metrics.record(args.step, f"critic/{name}/{metric}{'_last' if again else ''}", value)
