"""The fallback engine on architectures that need it, against `generate` on one unpadded prompt at a time."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    T5ForConditionalGeneration,
)

from py_worker.rollout.forward import ForwardEngine
from py_worker.rollout.sampling import Sampling
from tests.py.rollout.doubles import (
    VOCAB,
    ModulePolicy,
    as_lists,
    generate,
    hugging_face_greedy,
    llama_config,
    reference_log_probs,
    seeded,
    t5_config,
)

SPECIAL = {"eos_token_id": 2, "bos_token_id": 1, "pad_token_id": 0}
SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": 0.25,
    **SPECIAL,
}


def gpt2() -> Any:
    config = GPT2Config(
        vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.25, **SPECIAL
    )
    return GPT2LMHeadModel(config)


ARCHITECTURES = {
    "gpt2": gpt2,
    "bloom": lambda: BloomForCausalLM(
        BloomConfig(vocab_size=VOCAB, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.25, **SPECIAL)
    ),
    "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SHAPE)),
    "phi3": lambda: Phi3ForCausalLM(Phi3Config(**SHAPE, num_key_value_heads=2)),
    # Soft-capped logits and, in every other layer, a window shorter than the sequences.
    "gemma2": lambda: Gemma2ForCausalLM(
        Gemma2Config(
            **SHAPE, num_key_value_heads=2, head_dim=8, sliding_window=6, final_logit_softcapping=3.0
        )
    ),
    "t5": lambda: T5ForConditionalGeneration(t5_config()),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_greedy_with_padding_equals_generate_without(name: str, prompts: list[np.ndarray]) -> None:
    # Not float64: transformers' eager attention (Bloom, Gemma 2) rounds float64's mask to -inf in float32,
    # and a padded position, which then sees nothing, becomes NaN.
    policy = ModulePolicy(seeded(ARCHITECTURES[name], torch.float32), eos_ids=(2, 5))
    engine = ForwardEngine(rows=5)
    assert engine.refusal(policy) is None
    responses = generate(engine, policy, prompts, Sampling(temperature=0.0, max_new_tokens=15))
    assert as_lists(responses.tokens) == hugging_face_greedy(policy, prompts, 15)
    sampling = Sampling(max_new_tokens=15)
    sampled = generate(engine, policy, prompts, sampling)
    expected = reference_log_probs(policy, prompts, sampled.tokens, sampling)
    np.testing.assert_allclose(np.concatenate(sampled.log_probs), np.concatenate(expected), atol=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "t5"])
@pytest.mark.parametrize("rows", [1, 4, 64])
def test_a_sample_does_not_depend_on_its_batch(name: str, rows: int, prompts: list[np.ndarray]) -> None:
    policy = ModulePolicy(seeded(ARCHITECTURES[name]))
    sampling = Sampling(max_new_tokens=15)
    together = generate(ForwardEngine(rows=64), policy, prompts, sampling)
    order = [7, 0, 3, 11, 5, 2]
    few = generate(ForwardEngine(rows=rows), policy, [prompts[i] for i in order], sampling, order)
    assert as_lists(few.tokens) == [together.tokens[i].tolist() for i in order]


def test_an_encoder_decoder_bans_n_grams_of_its_response_alone(prompts: list[np.ndarray]) -> None:
    policy = ModulePolicy(seeded(ARCHITECTURES["t5"]), eos_ids=(2, 5))
    sampling = Sampling(temperature=1.3, no_repeat_ngram_size=2, suppress_eos=True, max_new_tokens=12)
    responses = generate(ForwardEngine(rows=5), policy, prompts, sampling)
    expected = reference_log_probs(policy, prompts, responses.tokens, sampling)
    np.testing.assert_allclose(np.concatenate(responses.log_probs), np.concatenate(expected), atol=1e-5)
    for row in responses.tokens:
        grams = list(pairwise(row.tolist()))
        assert len(set(grams)) == len(grams)


def test_settings_that_the_model_brings_along_do_not_count(prompts: list[np.ndarray]) -> None:
    policy = ModulePolicy(seeded(gpt2))
    sampling = Sampling(temperature=0.0, max_new_tokens=15)
    plain = generate(ForwardEngine(), policy, prompts, sampling)
    brought = GenerationConfig(
        repetition_penalty=5.0, min_new_tokens=9, temperature=0.1, do_sample=True, bad_words_ids=[[4]]
    )
    policy.module.generation_config = brought
    again = generate(ForwardEngine(), policy, prompts, sampling)
    assert as_lists(again.tokens) == as_lists(plain.tokens)
    assert policy.module.generation_config is brought


def test_global_random_state_is_left_alone(prompts: list[np.ndarray]) -> None:
    policy = ModulePolicy(seeded(gpt2))
    before = torch.random.get_rng_state()
    generate(ForwardEngine(), policy, prompts, Sampling(max_new_tokens=5))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_training_flags_come_back_part_by_part(prompts: list[np.ndarray]) -> None:
    """A module in evaluation mode may have parts that are not; dropout is off meanwhile."""
    policy = ModulePolicy(seeded(gpt2))
    reference = generate(ForwardEngine(), policy, prompts, Sampling(max_new_tokens=9))
    for block in policy.module.transformer.h:
        block.train()
    flags = [part.training for part in policy.module.modules()]
    responses = generate(ForwardEngine(), policy, prompts, Sampling(max_new_tokens=9))
    assert as_lists(responses.tokens) == as_lists(reference.tokens)
    assert [part.training for part in policy.module.modules()] == flags
    assert any(flags) and not all(flags)


def test_checkpointed_layers_generate_the_same(prompts: list[np.ndarray]) -> None:
    policy = ModulePolicy(seeded(lambda: LlamaForCausalLM(llama_config())))
    sampling = Sampling(max_new_tokens=9)
    reference = generate(ForwardEngine(), policy, prompts, sampling)
    policy.module.gradient_checkpointing_enable()  # all of transformers 5 has this name
    policy.module.train()
    responses = generate(ForwardEngine(), policy, prompts, sampling)
    assert as_lists(responses.tokens) == as_lists(reference.tokens)


def test_refusals_name_the_reason() -> None:
    headless = GPT2Model(GPT2Config(vocab_size=VOCAB, n_embd=8, n_layer=1, n_head=2))
    assert "GPT2Model" in (ForwardEngine().refusal(ModulePolicy(headless)) or "")
