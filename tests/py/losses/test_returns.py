"""Advantages and surrogate losses against loops written from their definitions."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from py_worker.losses.returns import Advantages, Returns, estimate, policy_loss

torch.set_num_threads(1)

LENGTHS = (5, 0, 1, 3, 5)
MASK = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
RESPONSES = [row for row, length in enumerate(LENGTHS) if length]


def draw(seed: int, scale: float = 1.0) -> Tensor:
    """[5, 5] with nan outside of the mask."""
    drawn = scale * torch.randn(5, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.masked_fill(~MASK, math.nan)


def to_go(costs: Tensor, losses: Tensor, gamma: float, returns: Returns) -> dict[tuple[int, int], float]:
    """By length, a return is the mean from the position on: for `return` with the state's own loss first."""
    found = {}
    for row, length in enumerate(LENGTHS):
        for t in range(length):
            total = sum(gamma ** (u - t) * float(costs[row, u]) for u in range(t + 1, length))
            if returns.gradient == "reinforce":
                total += float(costs[row, t])
            elif returns.norm == "length":
                total += float(losses[row, t])
            found[row, t] = total / (length - t) if returns.norm == "length" else total
    return found


def advantages(found: dict[tuple[int, int], float], baseline: str) -> dict[tuple[int, int], float]:
    if baseline == "leave_one_out":
        return {
            (row, t): value - sum(found.get((other, t), 0.0) for other in RESPONSES if other != row) / 3
            for (row, t), value in found.items()
        }
    if baseline == "whiten":
        mean = sum(found.values()) / len(found)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in found.values()) / len(found))
        return {place: (value - mean) / deviation for place, value in found.items()}
    return found


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    gamma=st.sampled_from([0.5, 1.0]),
    gradient=st.sampled_from(["return", "reinforce"]),
    norm=st.sampled_from(["none", "length"]),
    baseline=st.sampled_from(["none", "leave_one_out", "whiten"]),
    sampled=st.booleans(),
)
def test_advantages_are_their_definition(seed, gamma, gradient, norm, baseline, sampled):
    costs, returns = draw(seed), Returns(gradient, norm=norm, baseline=baseline)
    losses = draw(seed + 1) if sampled else None
    found, metrics = estimate(costs, None, MASK, gamma, returns, losses=losses)
    plain = to_go(costs, costs if losses is None else losses, gamma, returns)
    wanted = advantages(plain, baseline)
    expected = torch.zeros(5, 5, dtype=torch.float64)
    for place, value in wanted.items():
        expected[place] = value
    torch.testing.assert_close(found.advantage, expected, rtol=1e-10, atol=1e-12)
    assert found.weight is None
    assert float(metrics["return"]) == pytest.approx(sum(plain.values()) / len(plain))
    square = sum(value**2 for value in wanted.values()) / len(wanted)
    assert float(metrics["advantage"]) == pytest.approx(math.sqrt(square))
    assert metrics.keys() == {"return", "advantage"}


@pytest.mark.parametrize("gradient", ["return", "reinforce"])
def test_where_all_states_cost_the_same_a_mean_does_not_depend_on_length(gradient):
    """A sum is smallest where nothing follows; a mean is the cost everywhere, and no token is to blame."""
    costs = torch.full((5, 5), 0.7, dtype=torch.float64)
    for baseline in ("none", "whiten"):
        returns = Returns(gradient, norm="length", baseline=baseline)
        found, metrics = estimate(costs, None, MASK, 1.0, returns)
        wanted = costs * MASK if baseline == "none" else torch.zeros_like(costs)
        torch.testing.assert_close(found.advantage, wanted, rtol=1e-12, atol=1e-12)
        assert float(metrics["return"]) == pytest.approx(0.7)


