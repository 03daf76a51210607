"""GPT-2's arithmetic against transformers' generation and forward pass, in float64."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2DoubleHeadsModel, GPT2LMHeadModel
from transformers.pytorch_utils import Conv1D

from py_worker.models.errors import UnsupportedModelError
from py_worker.rollout import families, running, weights
from py_worker.rollout.errors import RolloutError
from py_worker.rollout.forward import ForwardEngine
from py_worker.rollout.kv_cache import SdpaCache
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.sampling import Sampling
from tests.py.rollout.doubles import (
    TOLERANCE,
    VOCAB,
    ModulePolicy,
    as_lists,
    generate,
    gpt2_config,
    hugging_face_greedy,
    limited,
    randomize_norms_and_biases,
    reference_log_probs,
    seeded,
)

GREEDY = Sampling(temperature=0.0, max_new_tokens=20)
SAMPLED = Sampling(max_new_tokens=20)

VARIANTS: dict[str, dict[str, Any]] = {
    "tied": {},
    "untied": {"tie_word_embeddings": False},
    "inner": {"n_inner": 20},
    "epsilon": {"layer_norm_epsilon": 0.1},
    "one_head": {"n_head": 1},
    "unscaled": {"scale_attn_weights": False},
    "by_layer": {"scale_attn_by_inverse_layer_idx": True, "n_layer": 3},
    "by_layer_alone": {"scale_attn_by_inverse_layer_idx": True, "scale_attn_weights": False, "n_layer": 3},
    **{name: {"activation_function": name} for name in ("gelu", "relu", "silu", "xielu")},
}


def policy_of(dtype: torch.dtype = torch.float64, **changes: Any) -> ModulePolicy:
    module = seeded(lambda: GPT2LMHeadModel(gpt2_config(**changes)), dtype)
    randomize_norms_and_biases(module)
    return ModulePolicy(module, eos_ids=(2, 5))


def check(policy: ModulePolicy, prompts: list[np.ndarray], tolerance: float = TOLERANCE) -> None:
    """Greedy tokens, and log-probabilities of drawn ones."""
    responses = generate(NativeEngine(), policy, prompts, GREEDY)
    assert as_lists(responses.tokens) == hugging_face_greedy(policy, prompts, 20)
    sampled = generate(NativeEngine(), policy, prompts, SAMPLED)
    expected = reference_log_probs(policy, prompts, sampled.tokens, SAMPLED)
    for row, reference in zip(sampled.log_probs, expected, strict=True):
        np.testing.assert_allclose(row, reference, atol=tolerance)


@pytest.mark.parametrize("variant", VARIANTS)
def test_greedy_equals_generate_token_by_token(variant: str, prompts: list[np.ndarray]) -> None:
    policy = policy_of(**VARIANTS[variant])
    assert NativeEngine().refusal(policy) is None
    check(policy, prompts)


def test_a_setting_that_was_ignored_would_show(prompts: list[np.ndarray]) -> None:
    """Guards the test above: each variant draws something else than plain GPT-2."""
    variants = {name: policy_of(**changes) for name, changes in VARIANTS.items()}
    first = Sampling(max_new_tokens=1)
    drawn = {
        name: np.concatenate(generate(NativeEngine(), policy, prompts, first).log_probs)
        for name, policy in variants.items()
    }
    plain = drawn.pop("tied")
    assert {name for name, other in drawn.items() if np.abs(other - plain).max() < 3 * TOLERANCE} == set()


def test_reordered_attention_is_the_same_but_for_rounding(prompts: list[np.ndarray]) -> None:
    """transformers computes it in eager attention alone, and not in float64."""
    policy = policy_of(torch.float32, reorder_and_upcast_attn=True, attn_implementation="eager")
    assert NativeEngine().refusal(policy) is None
    check(policy, prompts, 1e-4)


@pytest.mark.parametrize("columns", [30, 70])
def test_other_layouts_compute_the_same(
    columns: int, prompts: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache for GPUs, matrices that are not copied, and prompts too long for whole-matrix attention."""
    policy = policy_of(n_positions=128)
    long = [*prompts, np.tile(prompts[2], 6)[:columns]]
    expected = as_lists(generate(ForwardEngine(), policy, long, SAMPLED).tokens)
    assert as_lists(generate(NativeEngine(), policy, long, SAMPLED).tokens) == expected
    monkeypatch.setattr(running, "make_cache", SdpaCache)
    monkeypatch.setattr(weights, "_COPY_BYTES", 0)
    assert as_lists(generate(limited(slots=4), policy, long, SAMPLED).tokens) == expected


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_low_precision_follows_the_model(dtype: torch.dtype, prompts: list[np.ndarray]) -> None:
    policy = policy_of(dtype)
    policy.compute_dtype = None if dtype == torch.bfloat16 else torch.bfloat16
    responses = generate(NativeEngine(), policy, prompts, SAMPLED)
    with torch.autocast("cpu", torch.bfloat16, enabled=policy.compute_dtype is not None):
        expected = np.concatenate(reference_log_probs(policy, prompts, responses.tokens, SAMPLED))
    difference = np.abs(np.concatenate(responses.log_probs) - expected)
    assert difference.mean() < 0.03
    assert difference.max() < 0.4


def test_every_position_of_the_table_and_none_beyond(prompts: list[np.ndarray]) -> None:
    policy = policy_of(n_positions=24)
    fits = [prompts[0], np.tile(prompts[2], 2)[:21]]
    full = Sampling(temperature=0.0, max_new_tokens=4, suppress_eos=True)
    drawn = generate(NativeEngine(), policy, fits, full)
    assert as_lists(drawn.tokens) == as_lists(generate(ForwardEngine(), policy, fits, full).tokens)
    with pytest.raises(RolloutError, match="25 positions and the model has 24"):
        generate(NativeEngine(), policy, [np.tile(prompts[2], 2)[:22]], full)


class Replaced(nn.Linear):
    """Stands for a quantized layer."""


def test_refusals_name_the_reason(prompts: list[np.ndarray]) -> None:
    crossed = seeded(lambda: GPT2LMHeadModel(gpt2_config(add_cross_attention=True)))
    assert "add_cross_attention" in (families.refusal(crossed) or "")
    two_heads = seeded(lambda: GPT2DoubleHeadsModel(gpt2_config(num_labels=1)))
    assert "GPT2DoubleHeadsModel" in (families.refusal(two_heads) or "")
    replaced = seeded(lambda: GPT2LMHeadModel(gpt2_config()))
    replaced.transformer.h[1].mlp.c_fc = Replaced(32, 128)
    found = families.refusal(replaced) or ""
    assert "transformer.h.1.mlp.c_fc" in found and "Replaced" in found and Conv1D.__name__ in found
    normless = seeded(lambda: GPT2LMHeadModel(gpt2_config()))
    normless.transformer.h[0].ln_2 = nn.Identity()
    assert "transformer.h.0.ln_2 is a Identity" in (families.refusal(normless) or "")
    with pytest.raises(UnsupportedModelError, match=r"'native'.*add_cross_attention"):
        generate(NativeEngine(), ModulePolicy(crossed), prompts, GREEDY)


def test_the_config_of_a_real_checkpoint_is_served() -> None:
    config = GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=VOCAB)
    assert families.refusal(seeded(lambda: GPT2LMHeadModel(config))) is None
