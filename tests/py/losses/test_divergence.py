"""Divergences against independent float64 references, with their invariances and end points."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from py_worker.losses.analytic import DivergenceLoss, TileInputs
from py_worker.losses.divergence import divergence

torch.set_num_threads(1)

KINDS = ("forward_kl", "reverse_kl", "jsd", "tvd", "skew_forward_kl", "skew_reverse_kl")


def softmax64(logits: Tensor, temperature: float) -> np.ndarray:
    z = logits.double().numpy() / temperature
    z = np.exp(z - z.max(-1, keepdims=True))
    return z / z.sum(-1, keepdims=True)


def kl64(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * (np.log(p) - np.log(q)), 0.0).sum(-1)


def reference(kind: str, student: Tensor, teacher: Tensor, beta: float, alpha: float, temperature: float):
    """The definitions, written out in probability space with numpy."""
    p, q = softmax64(teacher, temperature), softmax64(student, temperature)
    if kind == "forward_kl":
        return kl64(p, q)
    if kind == "reverse_kl":
        return kl64(q, p)
    if kind == "tvd":
        return 0.5 * np.abs(p - q).sum(-1)
    if kind == "skew_forward_kl":
        return kl64(p, alpha * p + (1 - alpha) * q)
    if kind == "skew_reverse_kl":
        return kl64(q, alpha * q + (1 - alpha) * p)
    if beta in (0.0, 1.0):
        return kl64(p, q) if beta == 0.0 else kl64(q, p)
    m = beta * p + (1 - beta) * q
    return beta * kl64(p, m) + (1 - beta) * kl64(q, m)


def logits_pair(seed: int, shape: tuple[int, ...] = (3, 4, 7), scale: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda: scale * torch.randn(shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return draw(), draw()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    beta=st.sampled_from([0.0, 0.02, 0.3, 0.5, 0.9, 1.0]),
    alpha=st.sampled_from([0.01, 0.1, 0.5]),
    temperature=st.sampled_from([0.5, 1.0, 2.0]),
)
def test_values_match_the_definition(kind, seed, beta, alpha, temperature):
    student, teacher = logits_pair(seed)
    expected = reference(kind, student, teacher, beta, alpha, temperature)
    options = {"beta": beta, "alpha": alpha, "temperature": temperature}
    np.testing.assert_allclose(divergence(kind, student, teacher, **options).numpy(), expected, atol=1e-12)
    single = divergence(kind, student.float(), teacher.float(), **options)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_gradients_match_finite_differences(kind, beta):
    student, teacher = (x.reshape(-1, 7)[:3].requires_grad_() for x in logits_pair(7, scale=1.0))
    assert torch.autograd.gradcheck(
        lambda s, t: divergence(kind, s, t, beta=beta, alpha=0.2, temperature=1.5), (student, teacher)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_float32_gradient_is_the_float64_gradient(kind):
    student, teacher = logits_pair(11)
    exact = student.clone().requires_grad_()
    divergence(kind, exact, teacher).sum().backward()
    single = student.float().requires_grad_()
    divergence(kind, single, teacher.float()).sum().backward()
    torch.testing.assert_close(single.grad.double(), exact.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_inputs_are_computed_in_float32(kind, dtype):
    student, teacher = (x.to(dtype) for x in logits_pair(3))
    loss = divergence(kind, student, teacher)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, divergence(kind, student.float(), teacher.float()))


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_logits_stay_accurate(kind):
    student = torch.tensor([[60.0, -60.0, 0.0], [60.0, -60.0, -60.0], [-60.0, 60.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[-60.0, 60.0, 0.0], [60.0, -60.0, 60.0], [-60.0, 60.0, 0.0]])
    loss = divergence(kind, student, teacher)
    expected = reference(kind, student.detach(), teacher, 0.5, 0.1, 1.0)
    np.testing.assert_allclose(loss.detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    loss.sum().backward()
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_masked_in_both_models_change_nothing(kind):
    student, teacher = (x.float() for x in logits_pair(5))
    wide = [torch.cat([x, torch.full((3, 4, 2), -math.inf)], -1).requires_grad_() for x in (student, teacher)]
    loss = divergence(kind, wide[0], wide[1])
    torch.testing.assert_close(loss.detach(), divergence(kind, student, teacher), rtol=1e-6, atol=1e-7)
    loss.sum().backward()
    plain = student.clone().requires_grad_()
    divergence(kind, plain, teacher).sum().backward()
    torch.testing.assert_close(wide[0].grad[..., :-2], plain.grad, rtol=1e-5, atol=1e-7)
    assert torch.count_nonzero(wide[0].grad[..., -2:]) == 0
    assert torch.isfinite(wide[1].grad).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masked", ["student", "teacher"])
def test_tokens_masked_in_one_model_have_a_defined_result(kind, masked):
    pair = dict(zip(("student", "teacher"), (x.float() for x in logits_pair(6)), strict=True))
    pair[masked][..., 0] = -math.inf
    student = pair["student"].requires_grad_()
    loss = divergence(kind, student, pair["teacher"])
    expected = reference(kind, student.detach(), pair["teacher"], 0.5, 0.1, 1.0)
    finite = np.isfinite(expected)
    np.testing.assert_allclose(loss.detach().numpy()[finite], expected[finite], rtol=1e-4, atol=1e-6)
    # Infinite by definition: log 0 counts as -1e6, so the loss is about 1e6 times the forbidden mass.
    mass = softmax64(student.detach() if masked == "teacher" else pair["teacher"], 1.0)[..., 0]
    np.testing.assert_allclose(loss.detach().numpy()[~finite], 1e6 * mass[~finite], rtol=0.01, atol=10.0)
    infinite = {("forward_kl", "student"), ("reverse_kl", "teacher")}
    assert finite.all() == ((kind, masked) not in infinite)
    loss.sum().backward()
    assert torch.isfinite(loss).all() and torch.isfinite(student.grad).all()


FAR = [
    ([-1e4, 0.0, 0.0, 0.0], [1e4, 0.0, 0.0, 0.0]),
    ([0.0, 2e4], [2e4, 0.0]),
    ([0.0, 1e4, 3.0], [1e4, 0.0, -1e4]),
]


@pytest.mark.parametrize("by_formula", [False, True], ids=["autograd", "formula"])
@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl"])
@pytest.mark.parametrize(("student", "teacher"), FAR)
def test_logits_far_apart_are_no_forbidden_tokens(kind, student, teacher, by_formula):
    """Where the student is most wrong its gradient must not end."""
    q, p = (torch.tensor([row], dtype=torch.float32) for row in (student, teacher))
    q.requires_grad_()
    if by_formula:
        found = DivergenceLoss(kind)(q.detach(), p, TileInputs(torch.ones(1)))
        loss, gradient = found.loss, found.gradient
    else:
        loss = divergence(kind, q, p)
        loss.sum().backward()
        gradient = q.grad
    log_q, log_p = (x - np.logaddexp.reduce(x) for x in (np.array(student), np.array(teacher)))
    prob_q, prob_p = np.exp(log_q), np.exp(log_p)
    if kind == "forward_kl":
        expected, slope = (prob_p * (log_p - log_q)).sum(), prob_q - prob_p
    else:
        expected = (prob_q * (log_q - log_p)).sum()
        slope = prob_q * (log_q - log_p - expected)
    np.testing.assert_allclose(loss.detach().numpy(), [expected], rtol=1e-6)
    np.testing.assert_allclose(gradient.numpy(), [slope], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_invariances(kind):
    student, teacher = logits_pair(9)
    loss = divergence(kind, student, teacher)
    torch.testing.assert_close(divergence(kind, student + 31.0, teacher - 12.0), loss, rtol=1e-11, atol=1e-11)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(divergence(kind, student[..., order], teacher[..., order]), loss)
    flat = divergence(kind, student.reshape(12, 7), teacher.reshape(12, 7))
    assert torch.equal(flat.reshape(3, 4), loss)


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_and_identity(kind):
    student, teacher = logits_pair(10)
    loss = divergence(kind, student, teacher)
    assert (loss > 0).all()
    if kind == "tvd":
        assert (loss <= 1).all()
    if kind == "jsd":
        assert (loss <= math.log(2)).all()
    same = teacher.clone().requires_grad_()
    zero = divergence(kind, same, teacher)
    zero.sum().backward()
    assert zero.abs().max() < 1e-14
    assert same.grad.abs().max() < 1e-14


@pytest.mark.parametrize("kind", ["skew_forward_kl", "skew_reverse_kl"])
def test_a_skew_of_one_has_a_gradient_of_zero(kind):
    student, teacher = logits_pair(13)
    student.requires_grad_()
    value = divergence(kind, student, teacher, alpha=1.0)
    value.sum().backward()
    assert value.abs().max() == 0 and student.grad.abs().max() < 1e-14


def test_end_points_and_relations():
    student, teacher = logits_pair(12)
    forward, reverse = (divergence(k, student, teacher) for k in ("forward_kl", "reverse_kl"))
    assert torch.equal(divergence("jsd", student, teacher, beta=0.0), forward)
    assert torch.equal(divergence("jsd", student, teacher, beta=1.0), reverse)
    assert torch.equal(divergence("skew_forward_kl", student, teacher, alpha=0.0), forward)
    assert torch.equal(divergence("skew_reverse_kl", student, teacher, alpha=0.0), reverse)
    assert divergence("skew_forward_kl", student, teacher, alpha=1.0).abs().max() == 0
    assert torch.equal(reverse, divergence("forward_kl", teacher, student))
    # β belongs to the teacher: swapping the models is swapping β, and small β approaches β·KL(p‖q).
    jsd = divergence("jsd", student, teacher, beta=0.2)
    torch.testing.assert_close(jsd, divergence("jsd", teacher, student, beta=0.8))
    small = divergence("jsd", student, teacher, beta=1e-9) / 1e-9
    torch.testing.assert_close(small, forward, rtol=1e-3, atol=1e-4)


def test_temperature_divides_both_and_has_no_factor():
    student, teacher = logits_pair(13)
    for kind in KINDS:
        hot = divergence(kind, student, teacher, temperature=2.0)
        assert torch.equal(hot, divergence(kind, student / 2.0, teacher / 2.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "kl"}, "forward_kl"),
        ({"teacher": torch.zeros(2, 4)}, "shared vocabulary"),
        ({"beta": 1.5}, "beta"),
        ({"alpha": -0.1}, "alpha"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"kind": "jsd", "student": torch.zeros(2, 3), "teacher": torch.zeros(2, 3)} | change
    positional = [arguments.pop(name) for name in ("kind", "student", "teacher")]
    with pytest.raises(ValueError, match=message):
        divergence(*positional, **arguments)
