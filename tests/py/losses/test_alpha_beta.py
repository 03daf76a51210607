"""The α-β divergence: its special cases, its symmetry, its ends, and what it refuses."""

import math

import pytest
import torch
from torch import Tensor

from py_worker.losses.alpha_beta import alpha_beta_divergence
from py_worker.losses.divergence import divergence

torch.set_num_threads(1)


def draw(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Logits [6, 9] of student and teacher."""
    student, teacher = 2.0 * torch.randn(2, 6, 9, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return student, teacher


def test_one_half_is_four_times_the_squared_hellinger_distance():
    student, teacher = draw()
    hellinger = 0.5 * (student.softmax(-1).sqrt() - teacher.softmax(-1).sqrt()).square().sum(-1)
    found = alpha_beta_divergence(student, teacher, alpha=0.5, beta=0.5)
    torch.testing.assert_close(found, 4.0 * hellinger, rtol=1e-12, atol=1e-14)


def test_one_and_one_is_half_the_squared_euclidean_distance():
    student, teacher = draw()
    distance = (student.softmax(-1) - teacher.softmax(-1)).square().sum(-1)
    found = alpha_beta_divergence(student, teacher, alpha=1.0, beta=1.0)
    torch.testing.assert_close(found, 0.5 * distance, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("kind", "alpha", "beta"), [("forward_kl", 1.0, 1e-6), ("reverse_kl", 1e-6, 1.0)])
def test_the_ends_are_the_two_kls(kind, alpha, beta):
    student, teacher = draw()
    found = alpha_beta_divergence(student, teacher, alpha=alpha, beta=beta)
    torch.testing.assert_close(found, divergence(kind, student, teacher), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.7), (1.5, -0.5), (-0.3, 2.0), (-0.4, -0.6)])
def test_exchanging_policies_exchanges_parameters(alpha, beta):
    student, teacher = draw()
    found = alpha_beta_divergence(student, teacher, alpha=alpha, beta=beta)
    swapped = alpha_beta_divergence(teacher, student, alpha=beta, beta=alpha)
    torch.testing.assert_close(found, swapped, rtol=1e-11, atol=1e-12)
    assert (found > 0).all()


@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.7), (1.5, -0.5), (-0.3, 2.0), (-0.4, -0.6)])
def test_the_gradient_is_the_slope_of_the_value_and_zero_between_equals(alpha, beta):
    student, teacher = draw()
    leaf = student.clone().requires_grad_()
    alpha_beta_divergence(leaf, teacher, alpha=alpha, beta=beta).sum().backward()
    step = 1e-6
    for token in range(9):
        shift = torch.zeros(9, dtype=torch.float64)
        shift[token] = step
        up, down = (
            alpha_beta_divergence(student + sign * shift, teacher, alpha=alpha, beta=beta) for sign in (1, -1)
        )
        torch.testing.assert_close(leaf.grad[:, token], (up - down) / (2 * step), rtol=1e-5, atol=1e-7)
    same = teacher.clone().requires_grad_()
    value = alpha_beta_divergence(same, teacher, alpha=alpha, beta=beta)
    value.sum().backward()
    assert (value == 0).all() and (same.grad == 0).all()


@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.7), (1.5, -0.5), (-0.3, 2.0), (-0.4, -0.6)])
def test_forbidden_tokens_leave_value_and_gradient_finite(alpha, beta):
    student, teacher = draw(torch.float32)
    student[:, 0] = teacher[:, 1] = student[:, 2] = teacher[:, 2] = -math.inf
    leaf = student.clone().requires_grad_()
    value = alpha_beta_divergence(leaf, teacher, alpha=alpha, beta=beta)
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(leaf.grad).all()
    assert (leaf.grad[:, [0, 2]] == 0).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": 0.0, "beta": 0.5}, "must not be 0, not alpha=0.0"),
        ({"alpha": 0.5, "beta": 0.0}, "the limits are forward_kl and reverse_kl"),
        ({"alpha": 0.5, "beta": -0.5}, "and their sum must not be 0"),
        ({"alpha": 0.5, "beta": 0.5, "temperature": 0.0}, "temperature must be positive"),
    ],
)
def test_what_is_no_divergence_is_refused(params, message):
    student, teacher = draw()
    with pytest.raises(ValueError, match=message):
        alpha_beta_divergence(student, teacher, **params)
    with pytest.raises(ValueError, match="must have one shape"):
        alpha_beta_divergence(student[:, 1:], teacher, alpha=0.5, beta=0.5)
