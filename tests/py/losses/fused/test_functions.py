"""Fused losses against float64 formulas and the plain forms: values, gradients, masks, heads, critics."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from py_worker.losses.divergence import LOG_ZERO, divergence, log_probabilities
from py_worker.losses.fused import fused_divergence, fused_moment_gap
from py_worker.losses.moment import moment_gap
from py_worker.models.critics.critic import build_critic
from py_worker.models.head import OutputHead
from py_worker.models.spec import CriticSpec
from tests.py.losses.fused_case import (
    END_POINTS,
    KINDS,
    LOSSES,
    Case,
    assert_same,
    case,
    fused,
    gradients,
    plain,
)
from tests.py.tiny_models import tiny_policy

torch.set_num_threads(1)


def reference(kind: str, p: Tensor, q: Tensor, beta: float, alpha: float) -> tuple[Tensor, Tensor]:
    """Loss and ∂loss/∂q, written out for probabilities."""

    def kl(a: Tensor, b: Tensor) -> Tensor:
        return (a * (a / b).log()).sum(-1)

    if kind == "jsd":
        m = beta * p + (1 - beta) * q
        kind = {0.0: "forward_kl", 1.0: "reverse_kl"}.get(beta, kind)
    a, b = alpha * p + (1 - alpha) * q, alpha * q + (1 - alpha) * p
    match kind:
        case "forward_kl":
            return kl(p, q), -p / q
        case "reverse_kl":
            return kl(q, p), (q / p).log() + 1
        case "jsd":
            return beta * kl(p, m) + (1 - beta) * kl(q, m), (1 - beta) * (q / m).log()
        case "tvd":
            return 0.5 * (p - q).abs().sum(-1), -0.5 * (p - q).sign()
        case "skew_forward_kl":
            return kl(p, a), -(1 - alpha) * p / a
        case _:
            return kl(q, b), (q / b).log() + 1 - alpha * q / b


def by_hand(made: Case, loss: Tensor, slope: Tensor, q: Tensor, temperature: float = 1.0):
    """Losses and gradients through softmax and head, without automatic derivatives."""
    kept = made.mask.double()
    at_logits = q * (slope - (q * slope).sum(-1, keepdim=True)) / temperature
    at_logits = at_logits * (kept * made.upstream)[..., None]
    return loss * kept, at_logits @ made.head, torch.einsum("btv,bth->vh", at_logits, made.hidden)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 1.7])
@pytest.mark.parametrize("params", END_POINTS)
@pytest.mark.parametrize("kind", KINDS)
def test_divergence_by_definition(kind, params, temperature, recompute):
    made = case(3)
    found = fused_divergence(
        kind, *made.inputs, made.mask, chunk_size=4, temperature=temperature, recompute=recompute, **params
    )
    q, p = ((z.detach() / temperature).softmax(-1) for z in made.logits)
    loss, slope = reference(kind, p, q, **params)
    assert_same((found, *gradients(found, made)), by_hand(made, loss, slope, q, temperature))


@pytest.mark.parametrize("recompute", [False, True])
def test_moment_gap_by_definition(recompute):
    made = case(4)
    gap, log_prob = fused_moment_gap(
        *made.inputs, made.critic, made.mask, chunk_size=4, tokens=made.tokens, recompute=recompute
    )
    q, p = (z.detach().softmax(-1) for z in made.logits)
    f = made.critic(made.teacher_hidden)
    assert_same((gap, *gradients(gap, made)), by_hand(made, ((p - q) * f).sum(-1), -f, q))
    chosen = torch.nn.functional.one_hot(made.tokens, 11).double()
    expected = by_hand(made, (chosen * q).sum(-1).log(), chosen / q, q)
    assert_same((log_prob, *gradients(log_prob, made)), expected)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    loss=st.sampled_from(LOSSES),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 9), st.integers(2, 17)),
    chunk_size=st.sampled_from([1, 2, 3, 7, 1000]),
    keep=st.sampled_from([0.0, 0.4, 1.0]),
    params=st.sampled_from(END_POINTS),
    recompute=st.booleans(),
    common=st.booleans(),
)
def test_equals_the_plain_form(seed, loss, shape, chunk_size, keep, params, recompute, common):
    made = case(seed, *shape, keep=keep)
    params = {} if loss == "moment" else params
    found = fused(loss, made, chunk_size=chunk_size, recompute=recompute, **params)
    expected = plain(loss, made, **params)
    upstream = torch.full_like(made.upstream, -0.3) if common else made.upstream
    assert_same((found, *gradients(found, made, upstream)), (expected, *gradients(expected, made, upstream)))


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck_of_divergences(kind):
    made = case(5, 2, 3, 3, 5)

    def loss(hidden: Tensor, head: Tensor, bias: Tensor) -> Tensor:
        head = OutputHead(head, bias, 5, scale=0.7, soft_cap=2.0)
        return fused_divergence(
            kind,
            hidden,
            head,
            made.teacher_hidden,
            made.teacher_head,
            made.mask,
            chunk_size=2,
            temperature=1.3,
        )

    bias = torch.linspace(-1, 1, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (made.hidden, made.head, bias))


def test_gradcheck_of_the_moment_gap_with_tokens():
    made = case(6, 2, 3, 3, 5)

    def both(hidden: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
        inputs = (hidden, head, made.teacher_hidden, made.teacher_head, made.critic, made.mask)
        return fused_moment_gap(*inputs, chunk_size=2, tokens=made.tokens)

    assert torch.autograd.gradcheck(both, (made.hidden, made.head))


@pytest.mark.parametrize("kind", [*KINDS, "moment"])
def test_forbidden_tokens_and_whole_heads(kind):
    """Bias (−inf forbids a token), scale, soft-cap and padded rows, against the heads' own logits."""
    made = case(7, vocab=9)
    forbid = torch.zeros(9, dtype=torch.float64)
    forbid[2] = -math.inf
    bias = (forbid.roll(3) + torch.linspace(-1, 1, 9, dtype=torch.float64)).requires_grad_()
    student = OutputHead(made.head, bias, 7, scale=0.5)
    for teacher in (
        OutputHead(made.teacher_head, forbid, 7),
        OutputHead(made.teacher_head, None, 7, 2.0, 3.0),
    ):
        inputs = (made.hidden, student, made.teacher_hidden, teacher)
        logits = student.logits(made.hidden), teacher.logits(made.teacher_hidden)
        for params in END_POINTS:
            if kind == "moment":
                critic = lambda features: made.critic(features)[:, :7]  # noqa: E731
                found = fused_moment_gap(*inputs, critic, made.mask, chunk_size=4)
                plain = moment_gap(*logits, made.critic(made.teacher_hidden)[..., :7])
            else:
                found = fused_divergence(kind, *inputs, made.mask, chunk_size=4, **params)
                plain = divergence(kind, *logits, **params)
            leaves = (made.hidden, made.head, bias)
            expected = torch.autograd.grad(plain * made.mask, leaves, made.upstream, retain_graph=True)
            assert_same(
                (found, *torch.autograd.grad(found, leaves, made.upstream)), (plain * made.mask, *expected)
            )


