"""What a rehearsed rollout allocates, against the events of PyTorch's own allocator in the rollout itself."""

import numpy as np
import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2LMHeadModel,
    LlamaForCausalLM,
    T5ForConditionalGeneration,
)

from py_worker.rollout.engine import Engine, Mixture, Sampling
from py_worker.rollout.forward import ForwardEngine
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.rehearsal import rehearse_rollout
from tests.py.rollout.doubles import (
    ModulePolicy,
    gpt2_config,
    limited,
    llama_config,
    seeded,
    silent,
    t5_config,
)

torch.set_num_threads(1)
WIDE = {"hidden_size": 64, "intermediate_size": 160}


def llama(**changes) -> ModulePolicy:
    config = llama_config(**WIDE, **changes)
    return ModulePolicy(seeded(lambda: LlamaForCausalLM(config), torch.float32))


def gpt2() -> ModulePolicy:
    return ModulePolicy(seeded(lambda: GPT2LMHeadModel(gpt2_config(n_embd=64)), torch.float32))


def gemma2(window: int) -> ModulePolicy:
    config = Gemma2Config(
        **{"vocab_size": 40, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2},
        **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "sliding_window": window},
        **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1},
    )
    return ModulePolicy(seeded(lambda: Gemma2ForCausalLM(config), torch.float32))


def t5() -> ModulePolicy:
    config = t5_config(d_model=64, d_ff=160)
    return ModulePolicy(seeded(lambda: T5ForConditionalGeneration(config), torch.float32))


def allocator_peak(run) -> int:
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        run()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def compare(engine: Engine, mixture: Mixture, lengths: list[int], **sampling) -> tuple[int, int]:
    settings = Sampling(max_new_tokens=13, suppress_eos=True, **sampling)
    prompts = [np.full(length, 5, dtype=np.int32) for length in lengths]
    predicted = sum(rehearse_rollout(engine, mixture, lengths, settings).values())
    measured = allocator_peak(
        lambda: engine.generate(mixture, prompts, range(len(prompts)), settings, 0, silent)
    )
    return predicted, measured


CASES = {
    "llama": (lambda: Mixture.of(llama()), {}),
    "gpt2": (lambda: Mixture.of(gpt2()), {}),
    "mixture": (lambda: Mixture.blend(llama(), llama(num_hidden_layers=3), 0.5), {}),
    "t5": (lambda: Mixture.of(t5()), {}),
    "wide-window": (lambda: Mixture.of(gemma2(4096)), {}),
    "narrow-window": (lambda: Mixture.of(gemma2(8)), {}),
    "no-n-gram-twice": (lambda: Mixture.of(llama()), {"no_repeat_ngram_size": 3}),
    "nucleus": (lambda: Mixture.of(llama()), {"top_p": 0.9}),
}


@pytest.mark.parametrize("name", [name for name in CASES if "window" not in name])
def test_native_engine(name):
    make, sampling = CASES[name]
    predicted, measured = compare(NativeEngine(), make(), [24] * 12, **sampling)
    assert predicted == pytest.approx(measured, rel=0.03)


@pytest.mark.parametrize("name", ["gpt2", "mixture", "t5", "wide-window", "narrow-window"])
def test_forward_engine(name):
    make, sampling = CASES[name]
    predicted, measured = compare(ForwardEngine(), make(), [24] * 12, **sampling)
    assert predicted == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize("engine", [NativeEngine(), ForwardEngine()], ids=lambda engine: engine.name)
def test_padded_prompts_of_an_encoder_have_a_mask_each(engine):
    """Which makes the scores' bias one of each row: most of what is taken, with long prompts."""
    predicted, measured = compare(engine, Mixture.of(t5()), [96] * 11 + [70])
    assert predicted == pytest.approx(measured, rel=0.15)


def test_fewer_slots_take_less():
    mixture, settings = Mixture.of(llama()), Sampling(max_new_tokens=8)
    few, many = (
        rehearse_rollout(limited(slots=slots), mixture, [20] * 16, settings)["kv_cache"] for slots in (4, 16)
    )
    assert many == pytest.approx(4 * few, rel=0.05)
    asked = rehearse_rollout(NativeEngine(), mixture, [20] * 16, settings, rows=4)["kv_cache"]
    assert asked == few


def test_fewer_rows_take_less_of_the_forward_engine():
    mixture, settings = Mixture.of(llama()), Sampling(max_new_tokens=8)
    few, many = (
        sum(rehearse_rollout(ForwardEngine(), mixture, [20] * 16, settings, rows).values())
        for rows in (4, None)
    )
    assert many == pytest.approx(4 * few, rel=0.1)


def test_draws_nothing_and_changes_nothing():
    policy = llama()
    before = [(p.clone(), p._version) for p in policy.module.parameters()]
    random = torch.get_rng_state()
    rehearse_rollout(NativeEngine(), Mixture.of(policy), [9, 4], Sampling(max_new_tokens=5))
    assert torch.equal(torch.get_rng_state(), random)
    for (old, version), new in zip(before, policy.module.parameters(), strict=True):
        assert torch.equal(old, new) and new._version == version
