"""Implementations of attention: on every kind of source, computing the same, refused where they cannot."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers.integrations import sdpa_attention

from py_worker.models import attention
from py_worker.models.attention import has_grouped_kernel, repeat_heads_where_needed, use_attention
from py_worker.models.errors import UnsupportedModelError
from py_worker.models.loading.load import load_policy
from py_worker.models.policy import Policy
from py_worker.models.saving import save_policy
from py_worker.models.spec import ArchSpec, ModelSpec
from tests.py.models.test_policy import policy_of
from tests.py.tiny_models import tiny_policy

torch.set_num_threads(1)

BUILTIN = ModelSpec("builtin:llama", init="random", arch=ArchSpec(16, 2, 2, 1, 32, 64), seed=4)
TOKENS = torch.tensor([[2, 3, 4, 5, 6, 7, 8], [8, 3, 12, 4, 4, 2, 9]])


def implementation(policy: Policy) -> str:
    return policy.body.layers[0].self_attn.config._attn_implementation


@pytest.mark.parametrize("name", ["eager", "sdpa"])
def test_every_kind_of_source_takes_it(tmp_path, name):
    save_policy(load_policy(BUILTIN, device="cpu"), tmp_path)
    teacher = load_policy(replace(BUILTIN, attention="sdpa"), device="cpu")
    folder = ModelSpec(str(tmp_path), attention=name)
    for spec in (
        replace(BUILTIN, attention=name),
        folder,
        replace(folder, init="random"),
        replace(folder, init="layers", layers=(1,)),
    ):
        assert implementation(load_policy(spec, device="cpu", teacher=teacher)) == name
    assert implementation(teacher) == "sdpa"


@pytest.mark.parametrize("make", [tiny_policy, lambda: policy_of("gpt2")])
def test_they_compute_the_same(make):
    found = []
    for name in ("eager", "sdpa"):
        policy = make()
        use_attention(policy, name)
        found.append(policy.forward_hidden(TOKENS))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_flash_attention_says_what_is_missing(monkeypatch):
    policy = tiny_policy()
    with pytest.raises(UnsupportedModelError, match="flash_attention_2 cannot be used on device cpu; use"):
        use_attention(policy, "flash_attention_2")
    monkeypatch.setattr(Policy, "device", torch.device("cuda"))
    monkeypatch.setattr(attention, "find_spec", lambda _: None)
    with pytest.raises(UnsupportedModelError, match="lacks the Python package flash-attn"):
        use_attention(policy, "flash_attention_2")
    monkeypatch.setattr(attention, "find_spec", lambda _: object())
    with pytest.raises(UnsupportedModelError, match="in float32; set compute_dtype"):
        use_attention(policy, "flash_attention_2")


def test_what_the_library_refuses_is_refused_with_its_reason(monkeypatch):
    def refuse(name):
        raise ValueError(f"{name} is not for this model.\nMore lines.")

    policy = tiny_policy()
    monkeypatch.setattr(policy.module, "set_attn_implementation", refuse)
    with pytest.raises(UnsupportedModelError, match=r"used: sdpa is not for this model. \(use sdpa or eager"):
        use_attention(policy, "sdpa")


def test_a_model_that_keeps_its_own_is_refused(monkeypatch):
    policy = tiny_policy()
    kept = policy.module.config._attn_implementation
    other = {"sdpa": "eager", "eager": "sdpa"}[kept]
    monkeypatch.setattr(policy.module, "_can_set_attn_implementation", lambda: False)
    with pytest.raises(
        UnsupportedModelError, match=f"{other} cannot be used: LlamaForCausalLM stays with {kept}"
    ):
        use_attention(policy, other)


def on_gpu(dtype: torch.dtype) -> Any:
    return SimpleNamespace(is_cuda=True, dtype=dtype, device=torch.device("cuda", 0), shape=(2, 3, 7, 64))


@pytest.mark.parametrize(
    ("dtype", "capability", "expected"),
    [
        (torch.bfloat16, (8, 0), True),
        (torch.float16, (9, 0), True),
        (torch.float32, (9, 0), False),
        (torch.float64, (9, 0), False),
        (torch.bfloat16, (7, 5), False),
    ],
)
def test_on_a_gpu_heads_are_grouped_where_flash_attention_is(dtype, capability, expected, monkeypatch):
    """By torch's rules: no other kernel takes fewer heads of keys than of queries."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(sdpa_attention, "use_gqa_in_sdpa", sdpa_attention.use_gqa_in_sdpa)
    repeat_heads_where_needed()
    keys = on_gpu(dtype)
    assert has_grouped_kernel(keys) is expected
    assert sdpa_attention.use_gqa_in_sdpa(None, keys, keys) is expected
    assert not sdpa_attention.use_gqa_in_sdpa(torch.zeros(1), keys, keys), "the library's own rule holds too"


def test_under_autocast_attention_is_computed_in_its_dtype(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: True)
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda _: torch.bfloat16)
    assert has_grouped_kernel(on_gpu(torch.float32))


def test_on_a_cpu_heads_stay_grouped():
    assert has_grouped_kernel(torch.zeros(1, 1, 1, 1))
