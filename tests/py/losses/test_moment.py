"""The identities of moment matching, exact by enumerating a small decision process in float64."""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from py_worker.losses.moment import cost_to_go, moment_gap

torch.set_num_threads(1)

VOCABULARY = 3
EOS = 0
HORIZON = 4
STATES = [s for n in range(HORIZON) for s in itertools.product(range(1, VOCABULARY), repeat=n)]
"""Every prefix without EOS that still has an action: after EOS, or at the horizon, nothing contributes."""


@dataclass(frozen=True)
class Process:
    """Token generation with a reward per state and action; a policy is logits per state."""

    rewards: dict[tuple[int, ...], Tensor]
    gamma: float

    def q_values(self, policy: dict[tuple[int, ...], Tensor]) -> dict[tuple[int, ...], Tensor]:
        values: dict[tuple[int, ...], Tensor] = {}
        for state in reversed(STATES):
            q = self.rewards[state].clone()
            for action in range(VOCABULARY):
                nxt = (*state, action)
                if nxt in values:
                    q[action] += self.gamma * (policy[nxt].softmax(-1) * values[nxt]).sum()
            values[state] = q
        return values

    def trajectories(self, policy: dict[tuple[int, ...], Tensor]):
        """(visited states, actions, probability) of every trajectory."""

        def extend(state: tuple[int, ...], probability: Tensor):
            for action in range(VOCABULARY):
                p = probability * policy[state].softmax(-1)[action]
                if (*state, action) in self.rewards:
                    for states, actions, q in extend((*state, action), p):
                        yield [state, *states], [action, *actions], q
                else:
                    yield [state], [action], p

        yield from extend((), torch.ones((), dtype=torch.float64))

    def expectation(self, policy, per_step) -> Tensor:
        """`E_τ Σ_t γ^(t−1) per_step(s_t, y_t)`."""
        total = torch.zeros((), dtype=torch.float64)
        for states, actions, probability in self.trajectories(policy):
            for t, (state, action) in enumerate(zip(states, actions, strict=True)):
                total = total + probability * self.gamma**t * per_step(state, action)
        return total


def make(seed: int, gamma: float) -> tuple[Process, dict, dict]:
    generator = torch.Generator().manual_seed(seed)

    def table(scale: float) -> dict[tuple[int, ...], Tensor]:
        return {s: scale * torch.randn(VOCABULARY, generator=generator, dtype=torch.float64) for s in STATES}

    return Process(table(1.0), gamma), table(1.5), table(1.5)


@pytest.mark.parametrize("gamma", [1.0, 0.8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_performance_difference_identities(seed, gamma):
    process, teacher, student = make(seed, gamma)
    probabilities = sum(p for _, _, p in process.trajectories(student))
    assert abs(probabilities - 1.0) < 1e-12

    def reward(state, action):
        return process.rewards[state][action]

    imitation_gap = process.expectation(teacher, reward) - process.expectation(student, reward)
    q_student, q_teacher = process.q_values(student), process.q_values(teacher)

    def gap(critic):
        return lambda state, _action: moment_gap(student[state], teacher[state], critic[state])

    # Off-policy states with the student's Q, on-policy states with the teacher's Q.
    assert abs(process.expectation(teacher, gap(q_student)) - imitation_gap) < 1e-10
    assert abs(process.expectation(student, gap(q_teacher)) - imitation_gap) < 1e-10

    # The sampled forms have the same expectation.
    def sampled_off(state, action):
        return q_student[state][action] - (student[state].softmax(-1) * q_student[state]).sum()

    def sampled_on(state, action):
        return (teacher[state].softmax(-1) * q_teacher[state]).sum() - q_teacher[state][action]

    assert abs(process.expectation(teacher, sampled_off) - imitation_gap) < 1e-10
    assert abs(process.expectation(student, sampled_on) - imitation_gap) < 1e-10


@pytest.mark.parametrize("bound", [0.5, 2.0])
@pytest.mark.parametrize("seed", [3, 4])
def test_the_distance_bounds_the_imitation_gap(seed, bound):
    process, teacher, student = make(seed, 1.0)

    def reward(state, action):
        return process.rewards[state][action]

    imitation_gap = process.expectation(teacher, reward) - process.expectation(student, reward)
    for states_of, critic in ((teacher, process.q_values(student)), (student, process.q_values(teacher))):
        largest = max(float(q.abs().max()) for q in critic.values())
        # The class: Q scaled to the bound, its negative, and sign critics; d is its maximum.
        family = [
            {s: bound / largest * q for s, q in critic.items()},
            {s: -bound / largest * q for s, q in critic.items()},
            {s: bound * (teacher[s].softmax(-1) - student[s].softmax(-1)).sign() for s in STATES},
        ]
        distances = [
            float(process.expectation(states_of, lambda s, _a, f=f: moment_gap(student[s], teacher[s], f[s])))
            for f in family
        ]
        assert abs(imitation_gap) <= largest / bound * max(distances) + 1e-10
        assert max(distances) == pytest.approx(distances[2])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), bound=st.sampled_from([0.3, 1.0, 5.0]))
