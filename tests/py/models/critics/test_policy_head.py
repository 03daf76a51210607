"""The critic head that begins as a policy: its formula, its start, and that it keeps up with a student."""

import dataclasses

import pytest
import torch
from torch.nn.functional import gelu

from py_worker.losses.ascent import critic_backward
from py_worker.losses.scored import score_batch
from py_worker.models.critics.critic import Critic, build_critic
from py_worker.models.optimizer import Optimizer
from py_worker.models.policy import Policy
from py_worker.models.spec import CriticSpec, OptimizerSpec
from tests.py.tiny_models import tiny_batch, tiny_policy

torch.set_num_threads(1)

SPEC = CriticSpec(
    head="policy", form="ratio", bound="mixture", bound_value=2.0, hidden_size=8, rank=3, seed=3
)
STATES = 5.0 * torch.randn(40, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 1.0


def odd_policy() -> Policy:
    """Padded rows, a bias and a soft-cap."""
    policy = tiny_policy(2, dtype=torch.float64, padded_rows=3)
    bias = torch.linspace(-1.0, 1.0, policy.head.weight.shape[0], dtype=torch.float64)
    policy.head = dataclasses.replace(policy.head, bias=bias, scale=0.5, soft_cap=4.0)
    return policy


def moved(critic: Critic) -> Critic:
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return critic


@pytest.mark.parametrize("rank", [0, 3])
def test_the_formula(rank: int) -> None:
    policy = odd_policy()
    critic = moved(build_critic(dataclasses.replace(SPEC, rank=rank), policy).double())
    head, table = critic.head, policy.head.rows.detach()
    normal = (STATES - STATES.mean(-1, keepdim=True)) / (
        STATES.var(-1, unbiased=False, keepdim=True) + 1e-5
    ).sqrt()
    middle = gelu(normal @ head.inner.weight.T + head.inner.bias)
    step = 1.0 / (table.square().mean().sqrt() * table.shape[1] ** 0.5)
    added = step * (middle @ head.outer.weight.T + head.outer.bias) @ table.T + head.bias
    if rank > 0:
        read, codes = head.coded
        added = added + (middle @ read.weight.T + read.bias) @ codes.weight.T
    own = 0.5 * STATES @ table.T + policy.head.bias[: policy.vocab_size]
    expected = 4.0 * torch.tanh((own + added) / 4.0)
    torch.testing.assert_close(critic.raw(STATES), expected, rtol=1e-10, atol=1e-10)


def test_the_guess_begins_as_the_policy_itself() -> None:
    for policy in (tiny_policy(2, dtype=torch.float64), odd_policy()):
        critic = build_critic(SPEC, policy).double()
        torch.testing.assert_close(critic.raw(STATES), policy.head.logits(STATES), rtol=1e-12, atol=1e-12)


def test_its_values_are_right_at_the_start_from_the_students_states_and_0_from_the_teachers() -> None:
    student, teacher = tiny_policy(1, dtype=torch.float64), tiny_policy(2, dtype=torch.float64)
    logits = teacher.head.logits(torch.roll(STATES, 1, 0))
    critic = build_critic(dataclasses.replace(SPEC, features="student"), student).double()
    p, q = logits.softmax(-1), student.head.logits(STATES).softmax(-1)
    torch.testing.assert_close(critic.values(STATES, logits), (p - q) / (0.5 * (p + q)))
    critic = build_critic(SPEC, teacher).double()
    assert critic.values(torch.roll(STATES, 1, 0), logits).abs().max() < 1e-10


def test_it_keeps_a_students_table_as_it_was_and_shares_a_teachers() -> None:
    student, teacher = odd_policy(), tiny_policy(1, dtype=torch.float64)
    critic = build_critic(dataclasses.replace(SPEC, features="student"), student).double()
    before = critic.raw(STATES)
    with torch.no_grad():
        student.head.weight.mul_(2.0)
        assert student.head.bias is not None
        student.head.bias.add_(1.0)
    torch.testing.assert_close(critic.raw(STATES), before, rtol=0.0, atol=0.0)
    assert {"head.table", "head.offset", "head.step"} <= critic.state_dict().keys()
    on_teacher = build_critic(SPEC, teacher)
    assert on_teacher.head.table.data_ptr() == teacher.head.weight.data_ptr()
    assert on_teacher.state_dict().keys() == {name for name, _ in on_teacher.named_parameters()}


@pytest.mark.parametrize("features", ["teacher", "student"])
def test_it_learns_what_the_student_becomes(features: str) -> None:
    """The student's head and states move away from where the critic was made; turns find it again."""
    student, teacher = tiny_policy(1), tiny_policy(2)
    teacher.freeze()
    spec = dataclasses.replace(SPEC, features=features, hidden_size=32, rank=8)
    critic = build_critic(spec, student if features == "student" else teacher)
    with torch.no_grad():
        student.head.weight.add_(0.4 * torch.randn(student.head.weight.shape))
    scored = score_batch(tiny_batch(6), teacher=teacher, student=student)
    optimizer = Optimizer(critic.named_parameters(), OptimizerSpec())

    start = [parameter.clone() for parameter in critic.parameters()]

    def turn() -> float:
        found = critic_backward(critic, scored, "all", student=student, teacher=teacher, diagnostics=True)
        optimizer.step(lr=0.01)
        return float(found["optimality"])

    first, *_, last = (turn() for _ in range(150))
    assert first < 0.9 < 0.97 < last
    assert all(bool((now != before).any()) for now, before in zip(critic.parameters(), start, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": "free"}, "a guess at the student: take the form ratio"),
        ({"spectral_norm": True}, "takes no spectral_norm and no gradient_penalty"),
        ({"gradient_penalty": 1.0}, "takes no spectral_norm and no gradient_penalty"),
    ],
)
def test_what_it_cannot_be_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_critic(dataclasses.replace(SPEC, **change), tiny_policy())


def test_the_table_is_in_the_dtype_of_the_policys_products() -> None:
    """As its logits are; and twice as fast as float32 with bfloat16."""
    student = tiny_policy(1)
    student.compute_dtype = torch.bfloat16
    critic = build_critic(dataclasses.replace(SPEC, features="student"), student)
    assert critic.head.table.dtype == torch.bfloat16 and "head.table" in critic.state_dict()
    raw = critic.raw(STATES.float())
    assert raw.dtype == torch.float32
    expected = (STATES.bfloat16() @ student.head.rows.bfloat16().T).float()
    torch.testing.assert_close(raw, expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max()))


def test_it_learns_as_fast_whatever_the_scale_of_the_models_logits() -> None:
    """T5's is 1/√d: what is added to its logits must not be."""
    found = []
    for scale in (1.0, 0.05):
        policy = tiny_policy(2, dtype=torch.float64)
        with torch.no_grad():
            policy.head.weight.div_(scale)
        policy.head = dataclasses.replace(policy.head, scale=scale)
        critic = moved(build_critic(SPEC, policy).double())
        gradients = torch.autograd.grad(critic.raw(STATES).square().sum(), list(critic.parameters()))
        found.append([critic.raw(STATES).detach(), *gradients])
    for plain, scaled in zip(*found, strict=True):
        torch.testing.assert_close(scaled, plain, rtol=1e-8, atol=1e-8)


def test_a_students_table_that_nobody_trains_is_shared() -> None:
    """With adapters, which are in other layers."""
    student = tiny_policy(1)
    student.head.weight.requires_grad_(False)
    critic = build_critic(dataclasses.replace(SPEC, features="student"), student)
    assert critic.head.table.data_ptr() == student.head.weight.data_ptr()
    assert critic.state_dict().keys() == {name for name, _ in critic.named_parameters()}
