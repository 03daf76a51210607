"""T5's decoder against transformers' generation and forward pass, in float64."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import MT5Config, MT5ForConditionalGeneration, T5Config, T5ForConditionalGeneration

from py_worker.models.lora import add_adapters
from py_worker.models.spec import LoraSpec
from py_worker.rollout import families, running, weights
from py_worker.rollout.cross_cache import CrossCache
from py_worker.rollout.engine import select_engine
from py_worker.rollout.forward import ForwardEngine
from py_worker.rollout.kv_cache import SdpaCache
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.sampling import Sampling
from tests.py.rollout.doubles import (
    TOLERANCE,
    ModulePolicy,
    as_lists,
    generate,
    hugging_face_greedy,
    limited,
    reference_log_probs,
    seeded,
    t5_config,
)

GREEDY = Sampling(temperature=0.0, max_new_tokens=20)
SAMPLED = Sampling(max_new_tokens=20)
FEW_BUCKETS = {"relative_attention_num_buckets": 6, "relative_attention_max_distance": 9}

VARIANTS: dict[str, dict[str, Any]] = {
    "t5": {},
    "gated": {"feed_forward_proj": "gated-gelu"},
    "gated-silu": {"feed_forward_proj": "gated-silu"},
    "untied": {"tie_word_embeddings": False},
    "few-buckets": FEW_BUCKETS,
    "wide-heads": {"d_kv": 20, "num_heads": 3},
    "one-head": {"num_heads": 1},
    "shallow-decoder": {"num_decoder_layers": 1},
    "epsilon": {"layer_norm_epsilon": 0.1},
    "mt5": {"feed_forward_proj": "gated-gelu"},
}


def randomized(module: Any) -> Any:
    """Fresh models have unit norms, and a table of positions too small to matter."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in module.named_parameters():
        if "norm" in name or "relative_attention_bias" in name:
            parameter.data += 0.5 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return module


def policy_of(variant: str, dtype: torch.dtype = torch.float64, **changes: Any) -> ModulePolicy:
    settings = {**VARIANTS[variant], **changes}
    if variant == "mt5":
        module = seeded(lambda: MT5ForConditionalGeneration(t5_config(MT5Config, **settings)), dtype)
    else:
        module = seeded(lambda: T5ForConditionalGeneration(t5_config(**settings)), dtype)
    return ModulePolicy(randomized(module), eos_ids=(2, 5))


def check(policy: ModulePolicy, prompts: list[np.ndarray], engine: NativeEngine) -> None:
    """Greedy tokens, and log-probabilities of drawn ones."""
    responses = generate(engine, policy, prompts, GREEDY)
    assert as_lists(responses.tokens) == hugging_face_greedy(policy, prompts, 20)
    sampled = generate(engine, policy, prompts, SAMPLED)
    assert as_lists(sampled.tokens) == as_lists(generate(ForwardEngine(), policy, prompts, SAMPLED).tokens)
    expected = reference_log_probs(policy, prompts, sampled.tokens, SAMPLED)
    for row, reference in zip(sampled.log_probs, expected, strict=True):
        np.testing.assert_allclose(row, reference, atol=TOLERANCE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_greedy_equals_generate_token_by_token(variant: str, prompts: list[np.ndarray]) -> None:
    """With fewer slots than prompts, so that rows of other lengths move and are refilled."""
    policy = policy_of(variant)
    assert NativeEngine().refusal(policy) is None
    check(policy, prompts, limited(slots=5))


def test_a_setting_that_was_ignored_would_show(prompts: list[np.ndarray]) -> None:
    """Guards the test above: each variant draws something else than plain T5."""
    few = Sampling(max_new_tokens=14, suppress_eos=True)
    drawn = {
        name: np.concatenate(generate(NativeEngine(), policy_of(name), prompts, few).log_probs)
        for name in VARIANTS
    }
    plain = drawn.pop("t5")
    assert {name for name, other in drawn.items() if np.abs(other - plain).max() < 3 * TOLERANCE} == set()


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.7, top_k=4, max_new_tokens=12),
        Sampling(temperature=1.3, no_repeat_ngram_size=2, suppress_eos=True, max_new_tokens=12),
        Sampling(max_new_tokens=1),
    ],
    ids=str,
)
def test_both_engines_draw_the_same(prompts: list[np.ndarray], sampling: Sampling) -> None:
    policy = policy_of("t5")
    ours, theirs = (generate(e, policy, prompts, sampling) for e in (limited(slots=5), ForwardEngine(rows=7)))
    assert as_lists(ours.tokens) == as_lists(theirs.tokens)
    expected = reference_log_probs(policy, prompts, ours.tokens, sampling)
    np.testing.assert_allclose(np.concatenate(ours.log_probs), np.concatenate(expected), atol=TOLERANCE)


