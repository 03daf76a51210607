"""The α-β divergence: its special cases, its symmetry, its ends, and what it refuses."""

import math

import pytest
import torch
from torch import Tensor

from py_worker.losses.alpha_beta import alpha_beta_divergence
from py_worker.losses.analytic import AlphaBetaLoss, TileInputs
from py_worker.losses.divergence import divergence
from tests.py.losses import oracle

torch.set_num_threads(1)

POWERS = ((0.2, 0.7), (0.7, 0.3001), (1.5, -0.5), (-0.3, 2.0), (-0.4, -0.6))


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


@pytest.mark.parametrize(("alpha", "beta"), POWERS)
def test_exchanging_policies_exchanges_parameters(alpha, beta):
    student, teacher = draw()
    found = alpha_beta_divergence(student, teacher, alpha=alpha, beta=beta)
    swapped = alpha_beta_divergence(teacher, student, alpha=beta, beta=alpha)
    torch.testing.assert_close(found, swapped, rtol=1e-11, atol=1e-12)
    assert (found > 0).all()


@pytest.mark.parametrize(("alpha", "beta"), POWERS)
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


@pytest.mark.parametrize(("alpha", "beta"), POWERS)
def test_forbidden_tokens_leave_value_and_gradient_finite(alpha, beta):
    student, teacher = draw(torch.float32)
    student[:, 0] = teacher[:, 1] = student[:, 2] = teacher[:, 2] = -math.inf
    leaf = student.clone().requires_grad_()
    value = alpha_beta_divergence(leaf, teacher, alpha=alpha, beta=beta)
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(leaf.grad).all()
    assert (leaf.grad[:, [0, 2]] == 0).all()


def by_formula(
    student: Tensor, teacher: Tensor, upstream: Tensor | None = None, **params: float
) -> tuple[Tensor, Tensor]:
    """Loss [N], and gradient [N, V] in the student's logits, with an upstream of 1 by default."""
    upstream = student.new_ones(len(student)) if upstream is None else upstream
    found = AlphaBetaLoss(**params)(student, teacher, TileInputs(upstream))
    return found.loss, found.gradient


def by_autograd(student: Tensor, teacher: Tensor, upstream: Tensor, **params: float) -> tuple[Tensor, Tensor]:
    leaf = student.clone().requires_grad_()
    value = alpha_beta_divergence(leaf, teacher, **params)
    return value.detach(), torch.autograd.grad(value, leaf, upstream)[0]


@pytest.mark.parametrize(("alpha", "beta"), POWERS)
def test_by_formula_it_is_the_definition(alpha, beta):
    """Negative powers too, over logits whose powers stay below the greatest."""
    chunk, params = oracle.draw(1, 40, 13), {"alpha": alpha, "beta": beta, "temperature": 1.7}
    logits = chunk.student_logits, chunk.teacher_logits
    before = [x.clone() for x in logits]
    found = by_formula(*logits, **params)
    torch.testing.assert_close(found, oracle.exact("alpha_beta", chunk, params), rtol=1e-10, atol=1e-12)
    assert all(map(torch.equal, logits, before)), "logits are left as they are"


@pytest.mark.parametrize("temperature", [1.0, 1.7])
@pytest.mark.parametrize(("alpha", "beta"), POWERS)
def test_by_formula_and_by_autograd_it_is_the_same(alpha, beta, temperature):
    """Where tokens are forbidden, and where powers reach the greatest, too."""
    params = {"alpha": alpha, "beta": beta, "temperature": temperature}
    upstream = torch.tensor([1.0, -0.3, 0.0, 2.0, 0.7, -5.0], dtype=torch.float64)
    for scale in (1.0, 40.0):
        student, teacher = (scale * x for x in draw())
        student[:3, 0] = teacher[:3, 1] = student[:3, 2] = teacher[:3, 2] = -math.inf
        value, gradient = by_autograd(student, teacher, upstream, **params)
        found = by_formula(student, teacher, upstream, **params)
        # A gradient is a difference of terms of about the value's size.
        allowed = 1e-12 * (1.0 + value)
        assert ((found[0] - value).abs() <= allowed).all()
        assert ((found[1] - gradient).abs() <= allowed[:, None]).all()


@pytest.mark.parametrize(("alpha", "beta"), POWERS)
def test_by_formula_it_is_zero_between_equals_and_exact_near_them(alpha, beta):
    student, teacher = draw(torch.float32)
    value, gradient = by_formula(teacher, teacher.clone(), alpha=alpha, beta=beta)
    assert (value == 0).all() and (gradient == 0).all()
    student = teacher + 1e-3 * student
    found = by_formula(student, teacher, alpha=alpha, beta=beta)
    expected = by_formula(student.double(), teacher.double(), alpha=alpha, beta=beta)
    for one, other in zip(found, expected, strict=True):
        # The log-probabilities' own digits: 2⁻²⁴ of a few against differences of a thousandth.
        assert (one - other).abs().max() <= 1e-3 * other.abs().max()


@pytest.mark.parametrize(("alpha", "beta"), POWERS)
def test_by_formula_extreme_logits_leave_value_and_gradient_finite(alpha, beta):
    student, teacher = 60.0 * draw(torch.float32)[0].sign(), 60.0 * draw(torch.float32)[1].sign()
    student[:3, 0] = teacher[:3, 1] = student[:3, 2] = teacher[:3, 2] = -math.inf
    value, gradient = by_formula(student, teacher, alpha=alpha, beta=beta)
    assert torch.isfinite(value).all() and torch.isfinite(gradient).all()
    assert (gradient[:3, [0, 2]] == 0).all()
    assert value.dtype == gradient.dtype == torch.float32


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
    with pytest.raises(ValueError, match=message):
        AlphaBetaLoss(**params)
    with pytest.raises(ValueError, match="must have one shape"):
        alpha_beta_divergence(student[:, 1:], teacher, alpha=0.5, beta=0.5)


def test_by_formula_it_needs_a_teacher():
    student, _ = draw()
    with pytest.raises(ValueError, match="needs a teacher's logits"):
        AlphaBetaLoss(0.2, 0.7)(student, None, TileInputs(torch.ones(6)))
