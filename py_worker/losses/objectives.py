"""Objectives: pure functions of one chunk of positions, and their registry.

The driver owns heads, chunking, masks, normalisers and backward; an objective sees logits and returns one
loss per position. Adding one is a function and a line in `OBJECTIVES`.

`exact_moment_tanh` and `exact_moment_mixture` are `moment` with its critic replaced by the best one of that
bound: a game without critics, and what a learned one loses by.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from py_worker.losses.alpha_beta import alpha_beta_divergence
from py_worker.losses.analytic import (
    AlphaBetaLoss,
    DivergenceLoss,
    TileLoss,
    cross_entropy_loss,
    mixture_moment_loss,
    moment_loss,
)
from py_worker.losses.divergence import (
    ALPHA,
    BETA,
    LOG_ZERO,
    DivergenceKind,
    divergence,
    log_probabilities,
)
from py_worker.losses.errors import LossError
from py_worker.losses.moment import moment_gap


@dataclass(frozen=True)
class Chunk:
    """What an objective may look at: `N` response positions over the shared vocabulary `V`.

    Attributes:
        student_logits: [N, V], carries the gradient.
        teacher_logits: [N, V] without gradient; None when no term of the step needs a teacher.
        targets: [N] int64, the tokens that follow.
        values: [N, V] of the term's critic without gradient; None for terms without one.
    """

    student_logits: Tensor
    teacher_logits: Tensor | None
    targets: Tensor
    values: Tensor | None = None

    @cached_property
    def log_prob(self) -> Tensor:
        """[N], `log π_θ(y_t|s_t)` of the targets, with gradient, float32 or wider; at least `LOG_ZERO`."""
        logits = self.student_logits.to(torch.promote_types(self.student_logits.dtype, torch.float32))
        return (-F.cross_entropy(logits, self.targets, reduction="none")).clamp(min=LOG_ZERO)


PositionLoss = Callable[[Chunk, Mapping[str, float]], Tensor]


@dataclass(frozen=True)
class Objective:
    """A named per-position loss.

    Attributes:
        name: its key in the registry.
        loss: `(chunk, params) -> [N]`, no reduction; `params` holds every name of `defaults`.
        needs_teacher: reads `teacher_logits`.
        needs_critic: reads `values`.
        reads_target: the loss is about the token that follows, not about the state alone, and no cost that a
            policy gradient could hand back to earlier tokens.
        analytic: `params -> TileLoss`, the loss together with its gradient by formula. None for objectives
            that have no such form: autograd takes theirs.
        sample: `(chunk, params) -> [N]`, the cost at the target alone. Over targets drawn from `π_θ`, at
            temperature 1, its expectation is the loss, and that of its own gradient is 0. None for objectives
            without one.
        defaults: parameters it understands, with their values when not given.
        ranges: least and greatest value of parameters that have them, both included.
    """

    name: str
    loss: PositionLoss
    needs_teacher: bool = True
    needs_critic: bool = False
    reads_target: bool = False
    analytic: Callable[[Mapping[str, float]], TileLoss] | None = None
    sample: PositionLoss | None = None
    defaults: Mapping[str, float] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def parameters(self, given: Mapping[str, float]) -> dict[str, float]:
        """`given` over the defaults.

        Raises:
            LossError: a parameter that the objective does not have, or a value out of its range.
        """
        unknown = sorted(set(given) - set(self.defaults))
        if unknown:
            known = ", ".join(sorted(self.defaults)) or "none"
            raise LossError(
                f"objective {self.name!r} has no parameter {', '.join(unknown)}: it understands {known}"
            )
        for name, (low, high) in self.ranges.items():
            if name in given and not low <= given[name] <= high:
                raise LossError(
                    f"{name} of objective {self.name!r} must lie in [{low:g}, {high:g}], not {given[name]:g}"
                )
        return {**self.defaults, **given}


def find_objective(name: str) -> Objective:
    """The objective of that name.

    Raises:
        LossError: no such objective.
    """
    if name not in OBJECTIVES:
        raise LossError(f"unknown objective {name!r}: use one of {', '.join(sorted(OBJECTIVES))}")
    return OBJECTIVES[name]


def _cross_entropy(chunk: Chunk, _params: Mapping[str, float]) -> Tensor:
    return -chunk.log_prob


def _divergence(kind: DivergenceKind, chunk: Chunk, params: Mapping[str, float]) -> Tensor:
    return divergence(kind, chunk.student_logits, _given(chunk.teacher_logits, "teacher"), **params)


def _divergence_loss(kind: DivergenceKind, params: Mapping[str, float]) -> TileLoss:
    return DivergenceLoss(kind, **params)


def _reverse_kl_sample(chunk: Chunk, _params: Mapping[str, float]) -> Tensor:
    """`log π_θ(y_t) − log π*(y_t)`."""
    log_p = log_probabilities(_given(chunk.teacher_logits, "teacher"))
    return chunk.log_prob - log_p.gather(1, chunk.targets[:, None]).squeeze(1)


def _alpha_beta(chunk: Chunk, params: Mapping[str, float]) -> Tensor:
    return alpha_beta_divergence(chunk.student_logits, _given(chunk.teacher_logits, "teacher"), **params)


Values = Callable[[Chunk, Mapping[str, float]], Tensor]
"""`f(s, ·)` `[N, V]`, a constant."""


def _critic_values(chunk: Chunk, _params: Mapping[str, float]) -> Tensor:
    return _given(chunk.values, "critic")


@torch.no_grad()
def _best_bounded(chunk: Chunk, params: Mapping[str, float]) -> Tensor:
    """`B·sign(π* − π_θ)`: the maximiser of `Δ_f` among critics in [−B, B] (derived)."""
    teacher, student = _probabilities(chunk)
    return params["bound_value"] * (teacher - student).sign()


@torch.no_grad()
def _best_penalised(chunk: Chunk, _params: Mapping[str, float]) -> Tensor:
    """`(π* − π_θ)/μ`, the maximiser of `Δ_f − ½ E_μ f²` with the mixture μ = ½(π* + π_θ) (derived)."""
    teacher, student = _probabilities(chunk)
    mixture = 0.5 * (teacher + student)
    # A token that neither policy gives a probability has the value 0 instead of 0/0.
    return (teacher - student) / mixture.clamp(min=torch.finfo(mixture.dtype).tiny)


def _probabilities(chunk: Chunk) -> tuple[Tensor, Tensor]:
    teacher = _given(chunk.teacher_logits, "teacher")
    return log_probabilities(teacher).exp(), log_probabilities(chunk.student_logits).exp()


def _moment(values: Values, chunk: Chunk, params: Mapping[str, float]) -> Tensor:
    """`Δ_f` with a constant critic: the game's descent direction through `π_θ(·|s)` at given states."""
    teacher = _given(chunk.teacher_logits, "teacher")
    return moment_gap(chunk.student_logits, teacher, values(chunk, params))


