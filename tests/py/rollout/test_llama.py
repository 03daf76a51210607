"""The Llama family's arithmetic against transformers' generation and forward pass, in float64."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from py_worker.rollout import families, running, weights
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
    hugging_face_greedy,
    limited,
    llama_config,
    randomize_norms_and_biases,
    reference_log_probs,
    seeded,
)

GREEDY = Sampling(temperature=0.0, max_new_tokens=20)
SAMPLED = Sampling(max_new_tokens=20)


def variant(family: str) -> Any:
    shape = llama_config(tie_word_embeddings=False).to_dict()
    plain = {
        k: shape[k]
        for k in (
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "intermediate_size",
            "vocab_size",
            "max_position_embeddings",
            "initializer_range",
        )
    }
    rope = {"rope_theta": 10_000.0, "factor": 4.0}
    makers = {
        "tied": lambda: LlamaForCausalLM(llama_config(tie_word_embeddings=True)),
        "untied": lambda: LlamaForCausalLM(llama_config(tie_word_embeddings=False)),
        "multi_head": lambda: LlamaForCausalLM(llama_config(num_key_value_heads=4)),
        "one_key_head": lambda: LlamaForCausalLM(llama_config(num_key_value_heads=1)),
        "biases": lambda: LlamaForCausalLM(llama_config(attention_bias=True, mlp_bias=True)),
        "wide_heads": lambda: LlamaForCausalLM(llama_config(head_dim=12)),
        "gelu": lambda: LlamaForCausalLM(llama_config(hidden_act="gelu")),
        "rope_linear": lambda: LlamaForCausalLM(
            llama_config(rope_parameters={**rope, "rope_type": "linear"})
        ),
        "rope_llama3": lambda: LlamaForCausalLM(
            llama_config(
                rope_parameters={
                    **rope,
                    "rope_type": "llama3",
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 16,
                }
            )
        ),
        "rope_yarn": lambda: LlamaForCausalLM(
            llama_config(
                rope_parameters={**rope, "rope_type": "yarn", "original_max_position_embeddings": 16}
            )
        ),
        "mistral": lambda: MistralForCausalLM(MistralConfig(**plain, sliding_window=None)),
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**plain, use_sliding_window=False)),
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**plain, head_dim=10, use_sliding_window=False)),
    }
    return makers[family]


VARIANTS = (
    "tied",
    "untied",
    "multi_head",
    "one_key_head",
    "biases",
    "wide_heads",
    "gelu",
    "rope_linear",
    "rope_llama3",
    "rope_yarn",
    "mistral",
    "qwen2",
    "qwen3",
)


@pytest.mark.parametrize("family", VARIANTS)
def test_greedy_equals_generate_token_by_token(family: str, prompts: list[np.ndarray]) -> None:
    policy = ModulePolicy(seeded(variant(family)), eos_ids=(2, 5))
    randomize_norms_and_biases(policy.module)
    assert NativeEngine().refusal(policy) is None
    responses = generate(NativeEngine(), policy, prompts, GREEDY)
    assert as_lists(responses.tokens) == hugging_face_greedy(policy, prompts, 20)
    sampled = generate(NativeEngine(), policy, prompts, SAMPLED)
    expected = reference_log_probs(policy, prompts, sampled.tokens, SAMPLED)
    for row, reference in zip(sampled.log_probs, expected, strict=True):
        np.testing.assert_allclose(row, reference, atol=TOLERANCE)


@pytest.mark.parametrize("family", ["untied", "qwen3"])
@pytest.mark.parametrize("columns", [40, 70])
def test_other_layouts_compute_the_same(
    family: str, columns: int, prompts: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache for GPUs, untransposed weights, and prompts beyond the size for whole-matrix attention."""
    policy = ModulePolicy(seeded(variant(family)))
    long = [*prompts, np.tile(prompts[2], 6)[:columns]]
    expected = generate(ForwardEngine(), policy, long, SAMPLED)
    with monkeypatch.context() as patch:
        patch.setattr(running, "make_cache", SdpaCache)
        assert as_lists(generate(limited(slots=4), policy, long, SAMPLED).tokens) == as_lists(expected.tokens)
    with monkeypatch.context() as patch:
        patch.setattr(weights, "_COPY_BYTES", 0)
        assert not weights.pays_to_copy(policy.module.parameters(), 1000)
        assert as_lists(generate(NativeEngine(), policy, long, SAMPLED).tokens) == as_lists(expected.tokens)
    assert weights.pays_to_copy(policy.module.parameters(), 1000)
    assert as_lists(generate(NativeEngine(), policy, long, SAMPLED).tokens) == as_lists(expected.tokens)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_low_precision_follows_the_model(dtype: torch.dtype, prompts: list[np.ndarray]) -> None:
    """bfloat16 weights, and float32 weights with products in bfloat16, as the model itself computes them."""
    policy = ModulePolicy(seeded(variant("untied"), dtype))
    policy.compute_dtype = None if dtype == torch.bfloat16 else torch.bfloat16
    responses = generate(NativeEngine(), policy, prompts, SAMPLED)
    with torch.autocast("cpu", torch.bfloat16, enabled=policy.compute_dtype is not None):
        expected = np.concatenate(reference_log_probs(policy, prompts, responses.tokens, SAMPLED))
    found = np.concatenate(responses.log_probs)
    assert np.abs(found - expected).mean() < 0.03
    assert np.abs(found - expected).max() < 0.4
    theirs = generate(ForwardEngine(), policy, prompts, SAMPLED)
    same = np.mean([a == b for a, b in zip(as_lists(theirs.tokens), as_lists(responses.tokens), strict=True)])
    assert same > 0.5


class Adapter(torch.nn.Linear):
    """Stands for an adapter or a quantized layer."""


def test_refusals_name_the_reason() -> None:
    def reason(make: Any) -> str | None:
        return families.refusal(seeded(make))

    class Changed(LlamaForCausalLM):
        pass

    dynamic = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}
    assert "Changed" in (reason(lambda: Changed(llama_config())) or "")
    assert "dynamic" in (reason(lambda: LlamaForCausalLM(llama_config(rope_parameters=dynamic))) or "")
    sliding = MistralConfig(**{**_plain(), "sliding_window": 8})
    assert "sliding" in (reason(lambda: MistralForCausalLM(sliding)) or "")
    windows = Qwen2Config(**_plain(), use_sliding_window=True, sliding_window=8, max_window_layers=1)
    assert "sliding" in (reason(lambda: Qwen2ForCausalLM(windows)) or "")
    adapted = seeded(lambda: LlamaForCausalLM(llama_config()))
    adapted.model.layers[1].self_attn.v_proj = Adapter(32, 16, bias=False)
    found = families.refusal(adapted) or ""
    assert "model.layers.1.self_attn.v_proj" in found and "Adapter" in found
    partial = seeded(lambda: LlamaForCausalLM(llama_config()))
    partial.model.rotary_emb.inv_freq = partial.model.rotary_emb.inv_freq[:2]
    assert "part of each head" in (families.refusal(partial) or "")


def _plain() -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "vocab_size": VOCAB,
    }
