"""A critic's ascent: its gradient and metrics by definition, and that it finds the maximiser."""

import math

import pytest
import torch

from py_worker.losses.ascent import critic_backward
from py_worker.losses.driver import student_backward
from py_worker.losses.scored import ScoredBatch, score_batch
from py_worker.losses.terms import Term
from py_worker.models.critics.critic import Critic, build_critic
from py_worker.models.optimizer import Optimizer
from py_worker.models.policy import Policy
from py_worker.models.spec import CriticSpec, OptimizerSpec
from tests.py.tiny_models import tiny_batch, tiny_policy

torch.set_num_threads(1)


def setting(**spec) -> tuple[Policy, Policy, Critic, ScoredBatch]:
    teacher, student = tiny_policy(1, dtype=torch.float64), tiny_policy(2, dtype=torch.float64)
    teacher.freeze()
    spec = {"hidden_size": 32, "seed": 3} | spec
    owner = student if spec.get("features") == "student" else teacher
    critic = build_critic(CriticSpec(**spec), owner).double()
    return student, teacher, critic, score_batch(tiny_batch(6), teacher=teacher, student=student)


def probabilities(student: Policy, teacher: Policy, scored: ScoredBatch, part: str):
    rows = scored.batch.positions().row.tolist()
    kept = torch.tensor([part in ("all", scored.batch.parts[row]) for row in rows])
    p = teacher.logits(scored.teacher_hidden[kept]).softmax(-1).detach()
    q = student.logits(scored.student_hidden[kept]).softmax(-1).detach()
    return p, q, kept


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("form", "bound"), [("free", "tanh"), ("free", "mixture"), ("ratio", "mixture")])
def test_no_further_from_float64_than_autograd_through_logits(form, bound, dtype):
    """From the same states and weights, over seeds: the policies in `dtype`, the critic in float32."""
    squares = torch.zeros(2, dtype=torch.float64)
    for seed in range(5):
        exact, low, by_logits = (
            _critic_gradients(seed, form, bound, dtype, way) for way in ("exact", "ours", "logits")
        )
        for row, found in enumerate((low, by_logits)):
            squares[row] += sum((a.double() - b).square().sum() for a, b in zip(found, exact, strict=True))
    assert 0 < squares[0] < 1.1**2 * squares[1]


def _critic_gradients(seed, form, bound, dtype, way):
    teacher, student = tiny_policy(seed, dtype=dtype), tiny_policy(seed + 50, dtype=dtype)
    teacher.freeze()
    spec = CriticSpec(hidden_size=32, seed=seed, form=form, bound=bound, bound_value=1.5)
    critic = build_critic(spec, teacher)
    scored = score_batch(tiny_batch(6), teacher=teacher, student=student)
    if way == "ours":
        critic_backward(critic, scored, "all", student=student, teacher=teacher)
        return [parameter.grad for parameter in critic.parameters()]
    wide = torch.float64 if way == "exact" else torch.float32
    if way == "exact":
        critic.double()
    products = (lambda t: t.double()) if way == "exact" else (lambda t: t)
    logits = [
        (products(hidden) @ products(policy.head.rows).t()).to(wide)
        for policy, hidden in ((teacher, scored.teacher_hidden), (student, scored.student_hidden.detach()))
    ]
    p, q = (one.detach().softmax(-1) for one in logits)
    raw = critic.unbounded(critic.raw(scored.teacher_hidden), logits[0].detach())
    if bound == "tanh":
        objective = ((p - q) * critic.bounded(raw)).sum(-1)
    else:
        objective = ((p - q) * raw - 0.25 * (p + q) * raw**2).sum(-1)
    return torch.autograd.grad(-objective.mean(), list(critic.parameters()))


