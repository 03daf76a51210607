"""Adapters: what they compute and how they start, against the formula; merged, dropped out, refused."""

import math
import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    MixtralConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3MoeConfig,
)

from py_worker.models.decoder import DecoderPolicy
from py_worker.models.errors import ModelError, UnsupportedModelError
from py_worker.models.loading.load import load_policy
from py_worker.models.lora import (
    adapter_dropout,
    adapter_parameters,
    add_adapters,
    effective_weight,
    merged_state,
)
from py_worker.models.policy import Policy
from py_worker.models.saving import save_policy, save_policy_adapters
from py_worker.models.spec import ArchSpec, LoraSpec, ModelSpec
from tests.py.models.adapted import adapted_policy, spread_adapters
from tests.py.models.test_policy import policy_of
from tests.py.tiny_models import tiny_policy, tiny_tokenizer

torch.set_num_threads(1)

SPEC = LoraSpec(rank=4, alpha=12.0, seed=3)
TOKENS = torch.tensor([[2, 3, 4, 5, 6, 7, 8], [8, 3, 12, 4, 4, 2, 9]])
LINEAR = ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj")


def logits(policy: Policy) -> Tensor:
    with torch.no_grad():
        return policy.logits(policy.forward_hidden(TOKENS))


def with_adapters(spec: LoraSpec = SPEC, **options) -> Policy:
    policy = tiny_policy(**options)
    add_adapters(policy.module, spec, "tiny")
    return policy


def test_adapters_change_nothing_before_they_are_trained():
    assert torch.equal(logits(with_adapters()), logits(tiny_policy()))


def test_adapters_alone_are_trained():
    policy = with_adapters()
    names = {name for name, _ in policy.trainable()}
    assert names == set(adapter_parameters(policy.module)) == set(policy.adapters)
    layers = [f"model.layers.{i}.{part}" for i in (0, 1) for part in ("self_attn", "mlp")]
    expected = {
        f"{layer}.{linear}.lora_{matrix}.default.weight"
        for layer in layers
        for linear in LINEAR
        for matrix in "AB"
        if (linear[0] in "kqvo") == layer.endswith("attn")
    }
    assert names == expected
    policy.forward_hidden(TOKENS).square().sum().backward()
    frozen = [p for name, p in policy.module.named_parameters() if name not in names]
    assert frozen and all(p.grad is None for p in frozen)
    assert all(p.grad is not None for p in policy.adapters.values())


def test_the_seed_alone_decides_how_adapters_start():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = with_adapters().adapters
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again = with_adapters(dtype=torch.bfloat16).adapters
    other = with_adapters(replace(SPEC, seed=4)).adapters
    for name, matrix in first.items():
        assert matrix.dtype == torch.float32 and torch.equal(matrix, again[name])
        if "lora_B" in name:
            assert not matrix.any()
            continue
        assert not torch.equal(matrix, other[name])
        bound = 1 / math.sqrt(matrix.shape[1])
        # Of 64 uniform numbers the largest is within 0.8 of the bound but for one case in a million.
        assert 0.8 * bound < matrix.abs().max() <= bound


