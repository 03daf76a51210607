"""Objectives: pure functions of one chunk of positions, and their registry.

The driver owns heads, chunking, masks, normalisers and backward; an objective sees logits and returns one
loss per position. Adding one is a function and a line in `OBJECTIVES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import get_args

import torch.nn.functional as F
from torch import Tensor

from py_worker.losses.divergence import DivergenceKind, divergence
from py_worker.losses.moment import moment_gap


@dataclass(frozen=True)
class Chunk:
    """What an objective may look at: `N` response positions over the shared vocabulary `V`.

    Attributes:
        student_logits: [N, V], carries the gradient.
        teacher_logits: [N, V] without gradient; None when no term of the step needs a teacher.
        targets: [N] int64, the tokens that follow.
        values: [N, V] of the term's critic without gradient; None for terms without one.
        steps: [N] int64, 0-based index of each target within its response; read by discounted objectives.
    """

    student_logits: Tensor
    teacher_logits: Tensor | None
    targets: Tensor
    values: Tensor | None = None
    steps: Tensor | None = None


PositionLoss = Callable[[Chunk, Mapping[str, float]], Tensor]


@dataclass(frozen=True)
class Objective:
    """A named per-position loss.

    Attributes:
        name: its key in the registry.
        loss: `(chunk, params) -> [N]`, no reduction; `params` holds every name of `defaults`.
        needs_teacher: reads `teacher_logits`.
        needs_critic: reads `values`.
        defaults: parameters it understands, with their values when not given.
    """

    name: str
    loss: PositionLoss
    needs_teacher: bool = True
    needs_critic: bool = False
    defaults: Mapping[str, float] = field(default_factory=dict)

    def parameters(self, given: Mapping[str, float]) -> dict[str, float]:
        """`given` over the defaults.

        Raises:
            ValueError: a parameter that the objective does not have.
        """
        unknown = sorted(set(given) - set(self.defaults))
        if unknown:
            known = ", ".join(sorted(self.defaults)) or "none"
            raise ValueError(
                f"objective {self.name!r} has no parameter {', '.join(unknown)}: it understands {known}"
            )
        return {**self.defaults, **given}


def find_objective(name: str) -> Objective:
    """The objective of that name.

    Raises:
        ValueError: no such objective.
    """
    if name not in OBJECTIVES:
        raise ValueError(f"unknown objective {name!r}: use one of {', '.join(sorted(OBJECTIVES))}")
    return OBJECTIVES[name]


def _cross_entropy(chunk: Chunk, _params: Mapping[str, float]) -> Tensor:
    return F.cross_entropy(chunk.student_logits, chunk.targets, reduction="none")


def _divergence(kind: DivergenceKind, chunk: Chunk, params: Mapping[str, float]) -> Tensor:
    return divergence(kind, chunk.student_logits, _given(chunk.teacher_logits, "teacher"), **params)


def _moment(chunk: Chunk, params: Mapping[str, float]) -> Tensor:
    """`γ^t · Δ_f` with a constant critic: the game's descent direction through `π_θ(·|s)` at given states."""
    if not 0.0 <= params["gamma"] <= 1.0:
        raise ValueError(f"gamma must lie in [0, 1], not {params['gamma']}")
    teacher = _given(chunk.teacher_logits, "teacher")
    gap = moment_gap(chunk.student_logits, teacher, _given(chunk.values, "critic"))
    if params["gamma"] == 1.0:
        return gap
    return gap * params["gamma"] ** _given(chunk.steps, "position within the response").to(gap.dtype)


def _given(tensor: Tensor | None, role: str) -> Tensor:
    if tensor is None:
        raise ValueError(f"this objective needs a {role}, and the step has none: add one to the stage")
    return tensor


_DIVERGENCE_DEFAULTS: dict[str, dict[str, float]] = {
    "jsd": {"beta": 0.5},
    "skew_forward_kl": {"alpha": 0.1},
    "skew_reverse_kl": {"alpha": 0.1},
}

OBJECTIVES: Mapping[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("cross_entropy", _cross_entropy, needs_teacher=False),
        *(
            Objective(
                kind,
                partial(_divergence, kind),
                defaults={"temperature": 1.0, **_DIVERGENCE_DEFAULTS.get(kind, {})},
            )
            for kind in get_args(DivergenceKind)
        ),
        Objective("moment", _moment, needs_critic=True, defaults={"gamma": 1.0}),
    )
}
