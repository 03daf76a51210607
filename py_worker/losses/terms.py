"""Terms of the student's objective, bound to what they name, and the chunk of positions each one sees."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from py_worker.losses.analytic import TileLoss
from py_worker.losses.errors import LossError
from py_worker.losses.objectives import Chunk, Objective, find_objective
from py_worker.losses.returns import Returns
from py_worker.losses.scored import ScoredBatch
from py_worker.models.critics.critic import Critic
from py_worker.models.policy import Policy


@dataclass(frozen=True)
class Term:
    """One term of the student's objective: `weight` times the mean loss over its part's tokens.

    Attributes:
        name: in the metrics.
        objective: name in the registry of objectives.
        part: a part of the batch, or `all`.
        weight: factor of the mean.
        critic: name of the critic whose values the objective takes.
        params: parameters of the objective.
        gamma: discount per position: the loss at position t of a response, from 0, counts γ^t. The mean is
            over tokens all the same.
        drop_discount: leave the factor γ^t out, and keep γ in the returns alone.
        returns: the part of the gradient that goes through the distribution of states; None is the gradient
            at the given states alone.
    """

    name: str
    objective: str
    part: str
    weight: float = 1.0
    critic: str | None = None
    params: Mapping[str, float] = field(default_factory=dict)
    gamma: float = 1.0
    drop_discount: bool = False
    returns: Returns | None = None


@dataclass(frozen=True)
class BoundTerm:
    """A term with what its names stand for, and the tokens its mean is over."""

    term: Term
    objective: Objective
    params: Mapping[str, float]
    critic: Critic | None
    tokens: int

    def covers(self, part: str) -> bool:
        """Whether positions of that part count."""
        return self.term.part in ("all", part)

    def loss(self, chunk: Chunk) -> Tensor:
        """[N], not discounted."""
        return self.objective.loss(chunk, self.params)

    @property
    def factor(self) -> float:
        """Factor of the sum over the part's positions: the weight over the count that the mean is over."""
        return self.term.weight / max(self.tokens, 1)

    @property
    def analytic(self) -> TileLoss | None:
        """The loss with its gradient by formula, where the objective has one."""
        return None if self.objective.analytic is None else self.objective.analytic(self.params)

    def discounted(self, losses: Tensor, steps: Tensor) -> Tensor:
        """`γ^t` times `losses [N]` at `steps [N]` of their responses: the only place where that factor is."""
        term = self.term
        if term.gamma == 1.0 or term.drop_discount:
            return losses
        return losses * term.gamma ** steps.to(losses.dtype)


def bind(
    term: Term,
    scored: ScoredBatch,
    teacher: Policy | None,
    critics: Mapping[str, Critic],
    tokens: int,
) -> BoundTerm:
    """Finds what a term names.

    Raises:
        LossError: naming the term, what is not there or cannot be, and the remedy.
    """
    objective = find_objective(term.objective)
    if objective.needs_teacher and (teacher is None or scored.teacher_hidden is None):
        raise LossError(
            f"term {term.name!r}: objective {term.objective!r} needs the teacher's hidden states; "
            "score the batch with the teacher first"
        )
    if not 0.0 <= term.gamma <= 1.0:
        raise LossError(f"term {term.name!r}: gamma must lie in [0, 1], not {term.gamma}")
    critic = None
    if objective.needs_critic:
        if term.critic is None or term.critic not in critics:
            known = ", ".join(sorted(critics)) or "none"
            raise LossError(
                f"term {term.name!r}: needs a critic, names {term.critic!r}, and there is {known}"
            )
        critic = critics[term.critic]
    try:
        params = objective.parameters(term.params)
    except LossError as error:
        raise LossError(f"term {term.name!r}: {error}") from error
    bound = BoundTerm(term, objective, params, critic, tokens)
    if term.returns is not None:
        _check_returns(bound, term.returns, scored)
    return bound


def _check_returns(bound: BoundTerm, returns: Returns, scored: ScoredBatch) -> None:
    objective, where = bound.objective, f"term {bound.term.name!r}: returns"
    if objective.reads_target:
        raise LossError(
            f"{where} need costs of states, and {objective.name!r} is a loss of the token that follows; "
            "leave them out"
        )
    if returns.sampled and objective.sample is None:
        raise LossError(
            f"{where} with gradient {returns.gradient} and costs {returns.costs} need one-sample estimates, "
            f"and {objective.name!r} has none; take gradient return with costs exact"
        )
    temperature = bound.params.get("temperature", 1.0)
    if returns.sampled and temperature != 1.0:
        raise LossError(
            f"{where} with one-sample estimates need an objective at temperature 1, that of the policy which "
            f"draws the tokens, not {temperature}; take gradient return with costs exact"
        )
    if returns.clip and returns.importance != "token":
        raise LossError(
            f"{where} clip the ratio of each token; set importance to token, not {returns.importance}, or "
            "clip to 0"
        )
    if scored.student_hidden is None:
        raise LossError(
            f"{where} need the student's hidden states over the whole step; score the batch with the student "
            "first (values, or graph with one micro-batch)"
        )
    if returns.importance != "none":
        _check_log_probs(bound, where, scored)


def _check_log_probs(bound: BoundTerm, where: str, scored: ScoredBatch) -> None:
    batch = scored.batch
    log_probs = batch.log_probs or (None,) * len(batch)
    rows = zip(batch.parts, batch.sample_ids, batch.positions().counts, log_probs, strict=True)
    missing = [sample for part, sample, count, row in rows if bound.covers(part) and count and row is None]
    if missing:
        raise LossError(
            f"{where} weigh by importance, and {len(missing)} rows of part {bound.term.part!r} (sample "
            f"{missing[0]} first) have no log-probabilities from the distribution that drew them; take "
            "rollouts, or importance none"
        )


def frozen_logits(policy: Policy | None, hidden: Tensor | None, where: slice) -> Tensor | None:
    """Logits [N, V] without gradient at a range of positions; None without policy or states."""
    if policy is None or hidden is None:
        return None
    with torch.no_grad():
        return policy.logits(hidden[where])


def term_chunk(
    bound: BoundTerm,
    scored: ScoredBatch,
    where: slice,
    student_hidden: Tensor,
    student_logits: Tensor,
    teacher_logits: Tensor | None,
) -> Chunk:
    """What a term's objective sees of a range of positions.

    Args:
        bound: the term.
        scored: the batch that `where` counts in.
        where: the range.
        student_hidden: [N, H] there.
        student_logits: [N, V] there.
        teacher_logits: [N, V] there, for terms that need them.
    """
    values = None
    if bound.critic is not None:
        own = bound.critic.spec.features == "student"
        features = student_hidden if own else scored.teacher_hidden
        if features is not None:
            with torch.no_grad():
                values = bound.critic.values(features if own else features[where], teacher_logits)
    return Chunk(student_logits, teacher_logits, scored.batch.positions().target[where], values)
