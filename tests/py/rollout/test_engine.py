"""The choice of an engine, and what every engine refuses."""

import importlib.util
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    GPT2LMHeadModel,
    GPT2Model,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    T5ForConditionalGeneration,
)

from py_worker.models.errors import UnsupportedModelError
from py_worker.models.loading.load import load_policy
from py_worker.models.spec import ArchSpec, ModelSpec
from py_worker.rollout.engine import ENGINES, select_engine
from py_worker.rollout.errors import RolloutError
from py_worker.rollout.forward import ForwardEngine
from py_worker.rollout.graph_engine import GraphEngine
from py_worker.rollout.native import LIMITS_ELSEWHERE, NativeEngine
from py_worker.rollout.sampling import Sampling
from py_worker.rollout.vllm_engine import VllmEngine
from tests.py.rollout.doubles import VOCAB, ModulePolicy, generate, gpt2_config, t5_config


@pytest.fixture(scope="module")
def neox() -> ModulePolicy:
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return ModulePolicy(GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=VOCAB, **shape)))


def test_names_agree_with_the_registry() -> None:
    assert {make().name for make in ENGINES.values()} == set(ENGINES)


@pytest.mark.parametrize("name", ["auto", "native"])
def test_covered_models_get_the_native_engine_without_a_word(llama: ModulePolicy, name: str) -> None:
    gpt2 = ModulePolicy(GPT2LMHeadModel(gpt2_config()))
    t5 = ModulePolicy(T5ForConditionalGeneration(t5_config()))
    for policies in ((llama, gpt2), (t5,)):
        selection = select_engine(*policies, name=name)
        assert isinstance(selection.engine, NativeEngine)
        assert selection.note is None


def test_forward_can_be_asked_for(llama: ModulePolicy) -> None:
    selection = select_engine(llama, name="forward")
    assert isinstance(selection.engine, ForwardEngine)
    assert selection.note is None


def test_auto_falls_back_and_says_why(neox: ModulePolicy) -> None:
    selection = select_engine(neox)
    assert isinstance(selection.engine, ForwardEngine)
    assert selection.note is not None
    assert "'forward'" in selection.note and "GPTNeoXForCausalLM" in selection.note


def test_graphs_need_the_current_gpu(llama: ModulePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UnsupportedModelError,
        match=r"'native_graphs' .* on cpu, and CUDA graphs need a GPU\. Use 'auto' \(rollout.engine\)\.$",
    ):
        select_engine(llama, name="native_graphs")
    engine = ENGINES["native_graphs"]()
    assert isinstance(engine, GraphEngine)
    assert engine._limits == replace(LIMITS_ELSEWHERE, steps="graph") and not engine.concurrent

    def policy_on(device: str) -> Any:
        """Offloaded: its head alone is on the device."""
        head = SimpleNamespace(rows=SimpleNamespace(device=torch.device(device)))
        return SimpleNamespace(head=head, module=llama.module)

    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert engine.refusal(policy_on("cuda:1")) is None
    assert "captured on the current device, cuda:1" in (engine.refusal(policy_on("cuda:0")) or "")


def test_vllm_takes_the_first_gpu_alone(llama: ModulePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())

    def policy_on(device: str) -> Any:
        head = SimpleNamespace(rows=SimpleNamespace(device=torch.device(device)))
        return SimpleNamespace(head=head, module=llama.module)

    refusals = [VllmEngine().refusal(policy_on(device)) for device in ("cpu", "cuda:0", "cuda:1")]
    assert refusals[:2] == [None, None]
    assert "vLLM takes the first GPU" in (refusals[2] or "")


def test_an_engine_asked_for_by_name_is_not_replaced(neox: ModulePolicy) -> None:
    with pytest.raises(UnsupportedModelError, match=r"'native'.*GPTNeoXForCausalLM.*Use 'auto'"):
        select_engine(neox, name="native")


def test_a_model_that_nothing_serves() -> None:
    headless = ModulePolicy(GPT2Model(gpt2_config()))
    with pytest.raises(UnsupportedModelError, match="GPT2Model has no language-model head") as caught:
        select_engine(headless)
    assert caught.value.code == "unsupported"


def test_an_unknown_name_lists_the_known(llama: ModulePolicy) -> None:
    with pytest.raises(RolloutError, match="'mlx'; there are auto, native, forward, native_graphs, vllm"):
        select_engine(llama, name="mlx")


def test_the_model_that_is_refused_is_named(neox: ModulePolicy) -> None:
    """Of a mixture it may be either."""
    served = ModulePolicy(GPT2LMHeadModel(gpt2_config()), name="student")
    other = replace(neox, name="teacher")
    with pytest.raises(
        UnsupportedModelError, match="'native' does not serve teacher: its architecture is GPTNeoX"
    ):
        select_engine(served, other, name="native")
    assert "'native' does not serve teacher" in (select_engine(served, other).note or "")


def test_a_builtin_policy_generates_alike_with_both_engines() -> None:
    """The worker's own policies have what generation asks for."""
    arch = ArchSpec(hidden_size=32, layers=2, heads=4, kv_heads=2, intermediate_size=48, max_positions=64)
    policy = load_policy(ModelSpec(source="builtin:llama", init="random", arch=arch, seed=3), device="cpu")
    assert isinstance(select_engine(policy).engine, NativeEngine)
    prompts = [np.arange(3, 3 + n, dtype=np.int32) for n in (4, 9, 1)]
    drawn = [
        generate(ENGINES[name](), policy, prompts, Sampling(max_new_tokens=12))
        for name in ("native", "forward")
    ]
    assert [row.tolist() for row in drawn[0].tokens] == [row.tolist() for row in drawn[1].tokens]
    assert all(row.max() < policy.vocab_size for row in drawn[0].tokens)


def test_numpy_prompts_are_not_changed(llama: ModulePolicy) -> None:
    prompt = np.array([3, 4, 5], dtype=np.int32)
    prompt.setflags(write=False)
    for name in ("native", "forward"):
        engine = select_engine(llama, name=name).engine
        responses = generate(engine, llama, [prompt], Sampling(max_new_tokens=4))
        assert responses.tokens[0].dtype == np.int32