def test_log_probability_of_a_forbidden_token():
    made = case(8, keep=1.0)
    bias = torch.zeros(11, dtype=torch.float64)
    bias[0] = -math.inf
    tokens = torch.where(torch.arange(5) == 1, 0, made.tokens)
    inputs = (made.hidden, OutputHead(made.head, bias, 11), made.teacher_hidden, made.teacher_head)
    _, found = fused_moment_gap(*inputs, made.critic, made.mask, chunk_size=4, tokens=tokens)
    plain = log_probabilities(made.logits[0] + bias).gather(2, tokens[..., None]).squeeze(2)
    assert (found[:, 1] == LOG_ZERO).all()
    assert_same((found, *gradients(found, made)), (plain, *gradients(plain, made)))


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_selected_is_zero_with_zero_gradients(loss, recompute):
    made = case(9, keep=0.0)
    found = fused(loss, made, chunk_size=4, recompute=recompute)
    zeros = (torch.zeros_like(x) for x in (made.upstream, made.hidden, made.head))
    assert_same((found, *gradients(found, made)), zeros, 0.0)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_masked_positions_may_hold_anything(loss, recompute):
    made = case(10)
    spoil = lambda x: torch.where(made.mask[..., None], x, math.nan).detach().requires_grad_()  # noqa: E731
    spoilt = replace(made, hidden=spoil(made.hidden), teacher_hidden=spoil(made.teacher_hidden))
    upstream = torch.where(made.mask, made.upstream, math.nan)
    found = fused(loss, spoilt, chunk_size=4, recompute=recompute)
    clean = fused(loss, made, chunk_size=4, recompute=recompute)
    assert_same((found, *gradients(found, spoilt, upstream)), (clean, *gradients(clean, made)), 0.0)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_teacher_against_itself(loss):
    made = case(11, dtype=torch.float32)
    same = replace(made, teacher_hidden=made.hidden, teacher_head=made.head, values=made.values[:6])
    found = fused(loss, same, chunk_size=4)
    if loss == "moment":
        assert (found == 0).all()
    else:
        zeros = (torch.zeros_like(x) for x in (found, made.hidden, made.head))
        assert_same((found, *gradients(found, same)), zeros, 2e-6)


