"""Generation from a model with adapters: both engines draw from the adapted policy, as peft computes it."""

import numpy as np
import peft
import pytest
import torch
from transformers import GPT2LMHeadModel

from py_worker.models.lora import adapter_parameters, add_adapters
from py_worker.models.spec import LoraSpec
from py_worker.rollout.engine import select_engine
from py_worker.rollout.forward import ForwardEngine
from py_worker.rollout.native import NativeEngine
from tests.py.models.adapted import spread_adapters
from tests.py.rollout.doubles import (
    TOLERANCE,
    ModulePolicy,
    as_lists,
    generate,
    gpt2_config,
    hugging_face_greedy,
    randomize_norms_and_biases,
    seeded,
)
from tests.py.rollout.test_llama import GREEDY, SAMPLED, variant

LORA = LoraSpec(rank=4, alpha=12.0, dropout=0.5, seed=1)


def plain(family: str) -> ModulePolicy:
    make = (lambda: GPT2LMHeadModel(gpt2_config())) if family == "gpt2" else variant(family)
    policy = ModulePolicy(seeded(make))
    randomize_norms_and_biases(policy.module)
    return policy


def adapted(family: str) -> ModulePolicy:
    policy = plain(family)
    add_adapters(policy.module, LORA, family)
    spread_adapters(policy.module)
    return policy


def by_peft(family: str) -> ModulePolicy:
    """The same adapters in a PeftModel, which knows nothing of this program."""
    config = peft.LoraConfig(r=4, lora_alpha=12.0, target_modules="all-linear")
    module = peft.get_peft_model(plain(family).module, config)
    ours = adapter_parameters(adapted(family).module)
    with torch.no_grad():
        for name, matrix in module.named_parameters():
            if ".lora_" in name:
                matrix.copy_(ours[name.removeprefix("base_model.model.")])
    return ModulePolicy(module.eval())


@pytest.mark.parametrize("family", ["tied", "biases", "qwen3", "gpt2"])
def test_greedy_tokens_are_those_of_peft(family: str, prompts: list[np.ndarray]) -> None:
    policy = adapted(family)
    expected = hugging_face_greedy(by_peft(family), prompts, 20)
    assert select_engine(policy).engine.name == "native"
    for engine in (NativeEngine(), ForwardEngine()):
        assert as_lists(generate(engine, policy, prompts, GREEDY).tokens) == expected
    assert as_lists(generate(NativeEngine(), plain(family), prompts, GREEDY).tokens) != expected


def test_both_engines_draw_the_same(prompts: list[np.ndarray]) -> None:
    engines = (NativeEngine(), ForwardEngine())
    native, forward = (generate(engine, adapted("tied"), prompts, SAMPLED) for engine in engines)
    assert as_lists(native.tokens) == as_lists(forward.tokens)
    for ours, theirs in zip(native.log_probs, forward.log_probs, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)


def test_each_call_sees_the_adapters_of_its_moment(prompts: list[np.ndarray]) -> None:
    policy, engine = adapted("tied"), NativeEngine()
    before = {name: matrix.clone() for name, matrix in policy.module.state_dict().items()}
    first = generate(engine, policy, prompts, GREEDY)
    after = policy.module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    spread_adapters(policy.module, seed=1)
    assert as_lists(generate(engine, policy, prompts, GREEDY).tokens) != as_lists(first.tokens)