@pytest.mark.parametrize("tie", [True, False])
def test_an_adapted_model_computes_the_formula(tie):
    """W + alpha / r · B A, added by hand into a model without adapters."""
    policy = with_adapters(dtype=torch.float64, tie=tie)
    spread_adapters(policy.module)
    plain = tiny_policy(dtype=torch.float64, tie=tie)
    with torch.no_grad():
        for name, layer in plain.module.named_modules():
            matrices = [policy.adapters.get(f"{name}.lora_{m}.default.weight") for m in "AB"]
            if matrices[0] is not None:
                layer.weight += 12.0 / 4 * (matrices[1] @ matrices[0])
    expected = logits(plain)
    assert (logits(policy) - expected).abs().max() <= 1e-12 * expected.abs().max()
    assert (expected - logits(tiny_policy(dtype=torch.float64, tie=tie))).abs().max() > 0.1
    for name, layer in plain.module.named_modules():
        if isinstance(layer, torch.nn.Linear):
            found = effective_weight(policy.module.get_submodule(name))
            torch.testing.assert_close(found, layer.weight, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", ["gpt2", "phi", "gemma2"])
def test_other_architectures_compute_the_same_merged(name):
    policy = policy_of(name)
    add_adapters(policy.module, SPEC, name)
    spread_adapters(policy.module)
    before = {key: value.clone() for key, value in policy.module.state_dict().items()}
    merged = policy_of(name)
    merged.module.load_state_dict(merged_state(policy.module), strict=True)
    expected = logits(policy)
    assert (expected - logits(policy_of(name))).abs().max() > 1e-3
    torch.testing.assert_close(logits(merged), expected, rtol=1e-4, atol=1e-5)
    after = policy.module.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[key], before[key]) for key in after)


def test_targets_by_name():
    policy = with_adapters(replace(SPEC, targets=("q_proj", "layers.1.mlp.up_proj")))
    layers = {name.split(".lora_")[0] for name in policy.adapters}
    assert layers == {
        "model.layers.0.self_attn.q_proj",
        "model.layers.1.self_attn.q_proj",
        "model.layers.1.mlp.up_proj",
    }


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("c_attn", ModelError, f"no layer is called 'c_attn'; its linear layers are {', '.join(LINEAR)}$"),
        ("proj", ModelError, "no layer is called 'proj'"),
        ("lm_head", UnsupportedModelError, "lm_head is the output head"),
        ("embed_tokens", UnsupportedModelError, r"model.embed_tokens is a Embedding, not a linear layer"),
    ],
)
def test_targets_that_cannot_be_adapted_are_named(target, error, message):
    with pytest.raises(error, match=f"tiny: lora.targets: .*{message}"):
        with_adapters(replace(SPEC, targets=("q_proj", target)))


def experts(kind: type[PretrainedConfig], **options) -> PreTrainedModel:
    config = kind(
        vocab_size=13,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        **options,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config)


QWEN = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "head_dim": 8}


@pytest.mark.parametrize(
    ("kind", "options"), [(MixtralConfig, {"num_local_experts": 4}), (Qwen3MoeConfig, QWEN)]
)
def test_experts_are_no_linear_layers(tmp_path, kind, options):
    """Peft's own "all-linear" adapts their weights, which are one tensor and cannot be merged so."""
    policy = DecoderPolicy(
        experts(kind, **options), tiny_tokenizer(), name="experts", base=str(tmp_path / "base")
    )
    save_policy(policy, tmp_path / "base")
    add_adapters(policy.module, replace(SPEC, dropout=0.1), "experts")
    names = {name.split(".lora_")[0].removeprefix("model.layers.") for name in policy.adapters}
    assert names == {f"{i}.self_attn.{part}_proj" for i in (0, 1) for part in "qkvo"}
    spread_adapters(policy.module)
    for form, save in (("merged", save_policy), ("adapter", save_policy_adapters)):
        save(policy, tmp_path / form)
        found = load_policy(ModelSpec(str(tmp_path / form)), device="cpu")
        torch.testing.assert_close(logits(found), logits(policy), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("targets", [(), ("gate_proj",), ("up_proj", "gate_proj")])
def test_linear_layers_with_names_of_experts_are_refused(targets):
    """Of a dense layer among such with experts: peft takes their names for the experts' weights."""
    with pytest.raises(
        UnsupportedModelError, match=r"mixed: lora: Qwen3Moe.* name other layers in lora.targets"
    ):
        add_adapters(
            experts(Qwen3MoeConfig, **QWEN, mlp_only_layers=[0]), replace(SPEC, targets=targets), "mixed"
        )


def test_without_the_library_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r"tiny: adapters .* need .* peft.* setup --with peft"):
        with_adapters()