def before_bound(critic: Critic, raw: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """By the definition of both forms, from probabilities."""
    if critic.spec.form == "free":
        return raw
    guess = raw.softmax(-1)
    return 2 * (p - guess) / (p + guess)


@pytest.mark.parametrize("features", ["teacher", "student"])
@pytest.mark.parametrize("part", ["on", "off", "all"])
@pytest.mark.parametrize(
    ("form", "bound"),
    [("free", "tanh"), ("free", "mixture"), ("free", "student"), ("ratio", "mixture")],
)
def test_gradient_and_metrics_by_definition(form, bound, part, features):
    student, teacher, critic, scored = setting(form=form, bound=bound, bound_value=1.5, features=features)
    p, q, kept = probabilities(student, teacher, scored, part)
    inputs = (scored.teacher_hidden if features == "teacher" else scored.student_hidden)[kept]
    raw = before_bound(critic, critic.raw(inputs), p)
    mu = {"tanh": (p + q) / 2, "mixture": (p + q) / 2, "student": q}[bound]
    if bound == "tanh":
        bounded = 1.5 * raw.tanh()
        objective = ((p - q) * bounded).sum(-1).mean()
    else:
        bounded = raw.clamp(-1.5, 1.5)
        objective = ((p - q) * raw - 0.5 * mu * raw**2).sum(-1).mean()
    expected = torch.autograd.grad(-objective, list(critic.parameters()))
    for chunk_size in (None, 2):
        metrics = critic_backward(
            critic,
            scored,
            part,
            student=student,
            teacher=teacher,
            chunk_size=chunk_size,
            diagnostics=True,
        )
        for parameter, gradient in zip(critic.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-13)
        critic.zero_grad()
        tv = 0.5 * (p - q).abs().sum(-1)
        gap = ((p - q) * bounded).sum(-1)
        wanted = {
            "objective": objective,
            "gap": gap.mean(),
            "tv": tv.mean(),
            "tightness": gap.sum() / (2 * 1.5 * tv.sum()),
            "value_rms": (mu * bounded**2).sum(-1).mean().sqrt(),
            "value_max": bounded.abs().max(),
            "saturated": (mu * (bounded.abs() > 0.95 * 1.5)).sum(-1).mean(),
        }
        if bound != "tanh":
            wanted["optimality"] = objective / (0.5 * (p - q) ** 2 / mu).sum(-1).mean()
        assert metrics.keys() == wanted.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(metrics[name], value.detach(), rtol=1e-9, atol=1e-12)
    assert all(parameter.grad is None for _, parameter in student.trainable())


@pytest.mark.parametrize(
    ("form", "bound", "limit"), [("free", "tanh", 1.0), ("free", "mixture", 2.0), ("ratio", "mixture", 2.0)]
)
def test_ascent_approaches_the_maximiser(bound, limit, form):
    student, teacher, critic, scored = setting(form=form, bound=bound, bound_value=limit, hidden_size=128)
    optimizer = Optimizer(critic.named_parameters(), OptimizerSpec(beta1=0.9))
    history = []
    for _ in range(300):
        metrics = critic_backward(critic, scored, "all", student=student, teacher=teacher, diagnostics=True)
        history.append(metrics)
        optimizer.step(lr=0.01)
    measure = "tightness" if bound == "tanh" else "optimality"
    assert history[0][measure] < 0.3
    assert 0.95 < history[-1][measure] <= 1.0 + 1e-9
    if bound == "mixture":
        p, q, _ = probabilities(student, teacher, scored, "all")
        values = critic.values(scored.teacher_hidden, teacher.logits(scored.teacher_hidden)).detach()
        best = (p - q) / (0.5 * (p + q))
        assert (0.5 * (p + q) * (values - best) ** 2).sum(-1).mean() < 0.05


@pytest.mark.parametrize("bound", ["mixture", "student"])
def test_a_penalised_objective_is_that_of_the_values_before_the_clip(bound):
    student, teacher, critic, scored = setting(bound=bound, bound_value=0.05)
    p, q, kept = probabilities(student, teacher, scored, "all")
    raw = critic.raw(scored.teacher_hidden[kept])
    assert 0.1 < (raw.abs() > 0.05).double().mean() < 0.9
    mu = (p + q) / 2 if bound == "mixture" else q
    objective = ((p - q) * raw - 0.5 * mu * raw**2).sum(-1).mean()
    expected = torch.autograd.grad(-objective, list(critic.parameters()))
    metrics = critic_backward(critic, scored, "all", student=student, teacher=teacher)
    torch.testing.assert_close(metrics["objective"], objective.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        metrics["gap"], ((p - q) * raw.clamp(-0.05, 0.05)).sum(-1).mean().detach(), rtol=1e-9, atol=1e-12
    )
    for parameter, gradient in zip(critic.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-13)


def test_a_penalised_value_beyond_the_clip_still_comes_back():
    student, teacher, critic, scored = setting(bound="mixture", bound_value=2.0)
    with torch.no_grad():
        critic.head.bias.fill_(50.0)
    critic_backward(critic, scored, "all", student=student, teacher=teacher)
    assert (critic.head.bias.grad > 0).all(), "descent on the gradient lowers every value"


def test_equal_policies_leave_tightness_undefined():
    student, _, critic, _ = setting(bound="mixture")
    scored = score_batch(tiny_batch(), teacher=student, student=student)
    metrics = critic_backward(critic, scored, "all", student=student, teacher=student, diagnostics=True)
    assert metrics["gap"] == 0 and metrics["tv"] == 0
    assert math.isnan(metrics["tightness"]) and math.isnan(metrics["optimality"])


def test_a_ratio_to_the_student_itself_is_the_maximiser():
    """A head that gives the student's logits, with any number added to all tokens of a state."""
    student, teacher, critic, scored = setting(form="ratio", bound="mixture", bound_value=2.0)
    p, q, _ = probabilities(student, teacher, scored, "all")
    shift = torch.linspace(-9, 9, len(q), dtype=q.dtype)[:, None]
    values = critic.values_of(q.log() + shift, teacher.logits(scored.teacher_hidden))
    torch.testing.assert_close(values, 2 * (p - q) / (p + q), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", ["plain", "fused"])
def test_the_student_s_step_takes_the_values_of_a_ratio(form):
    student, teacher, critic, scored = setting(form="ratio", bound="mixture", bound_value=2.0)
    p, _, kept = probabilities(student, teacher, scored, "on")
    guess = critic.raw(scored.teacher_hidden[kept]).softmax(-1).detach()
    values = 2 * (p - guess) / (p + guess)
    own = student.logits(student.response_hidden(scored.batch))[kept].softmax(-1)
    gap = ((p - own) * values).sum(-1).mean()
    expected = torch.autograd.grad(gap, [parameter for _, parameter in student.trainable()])
    terms = [Term("on", "moment", "on", critic="on")]
    metrics = student_backward(
        student, scored, terms, teacher=teacher, critics={"on": critic}, form=form, chunk_size=3
    )
    torch.testing.assert_close(metrics["loss"], gap.detach(), rtol=1e-9, atol=1e-12)
    for (_, parameter), gradient in zip(student.trainable(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-8, atol=1e-12)


def test_a_ratio_needs_the_teacher_and_the_bound_it_is_made_for():
    _, teacher, critic, scored = setting(form="ratio", bound="mixture")
    with pytest.raises(ValueError, match="need the teacher's logits"):
        critic.values(scored.teacher_hidden)
    for bound in ("tanh", "student"):
        with pytest.raises(ValueError, match=f"bound mixture, not {bound}"):
            build_critic(CriticSpec(form="ratio", bound=bound), teacher)


def test_a_critics_step_leaves_the_students_graph_for_its_own():
    student, teacher, critic, _ = setting()
    scored = score_batch(tiny_batch(), teacher=teacher, student=student, student_graph=True)
    optimizer = Optimizer(critic.named_parameters(), OptimizerSpec())
    for _ in range(2):
        critic_backward(critic, scored, "off", student=student, teacher=teacher)
        optimizer.step(lr=0.01)
    term = Term("off", "moment", "off", critic="off")
    student_backward(student, scored, [term], teacher=teacher, critics={"off": critic}, reuse_graph=True)
    assert all(parameter.grad is not None for _, parameter in student.trainable())
    assert all(parameter.grad is None for parameter in critic.parameters())


def test_parts_without_tokens_and_missing_scores():
    student, teacher, critic, scored = setting()
    assert critic_backward(critic, scored, "none", student=student, teacher=teacher) == {}
    assert set(critic_backward(critic, scored, "on", student=student, teacher=teacher)) == {
        "gap",
        "objective",
    }
    for half in (ScoredBatch(scored.batch, scored.teacher_hidden), ScoredBatch(scored.batch)):
        with pytest.raises(ValueError, match="both teacher and student"):
            critic_backward(critic, half, "on", student=student, teacher=teacher)
