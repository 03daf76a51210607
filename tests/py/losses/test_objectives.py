"""The registry of objectives: what each computes, needs and understands."""

import math
from dataclasses import replace
from typing import get_args

import pytest
import torch

from py_worker.losses.divergence import DivergenceKind, divergence
from py_worker.losses.moment import moment_gap
from py_worker.losses.objectives import OBJECTIVES, Chunk, find_objective

torch.set_num_threads(1)


def chunk() -> Chunk:
    generator = torch.Generator().manual_seed(0)
    student, teacher, values = torch.randn(3, 6, 5, generator=generator).unbind(0)
    targets = torch.tensor([0, 1, 2, 3, 4, 0])
    return Chunk(student, teacher, targets, values)


def test_every_objective_has_one_loss_per_position_and_says_what_it_needs():
    full = chunk()
    for name, objective in OBJECTIVES.items():
        assert objective.name == name
        loss = objective.loss(full, objective.parameters({}))
        assert loss.shape == (6,) and loss.dtype == torch.float32
        for needed, without in (
            (objective.needs_teacher, replace(full, teacher_logits=None)),
            (objective.needs_critic, replace(full, values=None)),
        ):
            if needed:
                with pytest.raises(ValueError, match="needs a"):
                    objective.loss(without, objective.parameters({}))
            else:
                assert torch.equal(objective.loss(without, objective.parameters({})), loss)


def test_divergences_take_their_parameters():
    c = chunk()
    for kind in get_args(DivergenceKind):
        objective = find_objective(kind)
        assert torch.equal(
            objective.loss(c, objective.parameters({"temperature": 2.0})),
            divergence(kind, c.student_logits, c.teacher_logits, temperature=2.0),
        )
    jsd, skew = find_objective("jsd"), find_objective("skew_reverse_kl")
    assert torch.equal(
        jsd.loss(c, jsd.parameters({"beta": 0.9})),
        divergence("jsd", c.student_logits, c.teacher_logits, beta=0.9),
    )
    assert torch.equal(
        skew.loss(c, skew.parameters({"alpha": 0.4})),
        divergence("skew_reverse_kl", c.student_logits, c.teacher_logits, alpha=0.4),
    )


def test_cross_entropy_is_minus_the_log_probability_of_the_target():
    c = chunk()
    objective = find_objective("cross_entropy")
    expected = -c.student_logits.log_softmax(-1)[torch.arange(6), c.targets]
    torch.testing.assert_close(objective.loss(c, {}), expected)


def test_moment_is_the_gap():
    c = chunk()
    moment = find_objective("moment")
    gap = moment_gap(c.student_logits, c.teacher_logits, c.values)
    assert torch.equal(moment.loss(c, moment.parameters({})), gap)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown objective 'kl'.*cross_entropy.*tvd"):
        find_objective("kl")
    with pytest.raises(ValueError, match=r"'jsd' has no parameter alpha: it understands beta, temperature"):
        find_objective("jsd").parameters({"alpha": 0.1})
    with pytest.raises(ValueError, match=r"no parameter beta: it understands none"):
        find_objective("cross_entropy").parameters({"beta": 0.1})


def test_parameters_have_ranges():
    for name, wrong, right in (
        ("jsd", {"beta": 1.01}, {"beta": 1.0}),
        ("jsd", {"beta": -0.1}, {"beta": 0.0}),
        ("skew_forward_kl", {"alpha": math.nan}, {"alpha": 1.0}),
        ("tvd", {"temperature": 0.0}, {"temperature": 0.01}),
        ("alpha_beta", {"temperature": -1.0}, {"temperature": 100.0}),
        ("exact_moment_tanh", {"bound_value": -1.0}, {"bound_value": 1000.0}),
    ):
        with pytest.raises(ValueError, match=rf"{next(iter(wrong))} of objective '{name}' must lie in \["):
            find_objective(name).parameters(wrong)
        assert find_objective(name).parameters(right).items() >= right.items()
