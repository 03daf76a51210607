"""The penalty on a critic's gradient: by finite differences of the formulas, in closed form, and chunked."""

import math

import pytest
import torch
from torch import Tensor

from py_worker.losses.ascent import critic_backward
from py_worker.losses.scored import ScoredBatch, score_batch
from py_worker.models.critics.critic import Critic, build_critic
from py_worker.models.policy import Policy
from py_worker.models.spec import CriticSpec
from tests.py.tiny_models import tiny_batch, tiny_policy

torch.set_num_threads(1)

BOUND = 1.5
WEIGHT, TARGET = 10.0, 0.4


def setting(**spec) -> tuple[Critic, ScoredBatch, dict[str, Policy]]:
    teacher, student = tiny_policy(1, dtype=torch.float64), tiny_policy(2, dtype=torch.float64)
    given = {"hidden_size": 6, "seed": 3, "bound_value": BOUND, "gradient_penalty": WEIGHT} | spec
    critic = build_critic(CriticSpec(**given), student if given.get("features") == "student" else teacher)
    scored = score_batch(tiny_batch(6), teacher=teacher, student=student)
    return critic.double(), scored, {"teacher": teacher, "student": student}


def difference(scored: ScoredBatch, policies: dict[str, Policy]) -> Tensor:
    teacher = policies["teacher"].logits(scored.teacher_hidden).softmax(-1)
    return (teacher - policies["student"].logits(scored.student_hidden).softmax(-1)).detach()


def normalized(features: Tensor) -> Tensor:
    centred = features - features.mean(-1, keepdim=True)
    return (centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()).detach()


def head_values(head: str, weights: dict[str, Tensor], table: Tensor, x: Tensor) -> Tensor:
    """Pre-bound values from the definition of the heads."""
    if head == "linear":
        return x @ weights["weight"].T + weights["bias"]
    first, second = ("inner", "outer") if head == "bilinear" else ("0", "2")
    inner = x @ weights[f"{first}.weight"].T + weights[f"{first}.bias"]
    active = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
    outer = active @ weights[f"{second}.weight"].T + weights[f"{second}.bias"]
    if head == "mlp":
        return outer
    centred = table - table.mean(0)
    scaled = centred / centred.square().mean().sqrt()
    return outer @ scaled.T / math.sqrt(table.shape[1]) + weights["bias"]


def reference_penalty(
    spec: CriticSpec, weights, table: Tensor, x: Tensor, gap_weights: Tensor, teacher: Tensor
) -> Tensor:
    """Mean over positions of `weight · (‖∇_x Δ‖ − target)²`, the gradient by central differences."""

    def gaps(at: Tensor) -> Tensor:
        raw = head_values(spec.head, weights, table, at)
        if spec.form == "ratio":
            guess = raw.softmax(-1)
            return (gap_weights * 2 * (teacher - guess) / (teacher + guess)).sum(-1)
        return (gap_weights * (BOUND * raw.tanh() if spec.bound == "tanh" else raw)).sum(-1)

    h = 1e-5
    steps = h * torch.eye(x.shape[1], dtype=x.dtype)
    gradient = torch.stack([(gaps(x + step) - gaps(x - step)) / (2 * h) for step in steps], dim=-1)
    return WEIGHT * (gradient.square().sum(-1).sqrt() - TARGET).square().mean()


def gradients(critic: Critic, scored: ScoredBatch, policies, chunk_size: int | None = None):
    critic.zero_grad()
    metrics = critic_backward(critic, scored, "all", **policies, chunk_size=chunk_size)
    return metrics, {name: p.grad.clone() for name, p in critic.named_parameters() if p.grad is not None}


def without_penalty(critic: Critic, scored: ScoredBatch, policies):
    plain, _, _ = setting(
        **{
            name: getattr(critic.spec, name)
            for name in ("head", "form", "bound", "features", "spectral_norm")
        },
        gradient_penalty=0.0,
    )
    return gradients(plain, scored, policies)


