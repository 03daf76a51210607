"""The engine around vLLM with the library itself, where it is installed: see CONTRIBUTING.md."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from py_worker.models.lora import add_adapters
from py_worker.models.spec import LoraSpec
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.sampling import Sampling
from py_worker.rollout.vllm_engine import VllmEngine
from tests.py.models.adapted import spread_adapters
from tests.py.rollout.doubles import (
    VOCAB,
    ModulePolicy,
    as_lists,
    generate,
    gpt2_config,
    llama_config,
    reference_log_probs,
    seeded,
)

GREEDY = Sampling(temperature=0.0, max_new_tokens=12)
SAMPLED = Sampling(temperature=0.7, max_new_tokens=12)
HEADS = 64
"""Width of a head: vLLM's attention has none as narrow as those of the other tests."""

# Of float32 in another order of additions, on logits of some ten.
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def engine() -> Iterator[VllmEngine]:
    pytest.importorskip("vllm", reason="vLLM is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        yield VllmEngine()


def llama(**changes: bool) -> LlamaForCausalLM:
    config = llama_config(hidden_size=4 * HEADS, initializer_range=0.1, **changes)
    return seeded(lambda: LlamaForCausalLM(config), torch.float32)


def policy_of(family: str) -> ModulePolicy:
    if family == "gpt2":
        config = gpt2_config(n_embd=4 * HEADS, initializer_range=0.1)
        module = seeded(lambda: GPT2LMHeadModel(config), torch.float32)
    else:
        module = llama(tie_word_embeddings=family != "untied")
    if family == "adapted":
        add_adapters(module, LoraSpec(rank=2, alpha=8.0, dropout=0.0, seed=1), "float")
        spread_adapters(module)
    size = VOCAB - 3 if family == "cut" else VOCAB
    return ModulePolicy(module, eos_ids=(2, 5), vocab_size=size)


@pytest.mark.parametrize("family", ["tied", "untied", "gpt2", "adapted", "cut"])
def test_it_draws_from_the_policy_as_it_is_now(
    family: str, engine: VllmEngine, prompts: list[np.ndarray]
) -> None:
    policy = policy_of(family)
    known = [prompt % (VOCAB - 3) for prompt in prompts]
    drawn = []
    for _ in range(2):
        greedy = generate(engine, policy, known, GREEDY)
        native = generate(NativeEngine(), policy, known, GREEDY)
        assert as_lists(greedy.tokens) == as_lists(native.tokens) and greedy.ended == native.ended
        sampled = generate(engine, policy, known, SAMPLED)
        expected = reference_log_probs(policy, known, sampled.tokens, SAMPLED)
        np.testing.assert_allclose(
            np.concatenate(sampled.log_probs), np.concatenate(expected), atol=TOLERANCE
        )
        drawn.append(as_lists(greedy.tokens))
        with torch.no_grad():
            for parameter in policy.module.parameters():
                parameter += 0.05 * torch.sin(torch.arange(parameter.numel())).view_as(parameter)
    assert drawn[0] != drawn[1]


def test_requests_keep_their_numbers_and_their_ends(engine: VllmEngine, prompts: list[np.ndarray]) -> None:
    policy = policy_of("tied")
    together = generate(engine, policy, prompts, SAMPLED, seed=3)
    order = np.random.default_rng(0).permutation(len(prompts)).tolist()
    shuffled = generate(engine, policy, [prompts[i] for i in order], SAMPLED, order, seed=3)
    assert as_lists(shuffled.tokens) == [together.tokens[i].tolist() for i in order]
    assert as_lists(generate(engine, policy, prompts, SAMPLED, seed=4).tokens) != as_lists(together.tokens)
    full = generate(engine, policy, prompts, replace(SAMPLED, suppress_eos=True))
    assert {len(row) for row in full.tokens} == {12} and not np.isin(
        np.concatenate(full.tokens), (2, 5)
    ).any()
    few = replace(SAMPLED, top_k=3, top_p=0.8)
    truncated = generate(engine, policy, prompts, few)
    expected = reference_log_probs(policy, prompts, truncated.tokens, few)
    np.testing.assert_allclose(np.concatenate(truncated.log_probs), np.concatenate(expected), atol=TOLERANCE)


def test_a_cancelled_generation_leaves_no_request(engine: VllmEngine, prompts: list[np.ndarray]) -> None:
    steps = 0

    def tick() -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise KeyboardInterrupt

    policy = policy_of("tied")
    with pytest.raises(KeyboardInterrupt):
        generate(engine, policy, prompts, replace(SAMPLED, suppress_eos=True), tick=tick)
    again = generate(engine, policy, prompts, GREEDY)
    assert as_lists(again.tokens) == as_lists(generate(NativeEngine(), policy, prompts, GREEDY).tokens)