@pytest.mark.parametrize("form", ["free", "ratio"])
@pytest.mark.parametrize("features", ["teacher", "student"])
def test_a_critic_sees_the_states_that_its_specification_names(features, form):
    student, teacher = tiny_policy(1), tiny_policy(2, hidden=32)
    critic = build_critic(
        CriticSpec(hidden_size=8, seed=3, form=form, bound="mixture", bound_value=2.0, features=features),
        teacher if features == "teacher" else student,
    )
    made = case(21, width=16, vocab=13, dtype=torch.float32)
    theirs = torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    inputs = (made.hidden, student.head, theirs, teacher.head)
    found = fused_moment_gap(*inputs, critic, made.mask, chunk_size=4)
    states = theirs if features == "teacher" else made.hidden
    logits = student.head.logits(made.hidden), teacher.head.logits(theirs.detach())
    values = critic.values(states.flatten(0, 1), logits[1].flatten(0, 1)).view(3, 5, -1).detach()
    expected = moment_gap(*logits, values) * made.mask
    assert_same([found], [expected], 1e-5)
    leaves = (made.hidden, student.head.weight)
    upstream = made.upstream.float()
    wanted = torch.autograd.grad(expected, leaves, upstream)
    assert_same(torch.autograd.grad(found, leaves, upstream, retain_graph=True), wanted, 1e-5)
    found.sum().backward()
    assert all(parameter.grad is None for parameter in critic.parameters()), "constant here"
    assert theirs.grad is None and teacher.head.weight.grad is None
    if form == "free":
        given = fused_moment_gap(*inputs, critic.values, made.mask, chunk_size=4, features=states)
        assert torch.equal(given, found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "kl"}, "unknown divergence 'kl': use one of forward_kl"),
        ({"beta": 1.5}, "must lie in"),
        ({"alpha": -0.1}, "must lie in"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"chunk_size": 0}, "chunk_size must be at least 1"),
        ({"mask": torch.ones(5, dtype=torch.bool)}, "must be \\[B, T\\]"),
        ({"mask": torch.ones(3, 4, dtype=torch.bool)}, "teacher_hidden .* with the mask's"),
        ({"student_hidden": torch.zeros(2, 5, 6)}, "student_hidden .* with the mask's"),
        ({"student_hidden": torch.zeros(3, 5, 7)}, "student_hidden of width .* does not fit"),
        ({"teacher_hidden": torch.zeros(3, 5, 6)}, "teacher_hidden of width .* does not fit"),
        ({"teacher_head": torch.zeros(12, 7)}, "11 tokens and the teacher's 12"),
        ({"weights": torch.ones(3, 4)}, "weights .* with the mask's"),
    ],
)
def test_bad_input_is_named(change, message):
    made = case(23)
    names = ("student_hidden", "student_head", "teacher_hidden", "teacher_head")
    arguments = {
        "kind": "jsd",
        "mask": made.mask,
        "chunk_size": 4,
        **dict(zip(names, made.inputs, strict=True)),
    }
    with pytest.raises(ValueError, match=message):
        fused_divergence(**arguments | change)
