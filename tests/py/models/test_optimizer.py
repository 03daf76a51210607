"""AdamW against its published update, clipping, skipped updates, and state restored bit for bit."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from py_worker.models.optimizer import Optimizer
from py_worker.models.spec import OptimizerSpec

torch.set_num_threads(1)

SPEC = OptimizerSpec(beta1=0.8, beta2=0.95, eps=1e-6, weight_decay=0.1)
OPTIMISTIC = replace(SPEC, optimistic=True)


def model(seed: int = 0, dtype: torch.dtype = torch.float64) -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"matrix": (4, 3), "norm": (4,), "scalar": ()}
    return {n: nn.Parameter(torch.randn(s, generator=generator, dtype=dtype)) for n, s in shapes.items()}


def set_gradients(parameters: dict[str, nn.Parameter], seed: int, scale: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(100 + seed)
    for p in parameters.values():
        p.grad = scale * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return [p.grad.clone() for p in parameters.values()]


def bits(parameters: dict[str, nn.Parameter], optimizer: Optimizer) -> dict[str, Tensor]:
    weights = {name: p.detach().clone() for name, p in parameters.items()}
    return weights | {name: tensor.clone() for name, tensor in optimizer.state_tensors().items()}


@pytest.mark.parametrize("spec", [SPEC, OPTIMISTIC], ids=["plain", "optimistic"])
def test_update_is_adamw_with_decay_on_matrices_only(spec):
    parameters = model()
    weights = [p.detach().clone() for p in parameters.values()]
    first = [torch.zeros_like(w) for w in weights]
    second = [torch.zeros_like(w) for w in weights]
    last = [torch.zeros_like(w) for w in weights]
    optimizer = Optimizer(parameters.items(), spec)
    for t in range(1, 5):
        lr = 0.1 / t
        gradients = set_gradients(parameters, t)
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        metrics = optimizer.step(lr=lr, clip_norm=0.5)
        assert float(metrics["gradient_norm"]) == pytest.approx(norm) and metrics["skipped"] == 0
        for i, g in enumerate(gradients):
            g = g * min(1.0, 0.5 / (norm + 1e-6))
            first[i] = spec.beta1 * first[i] + (1 - spec.beta1) * g
            second[i] = spec.beta2 * second[i] + (1 - spec.beta2) * g * g
            corrected = first[i] / (1 - spec.beta1**t)
            denominator = (second[i] / (1 - spec.beta2**t)).sqrt() + spec.eps
            descent = lr * corrected / denominator
            if weights[i].dim() > 1:
                descent = descent + lr * spec.weight_decay * weights[i]
            weights[i] = weights[i] - (2 * descent - last[i] if spec.optimistic else descent)
            last[i] = descent
    for p, expected in zip(parameters.values(), weights, strict=True):
        torch.testing.assert_close(p.detach(), expected, rtol=1e-9, atol=1e-12)
        assert p.grad is None
    for name, expected in zip(parameters, last, strict=True):
        if spec.optimistic:
            kept = optimizer.state_tensors()[f"{name}.update"]
            torch.testing.assert_close(kept, -expected, rtol=1e-9, atol=1e-12)


def distance_on_the_bilinear_game(optimistic: bool, eps: float, lr: float, steps: int) -> float:
    """From the solution (0, 0) of `min_x max_y xy`, begun at (1, 1)."""
    players = {name: nn.Parameter(torch.ones((), dtype=torch.float64)) for name in "xy"}
    # No momentum, with which optimism cannot make up for the turn; eps makes the steps follow the gradient.
    optimizer = Optimizer(players.items(), OptimizerSpec(beta1=0.0, eps=eps, optimistic=optimistic))
    x, y = players.values()
    for _ in range(steps):
        x.grad, y.grad = y.detach().clone(), -x.detach().clone()
        optimizer.step(lr=lr)
    return math.hypot(float(x.detach()), float(y.detach()))


@pytest.mark.parametrize(("eps", "lr", "steps"), [(1.0, 0.1, 1000), (100.0, 20.0, 300)])
def test_optimism_turns_the_spiral_of_a_game_inwards(eps, lr, steps):
    assert distance_on_the_bilinear_game(False, eps, lr, steps) > 2.0
    assert distance_on_the_bilinear_game(True, eps, lr, steps) < 0.2


def test_small_gradients_are_not_clipped_and_zero_is_off():
    for clip_norm, scale in ((10.0, 0.01), (0.0, 100.0)):
        clipped, free = model(), model()
        for parameters, limit in ((clipped, clip_norm), (free, 0.0)):
            set_gradients(parameters, 0, scale)
            Optimizer(parameters.items(), SPEC).step(lr=0.1, clip_norm=limit)
        assert all(torch.equal(a, b) for a, b in zip(clipped.values(), free.values(), strict=True))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("steps_before", [0, 2])
@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
@pytest.mark.parametrize("spec", [SPEC, OPTIMISTIC], ids=["plain", "optimistic"])
def test_a_non_finite_update_changes_nothing(bad, steps_before, clip_norm, spec):
    parameters = model(dtype=torch.float32)
    optimizer = Optimizer(parameters.items(), spec)
    for step in range(steps_before):
        set_gradients(parameters, step)
        optimizer.step(lr=0.1, clip_norm=clip_norm)
    before = bits(parameters, optimizer)
    set_gradients(parameters, 9)
    parameters["norm"].grad[1] = bad
    metrics = optimizer.step(lr=0.1, clip_norm=clip_norm)
    assert metrics["skipped"] == 1 and not math.isfinite(float(metrics["gradient_norm"]))
    after = bits(parameters, optimizer)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(after[f"{name}.step"] == steps_before for name in parameters)
    # The next good update is as if the bad one had never been.
    other = model(dtype=torch.float32)
    reference = Optimizer(other.items(), spec)
    for step in range(steps_before + 1):
        set_gradients(other, step)
        reference.step(lr=0.1, clip_norm=clip_norm)
    set_gradients(parameters, steps_before)
    assert optimizer.step(lr=0.1, clip_norm=clip_norm)["skipped"] == 0
    expected = bits(other, reference)
    assert all(torch.equal(value, expected[name]) for name, value in bits(parameters, optimizer).items())


@pytest.mark.parametrize("spec", [SPEC, OPTIMISTIC], ids=["plain", "optimistic"])
def test_a_gradient_below_the_floor_changes_nothing_and_is_no_fault(spec):
    parameters = model(dtype=torch.float32)
    optimizer = Optimizer(parameters.items(), spec)
    gradients = set_gradients(parameters, 0)
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    before = bits(parameters, optimizer)
    metrics = optimizer.step(lr=0.1, floor=1.01 * norm)
    assert metrics["skipped"] == metrics["applied"] == 0
    assert metrics["gradient_norm"] == pytest.approx(float(norm))
    assert all(torch.equal(value, before[name]) for name, value in bits(parameters, optimizer).items())
    other = model(dtype=torch.float32)
    reference = Optimizer(other.items(), spec)
    for one, options in ((optimizer, {"floor": 0.99 * norm}), (reference, {})):
        set_gradients(parameters if one is optimizer else other, 0)
        assert one.step(lr=0.1, **options).get("applied", 1) == 1
    expected = bits(other, reference)
    assert all(torch.equal(value, expected[name]) for name, value in bits(parameters, optimizer).items())


@pytest.mark.parametrize("spec", [SPEC, OPTIMISTIC], ids=["plain", "optimistic"])
def test_state_goes_through_tensors_bit_for_bit(spec):
    parameters = model()
    optimizer = Optimizer(parameters.items(), spec)
    assert not any(tensor.any() for tensor in optimizer.state_tensors().values())
    for step in range(2):
        set_gradients(parameters, step)
        optimizer.step(lr=0.1)
    saved = {name: tensor.clone() for name, tensor in optimizer.state_tensors().items()}
    copies = {name: nn.Parameter(p.detach().clone()) for name, p in parameters.items()}
    resumed = Optimizer(copies.items(), spec)
    resumed.load_state_tensors(saved)
    for owner, other in ((parameters, optimizer), (copies, resumed)):
        set_gradients(owner, 5)
        other.step(lr=0.1)
    first, second = bits(parameters, optimizer), bits(copies, resumed)
    assert first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)
    assert not torch.equal(saved["matrix.exp_avg"], first["matrix.exp_avg"]), "the saved tensors are copies"


@pytest.mark.parametrize(
    ("spec", "other"), [(SPEC, OPTIMISTIC), (OPTIMISTIC, SPEC)], ids=["plain", "optimistic"]
)
def test_state_that_does_not_fit_changes_nothing(spec, other):
    parameters = model()
    optimizer = Optimizer(parameters.items(), spec)
    set_gradients(parameters, 0)
    optimizer.step(lr=0.1)
    good = {name: tensor.clone() for name, tensor in optimizer.state_tensors().items()}
    missing = {name: tensor for name, tensor in good.items() if name != "norm.exp_avg"}
    for bad, name in (
        (good | {"other.step": torch.ones(())}, "other"),
        (missing, "norm.exp_avg"),
        (good | {"matrix.exp_avg": torch.zeros(3, 4)}, "matrix.exp_avg"),
        (Optimizer(model().items(), other).state_tensors(), "matrix.update"),
    ):
        with pytest.raises(ValueError, match=name):
            optimizer.load_state_tensors(bad)
    assert all(torch.equal(optimizer.state_tensors()[name], tensor) for name, tensor in good.items())


@pytest.mark.parametrize("spec", [SPEC, OPTIMISTIC], ids=["plain", "optimistic"])
def test_parameters_without_gradient_are_left_alone_and_gradients_can_be_dropped(spec):
    parameters = model()
    optimizer = Optimizer(parameters.items(), spec)
    set_gradients(parameters, 0)
    optimizer.discard_gradients()
    assert all(p.grad is None for p in parameters.values())
    parameters["matrix"].grad = torch.ones(4, 3, dtype=torch.float64)
    before = parameters["norm"].detach().clone()
    optimizer.step(lr=0.1)
    assert torch.equal(parameters["norm"], before)
    moved = {name.split(".")[0] for name, tensor in optimizer.state_tensors().items() if tensor.any()}
    assert moved == {"matrix"}
    weights = bits(parameters, optimizer)
    metrics = optimizer.step(lr=0.1, clip_norm=1.0)
    assert metrics["gradient_norm"] == 0 and metrics["skipped"] == 0
    assert all(torch.equal(weights[name], value) for name, value in bits(parameters, optimizer).items())
    with pytest.raises(ValueError, match="nothing to train"):
        Optimizer([], SPEC)


def test_moments_exist_from_the_start_and_are_kept_in_place():
    parameters = model()
    optimizer = Optimizer(parameters.items(), SPEC)
    first = optimizer.state_tensors()
    assert set(first) == {f"{n}.{key}" for n in parameters for key in ("step", "exp_avg", "exp_avg_sq")}
    set_gradients(parameters, 0)
    optimizer.step(lr=0.1)
    saved = {name: tensor.clone() for name, tensor in optimizer.state_tensors().items()}
    optimizer.load_state_tensors({name: value for name, value in saved.items() if "norm" not in name})
    now = optimizer.state_tensors()
    assert all(now[name] is tensor for name, tensor in first.items()), "nothing is allocated by a step"
    assert not any(now[name].any() for name in now if "norm" in name), "what is not named begins anew"
    assert torch.equal(now["matrix.exp_avg"], saved["matrix.exp_avg"])


def test_an_update_that_fails_drops_its_gradients(monkeypatch):
    parameters = model()
    optimizer = Optimizer(parameters.items(), SPEC)
    set_gradients(parameters, 0)

    def out_of_memory(*_):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(torch.optim.AdamW, "step", out_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        optimizer.step(lr=0.1)
    assert all(p.grad is None for p in parameters.values())
