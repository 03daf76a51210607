"""The native engine against transformers' generation and forward pass, in float64."""

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

from py_worker.rollout import llama as llama_module
from py_worker.rollout import llama_weights, native
from py_worker.rollout.errors import RolloutError
from py_worker.rollout.forward import ForwardEngine
from py_worker.rollout.kv_cache import SdpaCache
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.sampling import Sampling
from tests.py.rollout.doubles import (
    VOCAB,
    ModulePolicy,
    as_lists,
    hugging_face_greedy,
    llama_config,
    seeded,
    silent,
    teacher_forced_log_probs,
)

GREEDY = Sampling(temperature=0.0, max_new_tokens=20)
SAMPLED = Sampling(max_new_tokens=20)
# The norms of transformers are computed in float32 whatever the model.
TOLERANCE = 1e-5


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


def randomize_norms_and_biases(module: Any) -> None:
    """Fresh models have unit norms and zero biases, which would hide that they are left out."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in module.named_parameters():
        if "norm" in name or name.endswith("bias"):
            offset = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.data += 0.3 * offset


def generate(
    engine: Any, policy: ModulePolicy, prompts: list[np.ndarray], sampling: Sampling, ids: Any = None
) -> Any:
    return engine.generate(policy, prompts, ids or range(len(prompts)), sampling, 17, silent)


@pytest.mark.parametrize("family", VARIANTS)
def test_greedy_equals_generate_token_by_token(family: str, prompts: list[np.ndarray]) -> None:
    policy = ModulePolicy(seeded(variant(family)), eos_ids=(2, 5))
    randomize_norms_and_biases(policy.module)
    assert NativeEngine().refusal(policy) is None
    rollouts = generate(NativeEngine(), policy, prompts, GREEDY)
    assert as_lists(rollouts.tokens) == hugging_face_greedy(policy, prompts, 20)
    expected = teacher_forced_log_probs(policy, prompts, rollouts.tokens)
    for row, reference in zip(rollouts.log_probs, expected, strict=True):
        np.testing.assert_allclose(row, reference, atol=TOLERANCE)


def test_greedy_rows_end_at_different_times(llama: ModulePolicy, prompts: list[np.ndarray]) -> None:
    """Guards the tests above: without early ends they would not exercise retiring rows."""
    policy = ModulePolicy(llama.module, eos_ids=(2, 5, 7, 11))
    rollouts = generate(NativeEngine(), policy, prompts, GREEDY)
    lengths = {len(row) for row in rollouts.tokens}
    assert len(lengths) > 3
    assert 0 < sum(rollouts.ended) < len(prompts)
    for row, ended in zip(rollouts.tokens, rollouts.ended, strict=True):
        assert (row[-1] in policy.eos_ids) == ended
        assert not np.isin(row[:-1], policy.eos_ids).any()
        assert ended or len(row) == 20
    assert as_lists(rollouts.tokens) == hugging_face_greedy(policy, prompts, 20)


@pytest.mark.parametrize("slots", [1, 3, 7, 64])
def test_a_sample_does_not_depend_on_its_batch(
    llama: ModulePolicy, prompts: list[np.ndarray], slots: int
) -> None:
    together = generate(NativeEngine(), llama, prompts, SAMPLED)
    order = np.random.default_rng(0).permutation(len(prompts)).tolist()
    engine = NativeEngine(slots=slots, prefill_tokens=25)
    shuffled = generate(engine, llama, [prompts[i] for i in order], SAMPLED, order)
    assert as_lists(shuffled.tokens) == [together.tokens[i].tolist() for i in order]
    assert shuffled.ended == [together.ended[i] for i in order]
    for row, i in zip(shuffled.log_probs, order, strict=True):
        np.testing.assert_allclose(row, together.log_probs[i], atol=1e-6)
    assert len({tuple(row) for row in as_lists(together.tokens)}) == len(prompts)


def test_seed_and_sample_id_key_the_draw(llama: ModulePolicy, prompts: list[np.ndarray]) -> None:
    same = [prompts[0]] * 4
    rollouts = NativeEngine().generate(llama, same, [5, 6, 5, 7], SAMPLED, 1, silent)
    first, second, third, fourth = as_lists(rollouts.tokens)
    assert first == third
    assert len({tuple(first), tuple(second), tuple(fourth)}) == 3
    other_seed = NativeEngine().generate(llama, same[:1], [5], SAMPLED, 2, silent)
    assert other_seed.tokens[0].tolist() != first


@pytest.mark.parametrize(
    "sampling",
    [
        SAMPLED,
        Sampling(temperature=0.7, max_new_tokens=20),
        Sampling(top_k=4, max_new_tokens=20),
        Sampling(top_p=0.8, temperature=1.3, max_new_tokens=20),
        Sampling(no_repeat_ngram_size=2, max_new_tokens=30),
        Sampling(temperature=0.0, no_repeat_ngram_size=3, max_new_tokens=30),
        Sampling(suppress_eos=True, max_new_tokens=9),
        Sampling(max_new_tokens=1),
        Sampling(max_new_tokens=2),
    ],
)
def test_both_engines_draw_the_same(
    llama: ModulePolicy, prompts: list[np.ndarray], sampling: Sampling
) -> None:
    ours = generate(NativeEngine(slots=5), llama, prompts, sampling)
    theirs = generate(ForwardEngine(rows=7), llama, prompts, sampling)
    assert as_lists(ours.tokens) == as_lists(theirs.tokens)
    assert ours.ended == theirs.ended
    for mine, other in zip(ours.log_probs, theirs.log_probs, strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_allclose(mine, other, atol=TOLERANCE)
    expected = teacher_forced_log_probs(llama, prompts, ours.tokens)
    np.testing.assert_allclose(np.concatenate(ours.log_probs), np.concatenate(expected), atol=TOLERANCE)


def test_no_ngram_occurs_twice(llama: ModulePolicy, prompts: list[np.ndarray]) -> None:
    rollouts = generate(NativeEngine(), llama, prompts, Sampling(no_repeat_ngram_size=2, max_new_tokens=40))
    for prompt, row in zip(prompts, rollouts.tokens, strict=True):
        text = [*prompt.tolist(), *row.tolist()]
        drawn = [tuple(text[i : i + 2]) for i in range(len(prompt) - 1, len(text) - 1)]
        before = {tuple(text[i : i + 2]) for i in range(len(prompt) - 1)}
        assert len(set(drawn)) == len(drawn)
        assert before.isdisjoint(drawn)


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
        patch.setattr(native, "make_cache", SdpaCache)
        assert as_lists(generate(NativeEngine(slots=4), policy, long, SAMPLED).tokens) == as_lists(
            expected.tokens
        )
    with monkeypatch.context() as patch:
        patch.setattr(llama_weights, "_TRANSPOSE_BYTES", 0)
        assert not llama_weights.pays_to_transpose(policy.module, 1000)
        assert as_lists(generate(NativeEngine(), policy, long, SAMPLED).tokens) == as_lists(expected.tokens)
    assert llama_weights.pays_to_transpose(policy.module, 1000)
    assert as_lists(generate(NativeEngine(), policy, long, SAMPLED).tokens) == as_lists(expected.tokens)


def test_looking_less_often_changes_no_rollout(
    llama: ModulePolicy, prompts: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = ModulePolicy(llama.module, eos_ids=(2, 5, 7, 11))
    expected = generate(NativeEngine(), policy, prompts, SAMPLED)
    monkeypatch.setattr(native, "_CHECK_EVERY", {"cpu": 6})
    rarely = generate(NativeEngine(slots=5), policy, prompts, SAMPLED)
    assert as_lists(rarely.tokens) == as_lists(expected.tokens)
    assert rarely.decoded_rows > expected.decoded_rows


def test_finished_rows_cost_nothing(llama: ModulePolicy, prompts: list[np.ndarray]) -> None:
    policy = ModulePolicy(llama.module, eos_ids=(2, 5, 7, 11))
    for slots in (4, 64):
        rollouts = generate(NativeEngine(slots=slots), policy, prompts * 4, SAMPLED)
        assert rollouts.decoded_rows == rollouts.token_count - len(prompts) * 4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_low_precision_follows_the_model(dtype: torch.dtype, prompts: list[np.ndarray]) -> None:
    """bfloat16 weights, and float32 weights with products in bfloat16, as the model itself computes them."""
    policy = ModulePolicy(seeded(variant("untied"), dtype))
    policy.compute_dtype = None if dtype == torch.bfloat16 else torch.bfloat16
    rollouts = generate(NativeEngine(), policy, prompts, SAMPLED)
    with torch.autocast("cpu", torch.bfloat16, enabled=policy.compute_dtype is not None):
        expected = np.concatenate(teacher_forced_log_probs(policy, prompts, rollouts.tokens))
    found = np.concatenate(rollouts.log_probs)
    assert np.abs(found - expected).mean() < 0.03
    assert np.abs(found - expected).max() < 0.4
    theirs = generate(ForwardEngine(), policy, prompts, SAMPLED)
    same = np.mean([a == b for a, b in zip(as_lists(theirs.tokens), as_lists(rollouts.tokens), strict=True)])
    assert same > 0.5


def test_new_weights_are_seen_and_left_alone(prompts: list[np.ndarray]) -> None:
    policy = ModulePolicy(seeded(variant("tied")))
    policy.module.train()
    before = generate(NativeEngine(), policy, prompts, GREEDY)
    with torch.no_grad():
        for parameter in policy.module.parameters():
            parameter += 0.05 * torch.sin(torch.arange(parameter.numel())).view_as(parameter)
    weights = {k: v.clone() for k, v in policy.module.state_dict().items()}
    after = generate(NativeEngine(), policy, prompts, GREEDY)
    assert as_lists(before.tokens) != as_lists(after.tokens)
    assert all(torch.equal(weights[k], v) for k, v in policy.module.state_dict().items())
    assert policy.module.training
    # Nothing made under inference mode may stay behind in the model: training must still work.
    policy.module(input_ids=torch.ones(1, 3, dtype=torch.int64)).logits.sum().backward()


def test_the_vocabulary_can_be_narrower_than_the_head(prompts: list[np.ndarray]) -> None:
    policy = ModulePolicy(seeded(variant("tied")), vocab_size=VOCAB - 9)
    for engine in (NativeEngine(), ForwardEngine()):
        rollouts = generate(engine, policy, prompts, SAMPLED)
        assert max(row.max() for row in rollouts.tokens) < VOCAB - 9
        assert all(np.isfinite(row).all() for row in rollouts.log_probs)


def test_tick_comes_with_every_token_and_may_cancel(llama: ModulePolicy, prompts: list[np.ndarray]) -> None:
    class CancelledError(Exception):
        pass

    for engine in (NativeEngine(), ForwardEngine()):
        calls = 0

        def tick() -> None:
            nonlocal calls
            calls += 1
            if calls == 30:
                raise CancelledError

        full = Sampling(suppress_eos=True, max_new_tokens=12)
        engine.generate(llama, prompts, range(12), full, 1, tick)
        assert 12 <= calls <= 13
        with pytest.raises(CancelledError):
            engine.generate(
                llama, prompts, range(12), Sampling(suppress_eos=True, max_new_tokens=60), 1, tick
            )


def test_no_prompts_no_responses(llama: ModulePolicy) -> None:
    for engine in (NativeEngine(), ForwardEngine()):
        rollouts = generate(engine, llama, [], SAMPLED)
        assert rollouts.tokens == [] and rollouts.token_count == 0


def test_a_small_cache_budget_still_serves_one_row(llama: ModulePolicy, prompts: list[np.ndarray]) -> None:
    tight = generate(NativeEngine(cache_bytes=1), llama, prompts[:3], SAMPLED)
    assert as_lists(tight.tokens) == as_lists(generate(NativeEngine(), llama, prompts[:3], SAMPLED).tokens)


def test_a_diverged_model_shows_in_log_probabilities(prompts: list[np.ndarray]) -> None:
    policy = ModulePolicy(seeded(variant("tied")))
    policy.module.model.norm.weight.data.fill_(float("nan"))
    rollouts = generate(NativeEngine(), policy, prompts, SAMPLED)
    assert all(np.isnan(row).all() for row in rollouts.log_probs)


class Adapter(torch.nn.Linear):
    """Stands for an adapter or a quantized layer."""


def test_refusals_name_the_reason() -> None:
    def reason(make: Any) -> str | None:
        return llama_module.refusal(seeded(make))

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
    found = llama_module.refusal(adapted) or ""
    assert "model.layers.1.self_attn.v_proj" in found and "Adapter" in found
    partial = seeded(lambda: LlamaForCausalLM(llama_config()))
    partial.model.rotary_emb.inv_freq = partial.model.rotary_emb.inv_freq[:2]
    assert "part of each head" in (llama_module.refusal(partial) or "")


def _plain() -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "vocab_size": VOCAB,
    }


def test_bad_prompts_are_refused_before_any_work(llama: ModulePolicy) -> None:
    with pytest.raises(RolloutError, match="empty"):
        generate(NativeEngine(), llama, [np.array([], dtype=np.int32)], SAMPLED)
