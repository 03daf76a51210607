"""Backward of a critic's objective: the largest moment gap between teacher and student on given states."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from py_worker.losses.diagnostics import DeviceSums
from py_worker.losses.errors import LossError
from py_worker.losses.head_pass import HeadPass, constant_head, positions_at_once
from py_worker.losses.scored import ScoredBatch
from py_worker.models.critics.critic import Critic
from py_worker.models.head import OutputHead
from py_worker.models.policy import Policy
from py_worker.models.spec import CriticSpec

SMALLEST_TV = 1e-6
"""Mean total variation below which tightness is undefined (nan): it would be a ratio of rounding errors."""


@dataclass(frozen=True)
class _Densities:
    """Next-token probabilities `[n, V]`, without gradient, and the teacher's logits."""

    teacher: Tensor
    student: Tensor
    teacher_logits: Tensor

    def measure(self, bound: str) -> Tensor:
        """μ of the penalty and of the value statistics."""
        return self.student if bound == "student" else 0.5 * (self.teacher + self.student)


@dataclass(frozen=True)
class _Ascent:
    """What a critic's step is made of.

    Attributes:
        critic: that ascends.
        student: its head.
        teacher: its head.
        tokens: that the mean is over.
        sums: of the metrics.
        diagnostics: also sum statistics of values and policies.
    """

    critic: Critic
    student: OutputHead
    teacher: OutputHead
    tokens: int
    sums: DeviceSums
    diagnostics: bool


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
        LossError: the batch was scored without teacher or student.
    """
    if scored.teacher_hidden is None or scored.student_hidden is None:
        raise LossError("a critic's step needs a batch scored with both teacher and student")
    tokens = scored.token_counts().get(part, 0)
    sums = DeviceSums()
    features = scored.teacher_hidden if critic.spec.features == "teacher" else scored.student_hidden
    heads = constant_head(student), constant_head(teacher)
    size = min(positions_at_once(student, chunk_size), max(tokens, 1))
    head_pass = HeadPass(*heads, chunk_size=size)
    ascent = _Ascent(critic, *heads, tokens, sums, diagnostics)
    for piece in scored.pieces(size):
        if part not in ("all", piece.part):
            continue
        tick()
        where = slice(piece.start, piece.stop)
        states = (
            scored.student_hidden[where].detach().to(heads[0].weight.dtype),
            scored.teacher_hidden[where].to(heads[1].weight.dtype),
        )
        if critic.spec.gradient_penalty > 0.0:
            _penalised_chunk(ascent, head_pass, features[where], states)
        else:
            _chunk(ascent, head_pass, features[where], states)
    return _metrics(critic, sums, tokens)


def _chunk(ascent: _Ascent, head_pass: HeadPass, features: Tensor, states: tuple[Tensor, Tensor]) -> None:
    """The gradient in the values by formula, a tile at a time; autograd takes it through the critic alone."""
    raw = ascent.critic.raw(features)
    given, gradient = raw.detach(), torch.empty_like(raw)

    def tile(at: slice, densities: _Densities) -> None:
        values = ascent.critic.unbounded(given[at], densities.teacher_logits)
        slope = _slope(ascent, values, densities)
        gradient[at] = ascent.critic.slope_in_raw(slope, given[at], values).mul_(-1.0 / ascent.tokens)

    _show(ascent, head_pass, states, tile)
    torch.autograd.backward(raw, gradient)


def _slope(ascent: _Ascent, values: Tensor, densities: _Densities) -> Tensor:
    """Gradient `[n, V]` of the objective, summed over positions, in the values before the bound; adds it up.

    `(π* − π_θ)·B·(1 − tanh²)`, or with a penalty `π* − π_θ − μ·f` with `f` before clipping: a clipped one
    would have no gradient to come back by (derived).
    """
    critic, sums = ascent.critic, ascent.sums
    bounded, difference = critic.bounded(values), densities.teacher - densities.student
    gap = difference * bounded
    sums.add("gap", gap)
    if ascent.diagnostics:
        _add_statistics(critic, bounded, difference, densities.measure(critic.spec.bound), sums)
    if critic.spec.bound == "tanh":
        sums.add("objective", gap)
        bound = critic.spec.bound_value
        return difference.mul_(bound - bounded.square().div_(bound))
    weighted = densities.measure(critic.spec.bound) * values
    sums.add("objective", (difference - 0.5 * weighted).mul_(values))
    return difference.sub_(weighted)


def _penalised_chunk(
    ascent: _Ascent, head_pass: HeadPass, features: Tensor, states: tuple[Tensor, Tensor]
) -> None:
    """With a gradient penalty, whose own gradient autograd takes: everything has a graph."""
    critic, spec, sums = ascent.critic, ascent.critic.spec, ascent.sums
    inputs = critic.inputs(features).requires_grad_()
    raw = critic.head(inputs)
    difference = torch.empty_like(raw, requires_grad=False)
    penalty = torch.zeros_like(difference)
    teacher_logits = torch.empty_like(difference) if spec.form == "ratio" else None

    def tile(at: slice, densities: _Densities) -> None:
        values = critic.unbounded(raw.detach()[at], densities.teacher_logits)
        _slope(ascent, values, densities)  # for the sums
        difference[at] = densities.teacher - densities.student
        if teacher_logits is not None:
            teacher_logits[at] = densities.teacher_logits
        if spec.bound != "tanh":
            penalty[at] = densities.measure(spec.bound)

    _show(ascent, head_pass, states, tile)
    values = critic.unbounded(raw, teacher_logits)
    # Under a penalty ½ E_μ f² the unclipped values, as in `_slope`.
    gap = (difference * (critic.bounded(values) if spec.bound == "tanh" else values)).sum()
    objective = gap - (0.5 * penalty * values.square()).sum()
    objective = objective - _gradient_penalty(gap, inputs, spec, sums)
    torch.autograd.backward(objective / -ascent.tokens)


def _show(
    ascent: _Ascent,
    head_pass: HeadPass,
    states: tuple[Tensor, Tensor],
    visit: Callable[[slice, _Densities], None],
) -> None:
    """Shows both policies' probabilities, a tile of a chunk at a time."""

    def tile(at: slice, student: Tensor, teacher: Tensor | None) -> None:
        assert teacher is not None
        of_student, of_teacher = ascent.student.finish(student), ascent.teacher.finish(teacher)
        visit(at, _Densities(of_teacher.softmax(-1), of_student.softmax(-1), of_teacher))

    head_pass.chunk(states[0], states[1], tile, None)


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