def gradients(policy: Policy, seed: int | None) -> dict[str, Tensor]:
    """Of some scalar, with dropout from a seed or without."""
    if seed is None:
        policy.forward_hidden(TOKENS).square().sum().backward()
    else:
        with adapter_dropout(policy.module, seed):
            policy.forward_hidden(TOKENS).square().sum().backward()
    found = {name: p.grad for name, p in policy.trainable()}
    policy.module.zero_grad()
    return found


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_dropout_comes_from_its_seed_and_leaves_no_trace():
    policy = adapted_policy(replace(SPEC, dropout=0.5))
    off = gradients(policy, None)
    state = torch.get_rng_state()
    first = gradients(policy, 7)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert same(first, gradients(policy, 7))
    assert not same(first, gradients(policy, 8))
    assert not same(first, off) and same(off, gradients(policy, None))
    assert not any(module.training for module in policy.module.modules())


def test_dropout_ends_with_an_error_too():
    policy = adapted_policy(replace(SPEC, dropout=0.5))
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), adapter_dropout(policy.module, 7):
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module.training for module in policy.module.modules())


def test_dropout_falls_on_the_adapters_inputs():
    policy = adapted_policy(replace(SPEC, dropout=0.25))
    layer = policy.module.model.layers[0].self_attn.q_proj
    inputs = torch.ones(1000, 16)
    with torch.no_grad(), adapter_dropout(policy.module, 1):
        found = layer(inputs) - layer.base_layer(inputs)
    delta = effective_weight(layer) - layer.base_layer.weight
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        kept = torch.nn.functional.dropout(inputs, 0.25)
    assert set(kept.unique().tolist()) == {0.0, inputs.new_tensor(4 / 3).item()}
    torch.testing.assert_close(found, kept @ delta.T, rtol=1e-4, atol=1e-5)


def test_the_models_own_dropout_stays_off():
    policy = policy_of("gpt2")
    assert policy.module.config.resid_pdrop == 0.1
    add_adapters(policy.module, SPEC, "gpt2")
    spread_adapters(policy.module)
    assert same(gradients(policy, None), gradients(policy, 7))


def test_recomputed_activations_drop_the_same():
    spec = replace(SPEC, dropout=0.5)
    checkpointed = adapted_policy(spec)
    checkpointed.checkpoint_activations()
    assert same(gradients(adapted_policy(spec), 7), gradients(checkpointed, 7))


def test_a_policy_is_loaded_with_adapters():
    spec = ModelSpec("builtin:llama", init="random", arch=ArchSpec(16, 2, 2, 1, 32, 64), seed=4)
    policy = load_policy(replace(spec, lora=SPEC), device="cpu")
    plain = load_policy(spec, device="cpu")
    assert len(policy.adapters) == 28 and plain.adapters == {}
    assert type(policy.module) is type(plain.module) and type(policy.body) is type(plain.body)
    assert not policy.head.weight.requires_grad
    assert torch.equal(logits(policy), logits(plain))


def test_adapters_on_weights_of_half_precision_are_whole():
    policy = with_adapters(dtype=torch.bfloat16)
    spread_adapters(policy.module)
    assert policy.dtype == torch.bfloat16
    assert {p.dtype for p in policy.adapters.values()} == {torch.float32}
    weight = policy.module.model.layers[0].self_attn.q_proj
    exact = weight.base_layer.weight.double() + 3.0 * (
        weight.lora_B.default.weight.double() @ weight.lora_A.default.weight.double()
    )
    # One rounding: nothing is further than half a unit in the last of bfloat16's 8 bits.
    found = effective_weight(weight)
    assert found.dtype == torch.bfloat16
    assert ((found.double() - exact).abs() <= exact.abs() * 2.0**-8 * 1.0001).all()
    assert DecoderPolicy(policy.module, tiny_tokenizer(), name="t").head.weight.dtype == torch.bfloat16