def test_other_layouts_compute_the_same(prompts: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    """The caches for GPUs, and matrices that are not copied."""
    policy = policy_of("few-buckets")
    expected = as_lists(generate(ForwardEngine(), policy, prompts, SAMPLED).tokens)
    monkeypatch.setattr(running, "make_cache", SdpaCache)
    monkeypatch.setattr(weights, "_COPY_BYTES", 0)

    class AsOnAGpu(CrossCache):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self._as_products = False

    monkeypatch.setattr(running, "CrossCache", AsOnAGpu)
    assert as_lists(generate(limited(slots=4), policy, prompts, SAMPLED).tokens) == expected


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_low_precision_follows_the_model(dtype: torch.dtype, prompts: list[np.ndarray]) -> None:
    policy = policy_of("gated", dtype)
    policy.compute_dtype = None if dtype == torch.bfloat16 else torch.bfloat16
    responses = generate(NativeEngine(), policy, prompts, SAMPLED)
    with torch.autocast("cpu", torch.bfloat16, enabled=policy.compute_dtype is not None):
        expected = np.concatenate(reference_log_probs(policy, prompts, responses.tokens, SAMPLED))
    difference = np.abs(np.concatenate(responses.log_probs) - expected)
    assert difference.mean() < 0.05
    assert difference.max() < 0.6


def test_adapters_are_served(prompts: list[np.ndarray]) -> None:
    policy = policy_of("gated")
    plain = as_lists(generate(NativeEngine(), policy, prompts, SAMPLED).tokens)
    add_adapters(policy.module, LoraSpec(rank=2, alpha=8.0), "t5")
    with torch.no_grad():
        for name, matrix in policy.module.named_parameters():
            if ".lora_B." in name:
                matrix.add_(0.2 * torch.sin(torch.arange(matrix.numel(), dtype=matrix.dtype)).view_as(matrix))
    check(policy, prompts, limited(slots=5))
    assert as_lists(generate(NativeEngine(), policy, prompts, SAMPLED).tokens) != plain


def test_the_encoder_runs_once_for_each_prompt_and_the_decoder_never(
    prompts: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_of("t5")
    expected = as_lists(generate(ForwardEngine(), policy, prompts, SAMPLED).tokens)
    encoded: list[int] = []
    encoder = policy.module.get_encoder()
    handle = encoder.register_forward_hook(lambda *_: encoded.append(1))

    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("called")

    monkeypatch.setattr(policy.module.get_decoder(), "forward", refuse)
    monkeypatch.setattr(type(policy.module), "generate", refuse)
    monkeypatch.setattr(type(policy.module), "forward", refuse)
    found = generate(limited(slots=5), policy, prompts, SAMPLED)
    handle.remove()
    assert as_lists(found.tokens) == expected
    assert 1 < len(encoded) <= len(prompts)


def test_finished_rows_cost_nothing(prompts: list[np.ndarray]) -> None:
    policy = policy_of("t5")
    for slots in (4, 64):
        responses = generate(limited(slots=slots), policy, prompts * 4, SAMPLED)
        assert responses.decoded_rows == responses.token_count - len(prompts) * 4


def test_a_small_cache_budget_still_serves_one_row(prompts: list[np.ndarray]) -> None:
    policy = policy_of("t5")
    tight = generate(limited(cache_bytes=1), policy, prompts[:3], SAMPLED)
    expected = generate(NativeEngine(), policy, prompts[:3], SAMPLED)
    assert as_lists(tight.tokens) == as_lists(expected.tokens)


def test_the_budget_counts_both_caches(prompts: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_of("t5")
    opened: list[int] = []

    class Watched(running.RunningEncoderDecoder):
        def open(self, slots: int) -> None:
            opened.append(slots)
            super().open(slots)

    monkeypatch.setattr(running, "RunningEncoderDecoder", Watched)
    # Keys and values: layers, heads, columns, D, bytes.
    row = 2 * 2 * 4 * (20 + max(map(len, prompts))) * 8 * 8
    generate(limited(cache_bytes=3 * row + 1), policy, prompts, SAMPLED)
    assert opened == [3]


def test_refusals_name_the_reason() -> None:
    replaced = policy_of("t5").module

    class Replaced(nn.Linear):
        """Stands for a quantized layer."""

    replaced.decoder.block[1].layer[1].EncDecAttention.k = Replaced(32, 32)
    found = families.refusal(replaced) or ""
    assert "decoder.block.1.layer.1.EncDecAttention.k" in found and "Replaced" in found
    half = policy_of("t5", torch.float16).module
    assert "float16" in (families.refusal(half) or "")
    assert isinstance(select_engine(ModulePolicy(half)).engine, ForwardEngine)


def test_masked_prompts_are_no_numbers_that_matter() -> None:
    """A slot that held a longer prompt gives nothing of it to the next."""
    shape = families.T5Decoder(
        policy_of("t5").module, capacity=4, max_new_tokens=4, compute_dtype=None
    ).cache_shape(1, 5)
    generator = torch.Generator().manual_seed(0)
    long, short, queries = (
        torch.randn(1, count, 4, 8, generator=generator, dtype=torch.float64) for count in (5, 2, 1)
    )
    used, fresh = (CrossCache(shape, torch.float64, torch.device("cpu")) for _ in range(2))
    used.admit(0, torch.tensor([5]))
    used.store(0, 0, long, long)
    for cache in (used, fresh):
        cache.admit(0, torch.tensor([2]))
        cache.store(0, 0, short, short)
    seen = [cache.attend(0, 0, queries.flatten(1)) for cache in (used, fresh)]
    assert torch.equal(*seen)
    scores = torch.einsum("khd,phd->hp", queries[0], short[0]).softmax(-1)
    expected = torch.einsum("hp,phd->hd", scores, short[0]).flatten()
    torch.testing.assert_close(seen[0][0], expected)


def test_a_real_configuration_is_served() -> None:
    for gated in ("relu", "gated-gelu"):
        config = T5Config(num_layers=1, num_decoder_layers=1, feed_forward_proj=gated, vocab_size=64)
        assert families.refusal(seeded(lambda config=config: T5ForConditionalGeneration(config))) is None
