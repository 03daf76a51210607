"""A student's step with returns, through the loop."""

import math
from typing import Any

import pytest
import torch

from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.read_back import watch_steps
from tests.py.ops.scene import run_step, step_requests, term
from tests.py.ops.stepping import BATCH, prepare, same, student_step, weights

RETURNS = {
    "gradient": "return",
    "costs": "exact",
    "norm": "length",
    "baseline": "leave_one_out",
    "importance": "none",
    "ratio_limit": 0.0,
    "clip": 0.0,
}


def returns_term(objective: str = "moment", **changes: Any) -> dict[str, Any]:
    critic = {"critic": "on"} if objective == "moment" else {}
    return term("on", objective, "on", **critic, gamma=0.9, returns={**RETURNS, **changes})


def metrics_of(
    worker: LocalWorker, step: int, terms: list[dict[str, Any]], **options: Any
) -> dict[str, float]:
    for op, args in step_requests(step, **options):
        result = worker.call(op, **({**args, "terms": terms} if op == "step_student" else args))
    metrics: dict[str, float] = result["metrics"]
    return metrics


def test_a_step_reports_returns_and_advantages(worker: LocalWorker) -> None:
    metrics = metrics_of(worker, 0, [returns_term()])
    assert {"loss_on", "d_on", "return_on", "advantage_on"} <= metrics.keys()
    assert metrics["advantage_on"] > 0 and not metrics["skipped"]
    assert all(math.isfinite(value) for value in metrics.values())


def test_returns_change_the_step_and_not_the_loss(worker: LocalWorker) -> None:
    prepare(worker)
    start = weights(worker)
    ends, losses = [], []
    for chosen in ({}, {"gradient": "reinforce"}, {"baseline": "none"}):
        worker.call("step_student", **student_step(terms=[returns_term(**chosen)]))
        ends.append(weights(worker))
        losses.append(worker.session.metrics.take(0)()["loss_on"])
        with torch.no_grad():
            for name, parameter in worker.session.role("student").policy.module.named_parameters():
                parameter.copy_(start[name])
        worker.call("score", batch=BATCH, teacher=False, student="values")
    assert losses[0] == losses[1] == losses[2]
    assert not same(ends[0], ends[1]) and not same(ends[0], ends[2])


def test_the_responses_of_the_present_policy_have_the_ratio_one(worker: LocalWorker) -> None:
    for importance in ("token", "sequence"):
        metrics = metrics_of(worker, 0, [returns_term(importance=importance, ratio_limit=4.0)])
        assert metrics["ratio_on"] == pytest.approx(1.0, abs=1e-3)
        assert metrics["ratio_max_on"] == pytest.approx(1.0, abs=1e-3)
        assert metrics["truncated_on"] == 0.0


@pytest.mark.parametrize("graph", [False, True])
def test_returns_do_not_wait_for_the_device(
    worker: LocalWorker, monkeypatch: pytest.MonkeyPatch, graph: bool
) -> None:
    watch_steps(monkeypatch)
    terms = [
        {**returns_term(importance="token", clip=0.2, ratio_limit=3.0), "name": "ppo"},
        {**returns_term("reverse_kl", gradient="reinforce", baseline="whiten"), "name": "rl"},
        {**returns_term(importance="sequence", ratio_limit=3.0), "name": "whole"},
    ]
    metrics = metrics_of(worker, 0, terms, graph=graph, **({} if graph else {"micro_batch": 3}))
    assert {"clipped_ppo", "advantage_rl", "truncated_whole"} <= metrics.keys()


def test_returns_need_the_student_s_states(worker: LocalWorker) -> None:
    prepare(worker, student="none")
    before = weights(worker)
    error = worker.error("step_student", **student_step(terms=[returns_term()]))
    assert error["code"] == "invalid_argument"
    assert "'on': returns need the student's hidden states" in error["message"]
    assert same(before, weights(worker))
    worker.call("score", batch=BATCH, teacher=False, student="values")
    worker.call("step_student", **student_step(terms=[returns_term()]))


def test_rows_that_nothing_drew_have_no_importance(worker: LocalWorker) -> None:
    prepare(worker)
    error = worker.error("step_student", **student_step(terms=[returns_term(importance="token")]))
    assert error["code"] == "invalid_argument"
    assert "have no log-probabilities" in error["message"]


def test_what_an_objective_cannot_be_is_refused(worker: LocalWorker) -> None:
    prepare(worker)
    error = worker.error("step_student", **student_step(terms=[returns_term("jsd", gradient="reinforce")]))
    assert error["code"] == "invalid_argument"
    assert "'jsd' has none; take gradient return with costs exact" in error["message"]


def test_a_discount_lowers_the_loss_and_may_be_dropped(worker: LocalWorker) -> None:
    found = []
    for more in ({}, {"gamma": 0.0}, {"gamma": 0.0, "drop_discount": True}):
        prepare(worker)
        plain = term("lm", "cross_entropy", "on", **more)
        worker.call("step_student", **student_step(terms=[plain], lr=0.0))
        found.append(worker.call("end_step", step=0)["metrics"]["loss_lm"])
    assert found[0] == found[2] and found[1] < 0.5 * found[0]


def test_a_run_with_returns_learns_something(worker: LocalWorker) -> None:
    assert run_step(worker, 0)
    losses = [metrics_of(worker, 1 + step, [returns_term("reverse_kl")])["loss_on"] for step in range(8)]
    assert losses[-1] < losses[0]
