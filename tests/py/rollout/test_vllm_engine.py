"""The engine around vLLM, with a stand-in for the library: what it is asked for, in which order, refusals."""

import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from py_worker.models.errors import UnsupportedModelError
from py_worker.models.lora import add_adapters
from py_worker.models.spec import LoraSpec
from py_worker.rollout.engine import select_engine
from py_worker.rollout.errors import RolloutError
from py_worker.rollout.mixture import Mixture
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.randomness import stream_seeds
from py_worker.rollout.sampling import Sampling
from py_worker.rollout.vllm_engine import VllmEngine
from tests.py.models.adapted import spread_adapters
from tests.py.rollout.doubles import (
    TOLERANCE,
    VOCAB,
    ModulePolicy,
    as_lists,
    generate,
    gpt2_config,
    hugging_face_greedy,
    llama_config,
    reference_log_probs,
    seeded,
)
from tests.py.rollout.fake_vllm import FakeVllm

GREEDY = Sampling(temperature=0.0, max_new_tokens=12)
SAMPLED = Sampling(temperature=0.7, max_new_tokens=12)


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> FakeVllm:
    fake = FakeVllm()
    monkeypatch.setitem(sys.modules, "vllm", fake)
    monkeypatch.delenv("VLLM_ENABLE_V1_MULTIPROCESSING", raising=False)
    return fake


def policies() -> dict[str, ModulePolicy]:
    makers = {
        "tied": lambda: LlamaForCausalLM(llama_config(tie_word_embeddings=True)),
        "untied": lambda: LlamaForCausalLM(llama_config(tie_word_embeddings=False)),
        "gpt2": lambda: GPT2LMHeadModel(gpt2_config()),
    }
    return {name: ModulePolicy(seeded(make), eos_ids=(2, 5)) for name, make in makers.items()}


@pytest.mark.parametrize("family", ["tied", "untied", "gpt2"])
def test_it_draws_from_the_policy(family: str, vllm: FakeVllm, prompts: list[np.ndarray]) -> None:
    policy = policies()[family]
    responses = generate(VllmEngine(), policy, prompts, GREEDY)
    assert as_lists(responses.tokens) == hugging_face_greedy(policy, prompts, 12)
    assert responses.ended == [row[-1] in (2, 5) for row in responses.tokens]
    assert not np.concatenate(responses.log_probs).any()
    sampled = generate(VllmEngine(), policy, prompts, SAMPLED)
    expected = reference_log_probs(policy, prompts, sampled.tokens, SAMPLED)
    np.testing.assert_allclose(np.concatenate(sampled.log_probs), np.concatenate(expected), atol=TOLERANCE)
    assert sampled.decoded_rows == sampled.token_count - len(prompts)
    assert vllm.llms[0].config["architectures"] == [type(policy.module).__name__]


def test_weights_go_over_before_each_generation(vllm: FakeVllm, prompts: list[np.ndarray]) -> None:
    policy, engine = policies()["tied"], VllmEngine()
    before = generate(engine, policy, prompts, GREEDY)
    with torch.no_grad():
        for parameter in policy.module.parameters():
            parameter += 0.05 * torch.sin(torch.arange(parameter.numel())).view_as(parameter)
    after = generate(engine, policy, prompts, GREEDY)
    assert as_lists(after.tokens) == hugging_face_greedy(policy, prompts, 12) != as_lists(before.tokens)
    work = [call for call in vllm.calls if call != "step"]
    once = ["reload_weights", *["add_request"] * len(prompts)]
    assert work == ["LLM", *once, *once]
    other = policies()["gpt2"]
    generate(engine, other, prompts, GREEDY)
    assert len(vllm.llms) == 2


def test_the_library_is_told_what_the_engine_relies_on(vllm: FakeVllm, prompts: list[np.ndarray]) -> None:
    policy = replace(policies()["tied"], compute_dtype=torch.bfloat16)
    generate(VllmEngine(), policy, prompts[:1], GREEDY)
    [llm] = vllm.llms
    assert llm.llm_engine.module.dtype == torch.bfloat16
    for option, value in {
        "load_format": "dummy",
        "skip_tokenizer_init": True,
        "enable_prefix_caching": False,
        "logprobs_mode": "processed_logprobs",
    }.items():
        assert llm.options[option] == value


def test_a_sample_does_not_depend_on_its_batch(vllm: FakeVllm, prompts: list[np.ndarray]) -> None:
    policy = policies()["tied"]
    together = generate(VllmEngine(), policy, prompts, SAMPLED, seed=3)
    assert vllm.llms[0].llm_engine.seeds == stream_seeds(3, range(len(prompts)))
    order = np.random.default_rng(0).permutation(len(prompts)).tolist()
    shuffled = generate(VllmEngine(), policy, [prompts[i] for i in order], SAMPLED, order, seed=3)
    assert as_lists(shuffled.tokens) == [together.tokens[i].tolist() for i in order]
    other = generate(VllmEngine(), policy, prompts, SAMPLED, seed=4)
    assert as_lists(other.tokens) != as_lists(together.tokens)


