"""Policy gradients through the driver: exact by enumerating every response of a small process in float64."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from py_worker.losses.returns import Returns
from py_worker.losses.terms import Term
from tests.py.losses.enumerable import Game, TinyPolicy, along, game

torch.set_num_threads(1)

CRITICS = {"moment": "f"}


def moment(log_p: Tensor, log_q: Tensor, values: Tensor) -> Tensor:
    return ((log_p.exp() - log_q.exp()) * values).sum()


def reverse_kl(log_p: Tensor, log_q: Tensor, _values: Tensor) -> Tensor:
    return (log_q.exp() * (log_q - log_p)).sum()


def bounded_maximiser(log_p: Tensor, log_q: Tensor, _values: Tensor) -> Tensor:
    return moment(log_p, log_q, 0.7 * (log_p.exp() - log_q.exp()).sign())


def penalised_maximiser(log_p: Tensor, log_q: Tensor, _values: Tensor) -> Tensor:
    p, q = log_p.exp(), log_q.detach().exp()
    return moment(log_p, log_q, (p - q) / (0.5 * (p + q)))


def half_jsd(log_p: Tensor, log_q: Tensor, _values: Tensor) -> Tensor:
    log_m = (0.5 * (log_p.exp() + log_q.exp())).log()
    return 0.5 * (log_p.exp() * (log_p - log_m)).sum() + 0.5 * (log_q.exp() * (log_q - log_m)).sum()


COSTS: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], Tensor], dict[str, float]]] = {
    "moment": (moment, {}),
    "reverse_kl": (reverse_kl, {}),
    "exact_moment_tanh": (bounded_maximiser, {"bound_value": 0.7}),
    "exact_moment_mixture": (penalised_maximiser, {}),
    "jsd": (half_jsd, {}),
}


def term(objective: str, returns: Returns, weight: float = 1.0, gamma: float = 1.0, **more: Any) -> Term:
    critic, params = CRITICS.get(objective), COSTS[objective][1]
    return Term("on", objective, "on", weight, critic, params, gamma, returns=returns, **more)


def expected(g: Game, make: Callable[[float], Term], behaviour: TinyPolicy | None = None) -> Tensor:
    """`E` of the driver's gradient over all responses that the student, or another policy, draws."""
    drawn_by = (behaviour or g.student).log_probs()
    total = torch.zeros(())
    for response in g.process.responses():
        probability = float(along(drawn_by, response).sum().detach().exp())
        total = total + g.gradient(make(probability), [response], behaviour and drawn_by)
    return total


def expected_of_pairs(g: Game, make: Callable[[float], Term]) -> Tensor:
    """`E` of half the driver's gradient over all batches of two responses that the student draws."""
    table = g.student.log_probs()
    total = torch.zeros(())
    for pair in itertools.combinations_with_replacement(g.process.responses(), 2):
        probability = float(sum(along(table, response).sum() for response in pair).detach().exp())
        orders = 1 if pair[0] == pair[1] else 2
        total = total + g.gradient(make(orders * probability / 2), list(pair))
    return total


def assert_equal(found: Tensor, exact: Tensor) -> None:
    assert exact.abs().max() > 1e-3
    assert (found - exact).abs().max() <= 1e-10 * exact.abs().max()


@pytest.mark.parametrize("gamma", [1.0, 0.9])
@pytest.mark.parametrize(
    ("objective", "returns"),
    [
        *((name, Returns("return", "exact")) for name in COSTS),
        *((name, Returns("return", "sampled")) for name in COSTS if name != "jsd"),
        *((name, Returns("reinforce")) for name in COSTS if name != "jsd"),
    ],
)
def test_the_mean_over_all_responses_is_the_exact_gradient(objective, returns, gamma):
    g = game(4 if objective == "moment" else 3)
    found = expected(g, lambda p: term(objective, returns, p, gamma))
    assert_equal(found, g.exact_gradient(COSTS[objective][0], gamma))


def test_the_gradient_at_given_states_alone_is_another():
    g = game(4)
    alone = expected(g, lambda p: Term("on", "moment", "on", p, "f"))
    exact = g.exact_gradient(moment, 1.0)
    assert (alone - exact).abs().max() > 0.05 * exact.abs().max()


