"""Loss scaling: its course against that of torch.amp, its effect on an update and on what float16 holds."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from py_worker.losses.driver import student_backward
from py_worker.losses.scored import score_batch
from py_worker.losses.terms import Term
from py_worker.models.loss_scale import LossScale
from py_worker.models.optimizer import Optimizer
from py_worker.models.spec import OptimizerSpec
from tests.py.tiny_models import tiny_batch, tiny_policy

torch.set_num_threads(1)

SPEC = OptimizerSpec(beta1=0.8, beta2=0.95, eps=1e-6, weight_decay=0.1)


def tensor(value: float) -> Tensor:
    return torch.tensor(value)


def test_its_course_is_that_of_torch_amp():
    """Over two growths, with bad steps in a row, within a good run, and just before and at a growth."""
    bad = {0, 1, 2, 700, 2700, 2701, 2701 + 1999, 2701 + 2000, 6702 + 500}
    scale = LossScale("cpu")
    theirs, tracker = torch.full((), 65536.0), torch.zeros((), dtype=torch.int32)
    seen = set()
    for step in range(9500):
        skipped = tensor(float(step in bad))
        scale.update(skipped)
        torch._amp_update_scale_(theirs, tracker, skipped, 2.0, 0.5, 2000)
        assert torch.equal(scale.value, theirs)
        seen.add(float(theirs))
    assert len(seen) >= 8 and max(seen) == 32768.0 and float(theirs) > min(seen)


def test_it_stays_within_its_bounds(monkeypatch):
    monkeypatch.setattr("py_worker.models.loss_scale._INTERVAL", 3)
    scale = LossScale("cpu")
    for _ in range(40):
        scale.update(tensor(1.0))
    assert scale.value == 1.0
    for _ in range(30 * 3):
        scale.update(tensor(0.0))
    assert scale.value == 2.0**24


def parameters() -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return {n: nn.Parameter(torch.randn(s, generator=generator)) for n, s in (("a", (4, 3)), ("b", (4,)))}


def step(optimizer: Optimizer, seed: int, factor: float) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    for p in optimizer.parameters.values():
        p.grad = factor * torch.randn(p.shape, generator=generator)
    return optimizer.step(lr=0.1, clip_norm=0.5)


@pytest.mark.parametrize("spec", [SPEC, replace(SPEC, optimistic=True)], ids=["plain", "optimistic"])
def test_an_update_is_the_same_bit_for_bit(spec):
    """A power of two changes no bit of what is multiplied and divided by it."""
    plain, scaled = parameters(), parameters()
    first = Optimizer(plain.items(), spec)
    second = Optimizer(scaled.items(), spec, LossScale("cpu"))
    for seed in range(4):
        metrics = step(second, seed, 65536.0)
        assert metrics.pop("loss_scale") == 65536.0
        assert metrics == step(first, seed, 1.0)
        assert all(torch.equal(scaled[name], plain[name]) for name in plain)


def test_a_step_that_overflows_is_skipped_and_halves_the_scale():
    weights = parameters()
    optimizer = Optimizer(weights.items(), SPEC, LossScale("cpu"))
    before = {name: p.detach().clone() for name, p in weights.items()}
    for used in (65536.0, 32768.0):
        metrics = step(optimizer, 0, math.inf)
        assert (metrics["skipped"], metrics["loss_scale"]) == (1, used)
        assert not torch.isfinite(metrics["gradient_norm"])
    assert all(torch.equal(weights[name], before[name]) for name in before)
    metrics = step(optimizer, 1, 16384.0)
    assert (metrics["skipped"], metrics["loss_scale"]) == (0, 16384.0)
    assert not torch.equal(weights["a"], before["a"])


def test_a_step_without_gradients_is_fine():
    optimizer = Optimizer(parameters().items(), SPEC, LossScale("cpu"))
    assert optimizer.step(lr=0.1)["loss_scale"] == 65536.0


def test_its_state_goes_through_the_optimizers():
    first = Optimizer(parameters().items(), SPEC, LossScale("cpu"))
    step(first, 0, math.nan)
    for seed in range(1500):
        first.loss_scale.update(tensor(0.0)) if seed else step(first, 1, 1.0)
    saved = {name: value.clone() for name, value in first.state_tensors().items()}
    second = Optimizer(parameters().items(), SPEC, LossScale("cpu"))
    second.load_state_tensors(saved)
    for _ in range(500):
        for optimizer in (first, second):
            optimizer.loss_scale.update(tensor(0.0))
    assert first.loss_scale.value == second.loss_scale.value == 65536.0
    second.load_state_tensors({})
    assert second.loss_scale.value == 65536.0 and not second.state_tensors()["loss_scale.good_steps"]
    plain = Optimizer(parameters().items(), SPEC)
    with pytest.raises(ValueError, match=r"loss_scale.good_steps"):
        plain.load_state_tensors(saved)


def gradients(compute: torch.dtype | None, loss_scale: Tensor | None) -> dict[str, Tensor]:
    """Of a small part of a loss, as one that is a mean over many tokens."""
    teacher, student = tiny_policy(1), tiny_policy(2)
    teacher.compute_dtype = student.compute_dtype = compute
    scored = score_batch(tiny_batch(), teacher=teacher)
    student_backward(
        student, scored, [Term("kd", "forward_kl", "all", 1e-4)], teacher=teacher, loss_scale=loss_scale
    )
    factor = 1.0 if loss_scale is None else float(loss_scale)
    return {name: p.grad / factor for name, p in student.trainable()}


def test_the_gradient_is_multiplied_by_it():
    plain, scaled = gradients(None, None), gradients(None, tensor(1024.0))
    assert all(torch.equal(scaled[name], plain[name]) for name in plain)


def test_with_it_float16_holds_small_gradients():
    exact = gradients(None, None)

    def error(found: dict[str, Tensor]) -> float:
        squares = [(found[name] - exact[name]).square().sum() / exact[name].square().sum() for name in exact]
        return math.sqrt(max(squares))

    assert error(gradients(torch.float16, tensor(65536.0))) < 0.01
    assert error(gradients(torch.float16, None)) > 0.5
