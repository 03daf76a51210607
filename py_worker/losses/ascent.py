"""Backward of a critic's objective: the largest moment gap between teacher and student on given states."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from py_worker.losses.diagnostics import DeviceSums
from py_worker.losses.driver import default_chunk_size
from py_worker.losses.scored import ScoredBatch
from py_worker.models.critic import Critic
from py_worker.models.policy import Policy
from py_worker.models.spec import CriticSpec

SMALLEST_TV = 1e-6
"""Mean total variation below which tightness is undefined (nan): it would be a ratio of rounding errors."""


@dataclass(frozen=True)
class _Densities:
    """Next-token probabilities `[N, V]` of one chunk, without gradient."""

    teacher: Tensor
    student: Tensor

    def measure(self, bound: str) -> Tensor:
        """μ of the penalty and of the value statistics."""
        return self.student if bound == "student" else 0.5 * (self.teacher + self.student)


def critic_backward(
    critic: Critic,
    scored: ScoredBatch,
    part: str,
    *,
    student: Policy,
    teacher: Policy,
    chunk_size: int | None = None,
    diagnostics: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, Tensor]:
    """Accumulates on the critic the gradient of minus its objective, a mean over the part's tokens.

    The objective is the mean of `Δ_f`; for the bounds `mixture` and `student` it is the mean of
    `Δ_f − ½ E_μ f²` with `f` before clipping, whose maximiser is `(π* − π_θ)/μ` (derived). A gradient
    penalty is taken from that; see `_gradient_penalty`.

    Args:
        critic: to be trained by one ascent step.
        scored: with teacher's and student's hidden states; graphs are not touched.
        part: the part whose states count, or `all`.
        student: whose head gives `π_θ`.
        teacher: whose head gives `π*`.
        chunk_size: positions per chunk.
        diagnostics: also measure tightness and values, before the update.
        tick: called before each chunk; may raise to stop.

    Returns:
        Device scalars. `gap`: mean `Δ_f` of the bounded critic; `objective`, without the gradient penalty;
        with one `gradient_penalty` and `feature_gradient_norm`. With diagnostics `tv`;
        `tightness`, `ΣΔ_f / (2B·ΣTV)`, at most 1, nan where both policies agree; for penalties
        `optimality`, the objective over its largest possible value; `value_rms` and `saturated` (share of
        `|f| > 0.95·B`) under μ; `value_max`. Empty when the part has no tokens.

    Raises:
        ValueError: the batch was scored without teacher or student.
    """
    if scored.teacher_hidden is None or scored.student_hidden is None:
        raise ValueError("a critic's step needs a batch scored with both teacher and student")
    tokens = scored.token_counts().get(part, 0)
    sums = DeviceSums()
    features = scored.teacher_hidden if critic.spec.features == "teacher" else scored.student_hidden
    for piece in scored.pieces(chunk_size or default_chunk_size(student.vocab_size, student.device)):
        if part not in ("all", piece.part):
            continue
        tick()
        where = slice(piece.start, piece.stop)
        with torch.no_grad():
            densities = _Densities(
                teacher.logits(scored.teacher_hidden[where]).softmax(-1),
                student.logits(scored.student_hidden[where].detach()).softmax(-1),
            )
        _chunk_backward(critic, features[where], densities, tokens, sums, diagnostics)
    return _metrics(critic, sums, tokens)


def _chunk_backward(
    critic: Critic, features: Tensor, densities: _Densities, tokens: int, sums: DeviceSums, diagnostics: bool
) -> None:
    spec = critic.spec
    inputs = critic.inputs(features).requires_grad_(spec.gradient_penalty > 0.0)
    raw = critic.head(inputs)
    bounded = critic.bounded(raw)
    difference = densities.teacher - densities.student
    # Under a penalty ½ E_μ f² the unclipped values: a clipped one would have no gradient to come back by.
    objective = gap = (difference * (bounded if spec.bound == "tanh" else raw)).sum()
    if spec.bound != "tanh":
        objective = gap - (0.5 * densities.measure(spec.bound) * raw.square()).sum()
    sums.add("objective", objective)
    if spec.gradient_penalty > 0.0:
        objective = objective - _gradient_penalty(gap, inputs, spec, sums)
    torch.autograd.backward(objective / -tokens)
    with torch.no_grad():
        sums.add("gap", difference * bounded)
        if diagnostics:
            _add_statistics(critic, bounded, difference, densities.measure(spec.bound), sums)


def _gradient_penalty(gap: Tensor, inputs: Tensor, spec: CriticSpec, sums: DeviceSums) -> Tensor:
    """`weight · Σ_s (‖∇_x Δ_f(s)‖ − target)²` over the positions of a chunk, differentiable (as in AdVIL).

    Our choices: x is what the head sees, the normalised features, so that the model's scale does not matter;
    the scalar is the position's moment gap with constant policies, since that is what the student descends
    and what a value added to all tokens of a state does not change. It shrinks with `π* − π_θ`: a target
    over 0 asks for steeper values where the policies nearly agree.
    """
    (gradient,) = torch.autograd.grad(gap, inputs, create_graph=True)
    norms: Tensor = torch.linalg.vector_norm(gradient, dim=-1)
    penalty = spec.gradient_penalty * (norms - spec.gradient_penalty_target).square().sum()
    sums.add("feature_gradient_norm", norms)
    sums.add("gradient_penalty", penalty)
    return penalty


def _add_statistics(
    critic: Critic, values: Tensor, difference: Tensor, measure: Tensor, sums: DeviceSums
) -> None:
    sums.add("tv", 0.5 * difference.abs())
    sums.add("value_square", measure * values.square())
    sums.add("saturated", measure * (values.abs() > 0.95 * critic.spec.bound_value))
    sums.raise_to("value_max", values.abs())
    if critic.spec.bound != "tanh":
        # ½ Σ (π* − π_θ)²/μ. Where a mixture underflows to 0 so does the difference; where only the student
        # does, the sum is huge by right, and the optimality near 0.
        sums.add("largest", 0.5 * difference.square() / measure.clamp(min=torch.finfo(measure.dtype).tiny))


def _metrics(critic: Critic, sums: DeviceSums, tokens: int) -> dict[str, Tensor]:
    if "gap" not in sums:
        return {}
    always = ("gap", "objective", "gradient_penalty", "feature_gradient_norm")
    metrics = {name: sums.mean(name, tokens) for name in always if name in sums}
    if "tv" not in sums:
        return metrics
    metrics |= {name: sums.mean(name, tokens) for name in ("tv", "saturated")}
    metrics["value_rms"] = sums.mean("value_square", tokens).sqrt()
    metrics["value_max"] = sums["value_max"]
    agree = metrics["tv"] < SMALLEST_TV
    ratio = sums["gap"] / (2.0 * critic.spec.bound_value * sums["tv"])
    metrics["tightness"] = ratio.masked_fill(agree, torch.nan)
    if "largest" in sums:
        metrics["optimality"] = (sums["objective"] / sums["largest"]).masked_fill(agree, torch.nan)
    return metrics