def _moment_sample(values: Values, chunk: Chunk, params: Mapping[str, float]) -> Tensor:
    """`E_{π*} f − f(s_t, y_t)`."""
    teacher = log_probabilities(_given(chunk.teacher_logits, "teacher")).exp()
    f = values(chunk, params).to(teacher.dtype)
    return (teacher * f).sum(-1) - f.gather(1, chunk.targets[:, None]).squeeze(1)


def _given(tensor: Tensor | None, role: str) -> Tensor:
    if tensor is None:
        raise LossError(f"this objective needs a {role}, and the step has none: add one to the stage")
    return tensor


_SAMPLES: dict[str, PositionLoss] = {"reverse_kl": _reverse_kl_sample}
_DIVERGENCE_DEFAULTS: dict[str, dict[str, float]] = {
    "jsd": {"beta": BETA},
    "skew_forward_kl": {"alpha": ALPHA},
    "skew_reverse_kl": {"alpha": ALPHA},
}

# Tempering by less than a hundredth is the argmax, by more than a hundred the uniform distribution.
_TEMPERATURE: dict[str, tuple[float, float]] = {"temperature": (0.01, 100.0)}
_DIVERGENCE_RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "jsd": {"beta": (0.0, 1.0)},
    "skew_forward_kl": {"alpha": (0.0, 1.0)},
    "skew_reverse_kl": {"alpha": (0.0, 1.0)},
}

OBJECTIVES: Mapping[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective(
            "cross_entropy",
            _cross_entropy,
            needs_teacher=False,
            reads_target=True,
            analytic=lambda _params: cross_entropy_loss,
        ),
        *(
            Objective(
                kind,
                partial(_divergence, kind),
                analytic=partial(_divergence_loss, kind),
                sample=_SAMPLES.get(kind),
                defaults={"temperature": 1.0, **_DIVERGENCE_DEFAULTS.get(kind, {})},
                ranges={**_TEMPERATURE, **_DIVERGENCE_RANGES.get(kind, {})},
            )
            for kind in get_args(DivergenceKind)
        ),
        Objective(
            "alpha_beta",
            _alpha_beta,
            analytic=lambda params: AlphaBetaLoss(**params),
            defaults={"alpha": 0.5, "beta": 0.5, "temperature": 1.0},
            ranges=_TEMPERATURE,
        ),
        Objective(
            "moment",
            partial(_moment, _critic_values),
            needs_critic=True,
            analytic=lambda _params: moment_loss,
            sample=partial(_moment_sample, _critic_values),
        ),
        Objective(
            "exact_moment_tanh",
            partial(_moment, _best_bounded),
            sample=partial(_moment_sample, _best_bounded),
            defaults={"bound_value": 1.0},
            # Below 0 the student would maximise the gap.
            ranges={"bound_value": (0.001, 1000.0)},
        ),
        Objective(
            "exact_moment_mixture",
            partial(_moment, _best_penalised),
            analytic=lambda _params: mixture_moment_loss,
            sample=partial(_moment_sample, _best_penalised),
        ),
    )
}