def test_a_response_alone_has_no_baseline():
    mask = torch.tensor([[True, True, True], [False, False, False]])
    costs = torch.tensor([[1.0, 2.0, 4.0], [9.0, 9.0, 9.0]])
    found, _ = estimate(costs, None, mask, 1.0, Returns(baseline="leave_one_out"))
    assert found.advantage.tolist() == [[6.0, 4.0, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("cost", [0.0, 0.1])
def test_equal_returns_are_whitened_to_zero(cost):
    mask = torch.ones(5, 1, dtype=torch.bool)
    returns = Returns("reinforce", baseline="whiten")
    found, metrics = estimate(torch.full((5, 1), cost), None, mask, 1.0, returns)
    assert (found.advantage == 0).all() and metrics["advantage"] == 0


def test_a_step_without_tokens_is_no_division_by_zero():
    mask = torch.zeros(2, 3, dtype=torch.bool)
    for baseline, importance in itertools.product(
        ("none", "leave_one_out", "whiten"), ("none", "token", "sequence")
    ):
        returns = Returns(baseline=baseline, importance=importance, ratio_limit=2.0)
        log_ratio = None if importance == "none" else torch.full((2, 3), math.nan)
        found, metrics = estimate(torch.full((2, 3), math.nan), log_ratio, mask, 1.0, returns)
        assert (found.advantage == 0).all()
        assert all(torch.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("limit", [0.0, 1.2])
@pytest.mark.parametrize("importance", ["token", "sequence"])
def test_importance_weights_are_ratios_up_to_a_limit(importance, limit):
    log_ratio = draw(3, 0.5)
    returns = Returns(importance=importance, ratio_limit=limit)
    found, metrics = estimate(draw(4), log_ratio, MASK, 1.0, returns)
    places = [(row, t) for row, length in enumerate(LENGTHS) for t in range(length)]
    ratios = {place: math.exp(log_ratio[place]) for place in places}
    if importance == "sequence":
        products = {row: math.prod(ratios[row, t] for t in range(LENGTHS[row])) for row in RESPONSES}
        ratios, counted = {place: products[place[0]] for place in places}, list(products.values())
    else:
        counted = list(ratios.values())
    for place in places:
        wanted = min(ratios[place], limit) if limit else ratios[place]
        assert float(found.weight[place]) == pytest.approx(wanted)
    assert torch.isfinite(found.weight).all()
    assert float(metrics["ratio"]) == pytest.approx(sum(counted) / len(counted))
    assert float(metrics["ratio_max"]) == pytest.approx(max(counted))
    if limit:
        beyond = sum(ratio > limit for ratio in counted)
        assert 0 < beyond < len(counted)
        assert float(metrics["truncated"]) == pytest.approx(beyond / len(counted))
    else:
        assert "truncated" not in metrics


RATIOS = (0.3, 0.79, 0.81, 1.0, 1.19, 1.21, 3.0)


@pytest.mark.parametrize("limit", [0.0, 2.0])
def test_ppo_s_clip_for_costs(limit):
    """`max(ρA, clip(ρ, 1−ε, 1+ε)·A)`: a bad token already rarer, or a good one already likelier, is left."""
    pairs = list(itertools.product(RATIOS, (-2.0, -0.5, 0.0, 0.5, 2.0)))
    ratio, advantage = torch.tensor(pairs, dtype=torch.float64).unbind(1)
    log_prob = torch.linspace(-3.0, -0.1, len(pairs), dtype=torch.float64).requires_grad_()
    returns = Returns(importance="token", clip=0.2, ratio_limit=limit)
    weight = ratio.clamp(max=limit) if limit else ratio
    immediate = torch.linspace(0.0, 1.0, len(pairs), dtype=torch.float64)
    loss = policy_loss(immediate, log_prob, Advantages(advantage, weight), returns)
    loss.sum().backward()
    values = loss.tolist()
    for index, (drawn, a) in enumerate(pairs):
        rho = min(drawn, limit) if limit else drawn
        plain, clipped = rho * a, min(max(rho, 0.8), 1.2) * a
        assert values[index] == pytest.approx(float(immediate[index]) + max(plain, clipped), abs=1e-12)
        left = (a > 0 and rho < 0.8) or (a < 0 and rho > 1.2)
        assert float(log_prob.grad[index]) == pytest.approx(0.0 if left else rho * a, abs=1e-12)


def test_the_share_of_clipped_positions_is_that_without_gradient():
    log_ratio, costs = draw(5, 0.3), draw(6)
    returns = Returns(importance="token", clip=0.2, baseline="leave_one_out")
    found, metrics = estimate(costs, log_ratio, MASK, 1.0, returns)
    log_prob = torch.zeros(25, dtype=torch.float64, requires_grad=True)
    flat = Advantages(found.advantage.reshape(-1), found.weight.reshape(-1))
    policy_loss(torch.zeros(25, dtype=torch.float64), log_prob, flat, returns).sum().backward()
    left = (log_prob.grad == 0) & (flat.advantage != 0)
    assert 0 < left.sum() < MASK.sum()
    assert float(metrics["clipped"]) == pytest.approx(float(left.sum() / MASK.sum()))


def test_what_each_gradient_consists_of():
    loss = torch.tensor([0.5, 0.7], dtype=torch.float64, requires_grad=True)
    log_prob = torch.tensor([-1.0, -2.0], dtype=torch.float64, requires_grad=True)
    advantage, weight = torch.tensor([3.0, -4.0]).double(), torch.tensor([2.0, 0.5]).double()

    def slopes(returns: Returns, given_weight: Tensor | None) -> tuple[list[float], list[float]]:
        total = policy_loss(loss, log_prob, Advantages(advantage, given_weight), returns).sum()
        found = torch.autograd.grad(total, (loss, log_prob), allow_unused=True)
        return tuple([0.0, 0.0] if slope is None else slope.tolist() for slope in found)

    assert slopes(Returns(), None) == ([1, 1], [3, -4])
    assert slopes(Returns("reinforce"), None) == ([0, 0], [3, -4])
    token, sequence = Returns(importance="token"), Returns(importance="sequence")
    assert slopes(token, weight) == ([1, 1], [6, -2])
    assert slopes(sequence, weight) == ([2, 0.5], [6, -2])
    assert slopes(replace(sequence, gradient="reinforce"), weight) == ([0, 0], [6, -2])


@pytest.mark.parametrize("norm", ["none", "length"])
def test_half_precise_costs_are_summed_in_float32(norm):
    costs = draw(7).nan_to_num().to(torch.bfloat16)
    returns = Returns(baseline="leave_one_out", norm=norm)
    found, metrics = estimate(costs, None, MASK, 0.9, returns)
    assert found.advantage.dtype == metrics["return"].dtype == torch.float32
    exact, _ = estimate(costs.double(), None, MASK, 0.9, returns)
    torch.testing.assert_close(found.advantage.double(), exact.advantage, rtol=1e-5, atol=1e-5)