def test_gap_is_bounded_by_total_variation(seed, bound):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda: 3.0 * torch.randn(5, 4, generator=generator, dtype=torch.float64)  # noqa: E731
    student, teacher = draw(), draw()
    total_variation = 0.5 * (teacher.softmax(-1) - student.softmax(-1)).abs().sum(-1)
    critic = bound * draw().tanh()
    assert (moment_gap(student, teacher, critic).abs() <= 2 * bound * total_variation + 1e-12).all()
    best = bound * (teacher.softmax(-1) - student.softmax(-1)).sign()
    gap = moment_gap(student, teacher, best)
    torch.testing.assert_close(gap, 2 * bound * total_variation)
    assert float(gap.sum() / (2 * bound * total_variation.sum())) == pytest.approx(1.0)  # tightness


def test_identical_policies_have_no_gap_but_a_gradient():
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    critic = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    student = logits.clone().requires_grad_()
    gap = moment_gap(student, logits, critic)
    assert gap.abs().max() == 0
    gap.sum().backward()
    p = logits.softmax(-1)
    expected = -p * (critic - (p * critic).sum(-1, keepdim=True))
    torch.testing.assert_close(student.grad, expected)
    assert student.grad.abs().max() > 0.01


def test_gap_is_differentiable_everywhere_and_ignores_a_state_value():
    generator = torch.Generator().manual_seed(6)
    student, teacher, critic = (
        torch.randn(2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(3)
    )
    assert torch.autograd.gradcheck(moment_gap, (student, teacher, critic))
    shifted = critic + torch.randn(2, 3, 1, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(moment_gap(student, teacher, shifted), moment_gap(student, teacher, critic))


def test_gap_dtypes_and_masked_tokens():
    drawn = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(7))
    student, teacher, critic = (x.to(torch.bfloat16) for x in drawn.unbind(0))
    assert moment_gap(student, teacher, critic).dtype == torch.float32
    assert moment_gap(student, teacher, critic.double()).dtype == torch.float64
    student[:, 0] = teacher[:, 0] = -math.inf
    free = student.float().requires_grad_()
    gap = moment_gap(free, teacher, critic)
    torch.testing.assert_close(gap, moment_gap(student[:, 1:], teacher[:, 1:], critic[:, 1:]))
    gap.sum().backward()
    assert torch.isfinite(free.grad).all()
    with pytest.raises(ValueError, match="one shape"):
        moment_gap(student, teacher, critic[:, 1:])


def to_go_by_definition(costs, mask, gamma, include_current, norm):
    result = torch.zeros(costs.shape, dtype=torch.float64)
    rows, steps = costs.shape
    for b, t in itertools.product(range(rows), range(steps)):
        if not mask[b, t]:
            continue
        later = [u for u in range(t if include_current else t + 1, steps) if mask[b, u]]
        total = sum(gamma ** (u - t) * float(costs[b, u]) for u in later)
        result[b, t] = total / max(len(later), 1) if norm == "length" else total
    return result


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    gamma=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    include_current=st.booleans(),
    norm=st.sampled_from(["none", "length"]),
)
def test_cost_to_go_is_its_definition(seed, gamma, include_current, norm):
    generator = torch.Generator().manual_seed(seed)
    costs = torch.randn(3, 6, generator=generator, dtype=torch.float64)
    mask = torch.rand(3, 6, generator=generator) < 0.7
    expected = to_go_by_definition(costs, mask, gamma, include_current, norm)
    dirty = costs.masked_fill(~mask, math.nan)
    for given_mask in (mask, mask.long()):
        result = cost_to_go(dirty, given_mask, gamma, include_current=include_current, norm=norm)
        assert result.dtype == torch.float64
        torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


def test_cost_to_go_edges():
    ones = torch.ones(1, 3, dtype=torch.bfloat16)
    mask = torch.tensor([[True, True, False]])
    full = cost_to_go(ones, mask, 0.5, include_current=True)
    assert full.dtype == torch.float32
    assert full.tolist() == [[1.5, 1.0, 0.0]]
    assert cost_to_go(ones, mask, 0.5, include_current=False).tolist() == [[0.5, 0.0, 0.0]]
    assert cost_to_go(torch.ones(2, 0), torch.ones(2, 0), 1.0, include_current=True).shape == (2, 0)
    # γ^T is 0 in float32 here; the sum must not be.
    long = cost_to_go(torch.ones(1, 4000), torch.ones(1, 4000), 0.9, include_current=True)
    assert long[0, 0] == pytest.approx(10.0) and long[0, -1] == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"costs": torch.ones(3)}, "one \\[B, T\\]"),
        ({"mask": torch.ones(2, 4)}, "one \\[B, T\\]"),
        ({"gamma": 1.1}, "gamma"),
        ({"norm": "tokens"}, "norm"),
    ],
)
def test_bad_arguments_are_named(change, message):
    options = {"costs": torch.ones(2, 3), "mask": torch.ones(2, 3), "gamma": 1.0, "norm": "none"} | change
    with pytest.raises(ValueError, match=message):
        cost_to_go(
            options["costs"], options["mask"], options["gamma"], include_current=True, norm=options["norm"]
        )
