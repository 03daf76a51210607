"""Spectral norms: the largest singular value by decomposition, and what moves the singular vectors."""

import pytest
import torch
from torch import nn

from py_worker.models.critics.critic import CRITIC_HEADS, build_critic
from py_worker.models.critics.spectral_norm import SpectralNorm, advance_spectra, normalize_spectra
from py_worker.models.optimizer import Optimizer
from py_worker.models.spec import CriticSpec, OptimizerSpec
from tests.py.tiny_models import tiny_policy

torch.set_num_threads(1)

APPLIED, SKIPPED = torch.ones(()), torch.zeros(())


def normalized_layer(seed: int = 0) -> nn.Linear:
    layer = nn.utils.skip_init(nn.Linear, 7, 5, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.normal_(generator=generator)
        layer.bias.zero_()
    normalize_spectra(layer, generator)
    return layer


def vectors(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


@pytest.mark.parametrize("head", sorted(CRITIC_HEADS.keys() - {"policy"}))
def test_every_weight_matrix_of_a_head_begins_with_norm_one_and_is_kept_near_it(head):
    critic = build_critic(CriticSpec(head=head, hidden_size=24, spectral_norm=True), tiny_policy())
    layers = [layer for layer in critic.modules() if isinstance(layer, nn.Linear)]
    assert len(layers) == (1 if head == "linear" else 2)
    optimizer = Optimizer(critic.named_parameters(), OptimizerSpec())
    features = torch.randn(40, 16, generator=torch.Generator().manual_seed(1))
    for step in range(20):
        for layer in layers:
            norm = float(torch.linalg.matrix_norm(layer.weight.detach(), 2))
            assert norm == pytest.approx(1.0, abs=0.1 if step else 0.01)
        critic.values(features)[:, :3].sum().neg().backward()
        before = [layer.weight.detach().clone() for layer in layers]
        optimizer.step(lr=0.002)
        critic.follow_update(APPLIED)
        assert all(not torch.equal(old, layer.weight) for old, layer in zip(before, layers, strict=True)), (
            "only the norm is held, not the weights"
        )


def test_the_gradient_is_that_of_the_weight_over_its_largest_singular_value():
    layer = normalized_layer()
    original = layer.parametrizations.weight.original
    free = original.detach().clone().requires_grad_()
    mask = torch.randn(5, 7, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    (layer.weight * mask).sum().backward()
    (free / torch.linalg.svdvals(free)[0] * mask).sum().backward()
    torch.testing.assert_close(original.grad, free.grad, rtol=1e-6, atol=1e-8)


def test_passes_leave_the_vectors_and_an_update_moves_them_unless_it_was_skipped():
    layer = normalized_layer()
    with torch.no_grad():
        layer.parametrizations.weight.original.add_(0.3)
    before = vectors(layer)
    layer.train()(torch.ones(2, 7, dtype=torch.float64)).sum().backward()
    advance_spectra(layer, SKIPPED)
    assert all(torch.equal(before[name], vector) for name, vector in vectors(layer).items())
    error = abs(1.0 - torch.linalg.svdvals(layer.weight.detach())[0])
    advance_spectra(layer, APPLIED)
    assert not any(torch.equal(before[name], vector) for name, vector in vectors(layer).items())
    assert abs(1.0 - torch.linalg.svdvals(layer.weight.detach())[0]) < 0.5 * error


def test_the_vectors_come_from_the_generator_and_are_saved():
    state = torch.get_rng_state()
    first, again, other = (normalized_layer(seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    for name, vector in vectors(first).items():
        assert torch.equal(vector, vectors(again)[name])
        assert not torch.equal(vector, vectors(other)[name])
        assert name in first.state_dict()
    assert len(vectors(first)) == 2
    weight = first.parametrizations.weight.original.detach()
    starts = [SpectralNorm(weight, torch.Generator().manual_seed(seed)).left for seed in (1, 2)]
    assert not torch.equal(*starts), "the same weights, another start"


def test_weights_begin_as_those_without_the_norm_divided_by_it():
    policy = tiny_policy()
    plain = build_critic(CriticSpec(seed=4), policy).head
    normalized = build_critic(CriticSpec(seed=4, spectral_norm=True), policy).head
    for name in ("inner", "outer"):
        free = getattr(plain, name).weight.detach()
        expected = free / torch.linalg.matrix_norm(free, 2)
        original = getattr(normalized, name).parametrizations.weight.original
        torch.testing.assert_close(original.detach(), expected, rtol=0.01, atol=1e-4)
        torch.testing.assert_close(getattr(normalized, name).weight.detach(), original.detach())