@pytest.mark.parametrize(
    ("head", "form", "bound", "features"),
    [
        ("bilinear", "free", "tanh", "teacher"),
        ("bilinear", "free", "mixture", "student"),
        ("bilinear", "ratio", "mixture", "teacher"),
        ("mlp", "free", "tanh", "student"),
        ("linear", "free", "student", "teacher"),
    ],
)
def test_penalty_and_its_gradient_by_finite_differences(head, form, bound, features):
    critic, scored, policies = setting(head=head, form=form, bound=bound, features=features)
    hidden = scored.teacher_hidden if features == "teacher" else scored.student_hidden
    table = policies[features].head.weight.detach()
    x, gap_weights = normalized(hidden), difference(scored, policies)
    teacher = policies["teacher"].logits(scored.teacher_hidden).softmax(-1).detach()
    metrics, found = gradients(critic, scored, policies)
    plain_metrics, plain = without_penalty(critic, scored, policies)
    weights = {name: p.detach().clone() for name, p in critic.head.named_parameters()}

    def penalty(changed: dict[str, Tensor]) -> Tensor:
        return reference_penalty(critic.spec, changed, table, x, gap_weights, teacher)

    torch.testing.assert_close(metrics["gradient_penalty"], penalty(weights), rtol=1e-7, atol=1e-10)
    assert metrics["gradient_penalty"] > 0.01
    for name in ("gap", "objective"):
        torch.testing.assert_close(metrics[name], plain_metrics[name], rtol=1e-12, atol=0.0)
    generator = torch.Generator().manual_seed(8)
    for _ in range(3):
        drawn = {n: torch.randn(w.shape, generator=generator, dtype=w.dtype) for n, w in weights.items()}
        length = math.sqrt(sum(float(d.square().sum()) for d in drawn.values()))
        direction, h = {n: d / length for n, d in drawn.items()}, 1e-4
        up, down = ({n: w + s * h * direction[n] for n, w in weights.items()} for s in (1, -1))
        expected = (penalty(up) - penalty(down)) / (2 * h)
        slope = sum(((found[f"head.{n}"] - plain[f"head.{n}"]) * d).sum() for n, d in direction.items())
        torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-7)


def test_a_linear_head_in_closed_form():
    critic, scored, policies = setting(head="linear", bound="mixture", gradient_penalty_target=0.7)
    metrics, found = gradients(critic, scored, policies)
    _, plain = without_penalty(critic, scored, policies)
    gap_weights, weight = difference(scored, policies), critic.head.weight.detach()
    slopes = gap_weights @ weight
    norms = slopes.norm(dim=-1)
    torch.testing.assert_close(metrics["feature_gradient_norm"], norms.mean())
    torch.testing.assert_close(metrics["gradient_penalty"], WEIGHT * (norms - 0.7).square().mean())
    factors = 2 * WEIGHT * (norms - 0.7) / norms / len(norms)
    expected = (gap_weights * factors[:, None]).T @ slopes
    torch.testing.assert_close(found["head.weight"] - plain["head.weight"], expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found["head.bias"], plain["head.bias"])


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_chunks_change_nothing(spectral_norm):
    critic, scored, policies = setting(spectral_norm=spectral_norm)
    metrics, found = gradients(critic, scored, policies)
    for chunk_size in (1, 3):
        other_metrics, other = gradients(critic, scored, policies, chunk_size)
        assert metrics.keys() == other_metrics.keys()
        for name, value in metrics.items():
            torch.testing.assert_close(other_metrics[name], value, rtol=1e-10, atol=1e-14)
        for name, gradient in found.items():
            torch.testing.assert_close(other[name], gradient, rtol=1e-10, atol=1e-14)


def test_a_value_added_to_every_token_is_not_penalised():
    """Δ_f does not see it: the head's last layer gets the same row for every token."""
    critic, scored, policies = setting(head="linear", bound="mixture")
    metrics, _ = gradients(critic, scored, policies)
    with torch.no_grad():
        critic.head.weight.add_(torch.linspace(-1.0, 1.0, critic.head.weight.shape[1]))
    shifted, _ = gradients(critic, scored, policies)
    torch.testing.assert_close(shifted["gradient_penalty"], metrics["gradient_penalty"])


def test_equal_policies_have_the_penalty_of_a_flat_critic_and_no_gradient_from_it():
    critic, _, policies = setting()
    student = policies["student"]
    scored = score_batch(tiny_batch(6), teacher=student, student=student)
    metrics, found = gradients(critic, scored, {"teacher": student, "student": student})
    assert metrics["feature_gradient_norm"] == 0.0
    assert float(metrics["gradient_penalty"]) == pytest.approx(WEIGHT * TARGET**2)
    assert all(not gradient.any() for gradient in found.values())


def test_off_means_no_metric_and_no_second_pass(monkeypatch):
    critic, scored, policies = setting(gradient_penalty=0.0)

    def never(*_, **__):
        raise AssertionError("the gradient of the features is not wanted")

    monkeypatch.setattr(torch.autograd, "grad", never)
    metrics, found = gradients(critic, scored, policies)
    assert "gradient_penalty" not in metrics and "feature_gradient_norm" not in metrics
    assert found
