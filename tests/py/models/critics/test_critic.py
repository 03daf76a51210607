"""Critics: bounds, normalisation, reproducibility, and what is trained and saved."""

import pytest
import torch

from py_worker.losses.moment import moment_gap
from py_worker.models.critics.critic import CRITIC_HEADS, build_critic
from py_worker.models.spec import CriticSpec
from tests.py.tiny_models import tiny_policy

FREE = sorted(CRITIC_HEADS.keys() - {"policy"})
"""Heads of any form; `policy` is for the form ratio (test_policy_head.py)."""

torch.set_num_threads(1)


def features(size: int = 16, count: int = 40, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(count, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("head", FREE)
@pytest.mark.parametrize("bound", ["tanh", "mixture", "student"])
def test_values_are_bounded_and_start_small_but_not_zero(head, bound):
    policy = tiny_policy()
    critic = build_critic(CriticSpec(head=head, bound=bound, bound_value=1.5), policy)
    values = critic.values(features())
    assert values.shape == (40, policy.vocab_size) and values.dtype == torch.float32
    assert 0.01 < values.std() < 0.5
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(1e3)
    extreme = critic.values(features())
    assert extreme.abs().max() <= 1.5 and extreme.abs().max() > 1.4
    assert torch.isfinite(extreme).all()


@pytest.mark.parametrize("rank", [0, 3])
def test_the_formula_of_the_bilinear_head(rank: int):
    policy = tiny_policy()
    critic = build_critic(CriticSpec(bound_value=2.0, hidden_size=8, rank=rank), policy)
    head, h = critic.head, features(count=3).double()
    critic.double()
    with torch.no_grad():
        head.bias.copy_(torch.linspace(-1, 1, policy.vocab_size))
    normalized = (h - h.mean(-1, keepdim=True)) / (h.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    inner = normalized @ head.inner.weight.T + head.inner.bias
    middle = torch.nn.functional.gelu(inner)
    query = middle @ head.outer.weight.T + head.outer.bias
    table = policy.head.weight.detach().double()
    table = table - table.mean(0)
    table = table / table.square().mean().sqrt()
    raw = query @ table.T / table.shape[1] ** 0.5 + head.bias
    if rank > 0:
        read, codes = head.coded
        assert codes.weight.shape == (policy.vocab_size, rank)
        raw = raw + (middle @ read.weight.T + read.bias) @ codes.weight.T
    expected = 2.0 * torch.tanh(raw)
    torch.testing.assert_close(critic.values(h), expected, rtol=1e-5, atol=1e-6)


def test_the_scale_and_offset_of_the_model_do_not_matter():
    plain, changed = tiny_policy(), tiny_policy()
    with torch.no_grad():
        changed.head.weight.mul_(50.0).add_(3.0)
    spec = CriticSpec(hidden_size=8)
    reference = build_critic(spec, plain).values(features())
    found = build_critic(spec, changed).values(features(scale=20.0))
    torch.testing.assert_close(found, reference, rtol=1e-3, atol=1e-3)


def test_centring_is_invisible_to_moment_gaps():
    policy = tiny_policy()
    critic = build_critic(CriticSpec(bound="mixture", bound_value=100.0), policy)
    student, teacher = torch.randn(2, 40, 13, generator=torch.Generator().manual_seed(2)).unbind(0)
    gap = moment_gap(student, teacher, critic.values(features()))
    critic.head.center.zero_()
    torch.testing.assert_close(moment_gap(student, teacher, critic.values(features())), gap)


def test_seed_decides_the_weights_and_the_global_random_state_is_untouched():
    policy = tiny_policy()
    state = torch.get_rng_state()
    first, again = (build_critic(CriticSpec(seed=5), policy) for _ in range(2))
    other = build_critic(CriticSpec(seed=6), policy)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.values(features()), again.values(features()))
    assert not torch.equal(first.values(features()), other.values(features()))


def test_the_teachers_table_is_shared_and_not_saved_the_students_is_kept_as_it_was():
    policy = tiny_policy()
    on_teacher = build_critic(CriticSpec(features="teacher"), policy)
    on_student = build_critic(CriticSpec(features="student"), policy)
    assert on_teacher.head.embedding.data_ptr() == policy.head.weight.data_ptr()
    assert "head.embedding" not in on_teacher.state_dict()
    assert "head.embedding" in on_student.state_dict()
    before = on_student.values(features())
    with torch.no_grad():
        policy.head.weight.add_(1.0).mul_(2.0)
    assert torch.equal(on_student.values(features()), before)
    trained = {name for name, _ in on_teacher.named_parameters()}
    assert trained == {
        f"head.{n}" for n in ("inner.weight", "inner.bias", "outer.weight", "outer.bias", "bias")
    }


def test_features_get_no_gradient_and_every_parameter_does():
    h = features().requires_grad_()
    for head in FREE:
        critic = build_critic(CriticSpec(head=head), tiny_policy())
        critic.values(h).square().sum().backward()
        assert h.grad is None
        assert all(p.grad.abs().max() > 0 for p in critic.parameters())


def test_values_cover_the_shared_vocabulary_only():
    policy = tiny_policy(padded_rows=3)
    assert policy.head.weight.shape[0] == policy.vocab_size + 3
    assert build_critic(CriticSpec(), policy).values(features()).shape[1] == policy.vocab_size


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (CriticSpec(head="tree"), "bilinear, linear, mlp, policy"),
        (CriticSpec(bound_value=0.0), "positive"),
        (CriticSpec(gradient_penalty=-1.0), "gradient_penalty must not be negative: -1"),
        (CriticSpec(gradient_penalty_target=-1.0), "gradient_penalty_target"),
        (CriticSpec(target_decay=1.5), r"target_decay must lie in \[0, 1\], not 1.5"),
    ],
)
def test_bad_specifications_are_named(spec, message):
    with pytest.raises(ValueError, match=message):
        build_critic(spec, tiny_policy())


def test_two_built_from_the_same_are_equal():
    """An average begins as the critic without a copy."""
    policy = tiny_policy()
    for features in ("teacher", "student"):
        spec = CriticSpec(features=features, spectral_norm=True)
        first, again = build_critic(spec, policy), build_critic(spec, policy)
        state = first.state_dict()
        assert state.keys() == again.state_dict().keys()
        assert all(torch.equal(value, again.state_dict()[name]) for name, value in state.items())


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_an_average_moves_by_its_decay_unless_the_update_was_skipped(decay):
    policy = tiny_policy()
    average, critic = (build_critic(CriticSpec(seed=seed), policy) for seed in (1, 2))
    average.requires_grad_(False)
    before = {name: p.clone() for name, p in average.named_parameters()}
    average.average_in(critic, decay, torch.zeros(()))
    assert all(torch.equal(p, before[name]) for name, p in average.named_parameters())
    average.average_in(critic, decay, torch.ones(()))
    for (name, own), new in zip(average.named_parameters(), critic.parameters(), strict=True):
        expected = decay * before[name] + (1 - decay) * new.detach()
        torch.testing.assert_close(own, expected, rtol=1e-6, atol=1e-8)
        assert decay > 0.0 or torch.equal(own, new)
        assert decay < 1.0 or torch.equal(own, before[name])


def test_the_spectral_norms_of_an_average_follow_its_own_weights():
    policy = tiny_policy()
    average, critic = (build_critic(CriticSpec(seed=seed, spectral_norm=True), policy) for seed in (1, 2))
    for _ in range(60):
        average.average_in(critic, 0.9, torch.ones(()))
    for layer in (average.head.inner, average.head.outer):
        assert float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) == pytest.approx(1.0, abs=0.01)