@pytest.mark.usefixtures("vllm")
def test_suppressed_ends_and_an_empty_nucleus(prompts: list[np.ndarray]) -> None:
    policy = policies()["tied"]
    full = generate(VllmEngine(), policy, prompts, replace(SAMPLED, suppress_eos=True))
    assert {len(row) for row in full.tokens} == {12} and not any(full.ended)
    assert not np.isin(np.concatenate(full.tokens), (2, 5)).any()
    nucleus = generate(VllmEngine(), policy, prompts, replace(SAMPLED, top_p=0.0))
    assert as_lists(nucleus.tokens) == hugging_face_greedy(policy, prompts, 12)


@pytest.mark.parametrize("family", ["tied", "untied"])
def test_the_vocabulary_is_cut_to_the_policys(family: str, vllm: FakeVllm, prompts: list[np.ndarray]) -> None:
    policy = replace(policies()[family], vocab_size=VOCAB - 6)
    short = [prompt % (VOCAB - 6) for prompt in prompts]
    drawn = generate(VllmEngine(), policy, short, GREEDY)
    assert as_lists(drawn.tokens) == as_lists(generate(NativeEngine(), policy, short, GREEDY).tokens)
    assert vllm.llms[0].config["vocab_size"] == VOCAB - 6
    with pytest.raises(RolloutError, match=f"token id 22.*{VOCAB - 6} tokens"):
        generate(VllmEngine(), policy, [np.array([22], dtype=np.int32)], GREEDY)


@pytest.mark.usefixtures("vllm")
def test_adapters_are_merged_into_what_goes_over(prompts: list[np.ndarray]) -> None:
    policy = policies()["untied"]
    add_adapters(policy.module, LoraSpec(rank=2, alpha=8.0, dropout=0.0, seed=1), "double")
    spread_adapters(policy.module)
    drawn = generate(VllmEngine(), policy, prompts, GREEDY)
    assert as_lists(drawn.tokens) == as_lists(generate(NativeEngine(), policy, prompts, GREEDY).tokens)


def test_a_cancelled_generation_leaves_no_request(vllm: FakeVllm, prompts: list[np.ndarray]) -> None:
    calls = 0

    def tick() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt

    policy, engine = policies()["tied"], VllmEngine()
    with pytest.raises(KeyboardInterrupt):
        generate(engine, policy, prompts, replace(SAMPLED, suppress_eos=True), tick=tick)
    inner = vllm.llms[0].llm_engine
    assert len(inner.aborted) == len(prompts) and not inner.requests
    assert len(generate(engine, policy, prompts, GREEDY).tokens) == len(prompts)


def test_no_prompts_no_library(vllm: FakeVllm, prompts: list[np.ndarray]) -> None:
    policy, calls = policies()["tied"], []
    assert generate(VllmEngine(), policy, [], GREEDY).tokens == []
    VllmEngine().rehearse(Mixture.of(policy), prompts, GREEDY, lambda: calls.append("tick"))
    assert calls == ["tick"] and not vllm.llms


def test_refusals_name_the_reason(vllm: FakeVllm, prompts: list[np.ndarray]) -> None:
    policy = policies()["tied"]
    with pytest.raises(RolloutError, match="mixture"):
        generate(VllmEngine(), Mixture.blend(policy, policies()["untied"], 0.5), prompts, GREEDY)
    with pytest.raises(RolloutError, match="no_repeat_ngram_size"):
        generate(VllmEngine(), policy, prompts, replace(GREEDY, no_repeat_ngram_size=3))
    with pytest.raises(RolloutError, match="empty"):
        generate(VllmEngine(), policy, [np.array([], dtype=np.int32)], GREEDY)
    vllm.failure = ValueError("Model architectures are not supported")
    with pytest.raises(UnsupportedModelError, match=r"LlamaForCausalLM: Model architectures are not"):
        generate(VllmEngine(), policy, prompts, GREEDY)
    shape = {"vocab_size": VOCAB, "d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    t5 = ModulePolicy(T5ForConditionalGeneration(T5Config(**shape)))
    assert "encoder-decoder" in (VllmEngine().refusal(t5) or "")


def test_it_is_taken_only_by_name(vllm: FakeVllm) -> None:
    policy = policies()["tied"]
    assert isinstance(select_engine(policy).engine, NativeEngine)
    selection = select_engine(policy, name="vllm")
    assert isinstance(selection.engine, VllmEngine) and selection.note is None
    assert not vllm.calls


def test_without_the_library_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        UnsupportedModelError, match=r"package vllm is not installed.*AMMD_PYTHON_ENV.*Use 'auto'"
    ):
        select_engine(policies()["tied"], name="vllm")
