"""Every arrangement of a matrix against the product in float64, and the choice between them."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from py_worker.rollout import weights
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.sampling import Sampling
from py_worker.rollout.weights import DenseLinear, PackedLinear, arranged, pays_to_copy
from tests.py.rollout.doubles import (
    ModulePolicy,
    as_lists,
    generate,
    gpt2_config,
    hugging_face_greedy,
    llama_config,
    reference_log_probs,
    seeded,
)

torch.set_num_threads(1)

SMALL, MIDDLE, LARGE = (24, 40), (256, 264), (512, 1032)
CAN_PACK = weights._can_pack(torch.float32)


def drawn(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(sum(shape)).normal(size=shape))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4), (torch.bfloat16, 0.5)]
)
@pytest.mark.parametrize(
    ("size", "copy", "transposed"), product((SMALL, MIDDLE, LARGE), (False, True), (False, True))
)
def test_products(
    dtype: torch.dtype, tolerance: float, size: tuple[int, int], copy: bool, transposed: bool
) -> None:
    """As stored [in, out] and [out, in], with bias and without, on residuals as wide and wider."""
    matrix, bias, x, residual = drawn(*size), drawn(size[1]), drawn(3, size[0]), drawn(3, size[1])
    stored = matrix.t().contiguous().t() if transposed else matrix
    for added in (None, bias):
        linear = arranged(stored, added, dtype, copy=copy)
        expected = x @ matrix + (0.0 if added is None else added)
        for given in (x, x.to(dtype)):
            found = linear(given)
            assert found.dtype == dtype
            torch.testing.assert_close(found.double(), expected, rtol=0.0, atol=tolerance)
        for wide in (torch.float64, dtype):
            total = residual.to(wide, copy=True)
            linear.add_to(total, x.to(dtype))
            torch.testing.assert_close(total.double(), expected + residual, rtol=0.0, atol=tolerance)


@pytest.mark.skipif(not CAN_PACK, reason="a torch without oneDNN")
def test_large_matrices_are_packed_small_ones_stored_by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def kind(size: tuple[int, int], dtype: torch.dtype, *, copy: bool = True) -> type:
        return type(arranged(drawn(*size).t().contiguous().t(), None, dtype, copy=copy))

    assert kind(LARGE, torch.float32) is PackedLinear
    assert kind(LARGE, torch.float64) is kind(SMALL, torch.float32) is DenseLinear
    assert kind(LARGE, torch.float32, copy=False) is DenseLinear
    assert kind(MIDDLE, torch.float32) is kind(SMALL, torch.bfloat16) is DenseLinear
    assert kind(MIDDLE, torch.bfloat16) is (
        PackedLinear if weights._can_pack(torch.bfloat16) else DenseLinear
    )
    small = arranged(drawn(*SMALL).float().t().contiguous().t(), None, torch.float32, copy=True)
    assert isinstance(small, DenseLinear) and small.weight.is_contiguous()
    monkeypatch.setattr(weights, "_can_pack", lambda _: False)
    assert kind(LARGE, torch.float32) is DenseLinear


def test_copies_are_snapshots_and_the_rest_is_the_modules_own_storage() -> None:
    for size in (SMALL, LARGE):
        layer = nn.Linear(*size)
        x = drawn(2, size[0]).float()
        with torch.inference_mode():
            copied, own = (
                arranged(layer.weight.t(), None, torch.float32, copy=copy) for copy in (True, False)
            )
            before = own(x)
        layer.weight.data.zero_()
        with torch.inference_mode():
            torch.testing.assert_close(copied(x), before, rtol=0.0, atol=1e-4)
            assert not own(x).any()


def test_copying_pays_for_long_generations_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    here = [torch.zeros(8), torch.zeros(8)]
    assert pays_to_copy(here, 12)
    assert not pays_to_copy(here, 11)
    assert not pays_to_copy([*here, torch.zeros(8, device="meta")], 12)
    monkeypatch.setattr(weights, "_COPY_BYTES", 63)
    assert not pays_to_copy(here, 12)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_model_with_packed_matrices_draws_as_it_trains(family: str, prompts: list[np.ndarray]) -> None:
    """Float32: its rounding differs from the module's own, hence a tolerance."""
    shape = {"hidden_size": 512, "intermediate_size": 1032, "vocab_size": 300, "initializer_range": 0.06}
    make = {
        "llama": lambda: LlamaForCausalLM(llama_config(**shape, num_hidden_layers=1)),
        "gpt2": lambda: GPT2LMHeadModel(gpt2_config(n_embd=512, vocab_size=300, initializer_range=0.06)),
    }
    policy = ModulePolicy(seeded(make[family], torch.float32), vocab_size=300)
    greedy = Sampling(temperature=0.0, max_new_tokens=16)
    responses = generate(NativeEngine(), policy, prompts, greedy)
    assert as_lists(responses.tokens) == hugging_face_greedy(policy, prompts, 16)
    sampling = Sampling(max_new_tokens=16)
    sampled = generate(NativeEngine(), policy, prompts, sampling)
    expected = reference_log_probs(policy, prompts, sampled.tokens, sampling)
    np.testing.assert_allclose(np.concatenate(sampled.log_probs), np.concatenate(expected), atol=1e-4)