@pytest.mark.parametrize(
    ("objective", "returns"),
    [
        ("moment", Returns("return", "exact", baseline="leave_one_out")),
        ("moment", Returns("reinforce", baseline="leave_one_out")),
        ("reverse_kl", Returns("return", "sampled", baseline="leave_one_out")),
    ],
)
def test_the_leave_one_out_baseline_is_unbiased(objective, returns):
    g, gamma = game(3), 0.9
    found = expected_of_pairs(g, lambda p: term(objective, returns, p, gamma))
    assert_equal(found, g.exact_gradient(COSTS[objective][0], gamma))
    pair = [(1, 1, 2), (2, 0)]
    plain = g.gradient(term(objective, replace(returns, baseline="none"), gamma=gamma), pair)
    based = g.gradient(term(objective, returns, gamma=gamma), pair)
    assert (plain - based).abs().max() > 1e-3


@pytest.mark.parametrize("gamma", [1.0, 0.9])
@pytest.mark.parametrize("objective", ["moment", "reverse_kl"])
@pytest.mark.parametrize(
    "returns",
    [
        Returns("return", "exact", importance="sequence"),
        Returns("return", "sampled", importance="sequence"),
        Returns("reinforce", importance="sequence"),
    ],
)
def test_weights_of_whole_responses_give_the_exact_gradient_from_another_policy(objective, returns, gamma):
    g = game(3)
    found = expected(g, lambda p: term(objective, returns, p, gamma), TinyPolicy(g.process, 9))
    assert_equal(found, g.exact_gradient(COSTS[objective][0], gamma))


def test_weights_of_tokens_are_exact_where_one_token_is_all_there_is():
    g = game(1)
    returns = Returns("reinforce", importance="token")
    found = expected(g, lambda p: term("moment", returns, p), TinyPolicy(g.process, 9))
    assert_equal(found, g.exact_gradient(moment, 1.0))


def test_unweighted_responses_of_another_policy_are_biased():
    g = game(3)
    other = TinyPolicy(g.process, 9).log_probs()
    found = torch.zeros(())
    for response in g.process.responses():
        probability = float(along(other, response).sum().exp())
        found = found + g.gradient(term("moment", Returns("return"), probability), [response])
    exact = g.exact_gradient(moment, 1.0)
    assert (found - exact).abs().max() > 0.1 * exact.abs().max()


@pytest.mark.parametrize("objective", ["moment", "reverse_kl"])
def test_returns_of_exact_costs_vary_less_than_reinforce(objective):
    g = game(4)
    responses = list(g.process.responses())
    table = g.student.log_probs()
    probabilities = torch.stack([along(table, r).sum() for r in responses]).detach().exp()
    drawn = torch.multinomial(probabilities, 2000, True, generator=torch.Generator().manual_seed(0))
    variances = []
    for returns in (Returns("return"), Returns("return", "sampled"), Returns("reinforce")):
        each = torch.stack([g.gradient(term(objective, returns), [r]) for r in responses])
        variances.append(float(each[drawn].var(0).sum()))
    exact, sampled, reinforce = variances
    assert exact < 0.9 * sampled < 0.9 * 0.9 * reinforce


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("gradient", ["return", "reinforce"])
def test_the_discount_of_a_position_is_applied_once_or_dropped(gradient, drop):
    g, gamma, response = game(4), 0.8, (1, 2, 1, 0)
    found = g.gradient(term("moment", Returns(gradient), gamma=gamma, drop_discount=drop), [response])
    student, teacher = g.student.log_probs(), g.teacher.log_probs()
    values = g.critic.values(g.teacher.embedding)
    total = torch.zeros((), dtype=torch.float64)
    costs, samples = [], []
    for t, action in enumerate(response):
        state = response[:t]
        f, p = values[g.teacher.index[state]], teacher[state].exp()
        costs.append(((p - student[state].exp()) * f).sum())
        samples.append((p * f).sum() - f[action])
    for t, action in enumerate(response):
        log_prob = student[response[:t]][action]
        front = 1.0 if drop else gamma**t
        if gradient == "return":
            later = sum(gamma ** (u - t) * costs[u].detach() for u in range(t + 1, 4))
            total = total + front * (costs[t] + log_prob * later)
        else:
            later = sum(gamma ** (u - t) * samples[u].detach() for u in range(t, 4))
            total = total + front * log_prob * later
    total.backward()
    assert_equal(found, g.student.take_gradient())
