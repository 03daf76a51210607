"""The hash that names a place for responses: the same for the same, another for whatever changes them."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from transformers import LlamaForCausalLM

from py_worker.rollout import fingerprint
from py_worker.rollout.fingerprint import store_key, weights_hash
from py_worker.rollout.sampling import Sampling
from tests.py.rollout.doubles import VOCAB, ModulePolicy, llama_config, seeded, silent

SAMPLING = Sampling(max_new_tokens=8)


def key(policy: ModulePolicy, sampling: Sampling = SAMPLING, seed: int = 3) -> str:
    return store_key(policy, weights_hash(policy.module, silent), sampling, seed)


def tied() -> ModulePolicy:
    return ModulePolicy(seeded(lambda: LlamaForCausalLM(llama_config(tie_word_embeddings=True))))


def test_a_copy_and_a_moved_model_have_the_same(llama: ModulePolicy) -> None:
    moved = copy.deepcopy(llama)
    moved.module.config._name_or_path = "/elsewhere"
    moved.module.config.transformers_version = "9.9"
    for parameter in moved.module.parameters():
        parameter.data = parameter.data.t().contiguous().t() if parameter.dim() == 2 else parameter.data
    assert key(moved) == key(llama) == key(tied())


def _one_bit(policy: ModulePolicy) -> ModulePolicy:
    with torch.no_grad():
        weight = policy.module.model.layers[1].mlp.down_proj.weight.view(-1)
        weight[-1] = torch.nextafter(weight[-1], torch.tensor(9.0, dtype=weight.dtype))
    return policy


def _other_rope(policy: ModulePolicy) -> ModulePolicy:
    policy.module.config.rope_parameters["rope_theta"] = 500.0
    return policy


def _swapped(policy: ModulePolicy) -> ModulePolicy:
    first, second = policy.module.model.layers
    first.mlp.gate_proj, second.mlp.gate_proj = second.mlp.gate_proj, first.mlp.gate_proj
    return policy


@pytest.mark.parametrize(
    "change",
    [
        _one_bit,
        _other_rope,
        _swapped,
        lambda policy: replace(policy, module=policy.module.float()),
        lambda policy: replace(policy, vocab_size=VOCAB - 1),
        lambda policy: replace(policy, eos_ids=(2, 3)),
        lambda policy: replace(policy, compute_dtype=torch.bfloat16),
    ],
)
def test_what_changes_the_policy_changes_the_key(change: Callable[[ModulePolicy], ModulePolicy]) -> None:
    assert key(change(tied())) != key(tied())


def test_what_changes_the_draw_changes_the_key(llama: ModulePolicy) -> None:
    settings = [
        {"temperature": 0.9},
        {"top_p": 0.9},
        {"top_k": 3},
        {"max_new_tokens": 9},
        {"no_repeat_ngram_size": 2},
        {"suppress_eos": True},
    ]
    keys = {key(llama, replace(SAMPLING, **change)) for change in settings}
    assert len(keys | {key(llama), key(llama, seed=4)}) == len(settings) + 2
    assert key(llama, Sampling(max_new_tokens=8)) == key(llama)


def test_large_tensors_are_hashed_in_pieces(llama: ModulePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pieces do not change the hash; each of them is progress, and a place to stop at."""
    whole = weights_hash(llama.module, silent)
    monkeypatch.setattr(fingerprint, "_CHUNK", 1000)
    ticks: list[int] = []
    assert weights_hash(llama.module, lambda: ticks.append(1)) == whole
    size = sum(parameter.nbytes for parameter in llama.module.parameters())
    assert len(ticks) >= size // 1000


def test_buffers_that_are_state_count_and_tied_weights_once() -> None:
    module = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 3))
    before = weights_hash(module, silent)
    module[0].running_mean += 1.0
    assert weights_hash(module, silent) != before
    ticks: list[int] = []
    weights_hash(tied().module, lambda: ticks.append(1))
    assert len(ticks) == len(list(tied().module.parameters()))
