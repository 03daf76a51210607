"""Both cache layouts against attention written out row by row in float64."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from py_worker.rollout.cross_cache import CrossCache
from py_worker.rollout.kv_cache import CacheShape, GemmCache, KeyValueCache, SdpaCache, make_cache

torch.set_num_threads(1)

CPU = torch.device("cpu")
LAYERS, SLOTS, KV_HEADS, QUERIES, CAPACITY, HEAD_DIM = 2, 5, 2, 3, 90, 4
SHAPE = CacheShape(LAYERS, SLOTS, KV_HEADS, QUERIES, CAPACITY, HEAD_DIM)
LAYOUTS = (GemmCache, SdpaCache)


class Rows:
    """The reference: per slot a list of [K, G + 2, D] tokens."""

    def __init__(self) -> None:
        self.tokens: list[list[np.ndarray]] = [[] for _ in range(SLOTS)]

    def attend(self, slot: int, at: int) -> np.ndarray:
        """What the query of token `at` sees, [K * G * D]."""
        seen = np.stack(self.tokens[slot][: at + 1])
        out = []
        for head in range(KV_HEADS):
            keys, values = seen[:, head, QUERIES], seen[:, head, QUERIES + 1]
            for query in self.tokens[slot][at][head, :QUERIES]:
                scores = keys @ query / math.sqrt(HEAD_DIM)
                weights = np.exp(scores - scores.max())
                out.append(weights / weights.sum() @ values)
        return np.concatenate(out)


def draw(generator: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(generator.normal(size=(*shape, KV_HEADS, QUERIES + 2, HEAD_DIM)))


def admit(
    cache: KeyValueCache, rows: Rows, first: int, lengths: list[int], generator: np.random.Generator
) -> None:
    qkv = draw(generator, len(lengths), max(lengths))
    cache.admit(first, torch.tensor(lengths))
    out = cache.prefill(1, first, qkv.clone()).view(len(lengths), max(lengths), -1)
    for row, length in enumerate(lengths):
        rows.tokens[first + row] = list(qkv[row, :length].numpy())
        for at in range(length):
            np.testing.assert_allclose(out[row, at], rows.attend(first + row, at), atol=1e-12)


def step(cache: KeyValueCache, rows: Rows, active: int, generator: np.random.Generator) -> None:
    qkv = draw(generator, active)
    lengths = [len(rows.tokens[slot]) for slot in range(active)]
    cache.begin_step(torch.tensor(lengths), max(lengths) + 1)
    out = cache.attend(1, qkv.clone())
    for slot in range(active):
        rows.tokens[slot].append(qkv[slot].numpy())
        np.testing.assert_allclose(out[slot], rows.attend(slot, lengths[slot]), atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("longest", [9, 80])
def test_attention_over_ragged_rows_that_move_and_are_replaced(
    layout: type[KeyValueCache], longest: int
) -> None:
    generator = np.random.default_rng(0)
    cache, rows = layout(SHAPE, torch.float64, CPU), Rows()
    admit(cache, rows, 0, [longest, 1, 4], generator)
    admit(cache, rows, 3, [2, 7], generator)
    for _ in range(3):
        step(cache, rows, 5, generator)
    # The rows in slots 3 and 4 take the places of 0 and 2.
    cache.move(torch.tensor([3, 4]), torch.tensor([0, 2]))
    rows.tokens[0], rows.tokens[2] = rows.tokens[3], rows.tokens[4]
    step(cache, rows, 3, generator)
    # A shorter prompt in a slot that held a longer row sees nothing of it.
    admit(cache, rows, 3, [3], generator)
    for _ in range(2):
        step(cache, rows, 4, generator)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layers_are_apart(layout: type[KeyValueCache]) -> None:
    generator = np.random.default_rng(1)
    cache, rows = layout(SHAPE, torch.float64, CPU), Rows()
    admit(cache, rows, 0, [6, 3], generator)
    cache.prefill(0, 0, draw(generator, 2, 6))
    step(cache, rows, 2, generator)
    cache.attend(0, draw(generator, 2))
    step(cache, rows, 2, generator)


def test_layout_follows_device_and_dtype() -> None:
    assert isinstance(make_cache(SHAPE, torch.float32, CPU), GemmCache)
    assert isinstance(make_cache(SHAPE, torch.float64, CPU), GemmCache)
    assert isinstance(make_cache(SHAPE, torch.bfloat16, CPU), SdpaCache)
    assert isinstance(make_cache(SHAPE, torch.float32, torch.device("meta")), SdpaCache)


@pytest.mark.parametrize("capacity", [16, 17, 127])
def test_the_rows_of_an_sdpa_mask_are_aligned(capacity: int) -> None:
    """Or kernels for GPUs would copy it on every layer."""
    cache = SdpaCache(replace(SHAPE, capacity=capacity), torch.float32, CPU)
    cache.begin_step(torch.tensor([3, 5]), 6)
    assert cache._bias.shape[-1] == 6
    assert all(stride % 8 == 0 for stride in cache._bias.stride()[:-1])
    crossed = CrossCache(replace(SHAPE, capacity=capacity, queries=1), torch.bfloat16, CPU)
    assert crossed._mask.shape[-1] == capacity
    assert all(stride % 8 == 0 for stride in crossed._mask.stride()[:-1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_position_bias_is_added_to_the_scores(layout: type[KeyValueCache]) -> None:
    generator = np.random.default_rng(2)
    cache = layout(replace(SHAPE, queries=1), torch.float64, CPU)
    qkv = torch.from_numpy(generator.normal(size=(2, 11, KV_HEADS, 3, HEAD_DIM)))
    lengths = torch.tensor([11, 5])
    cache.admit(0, lengths)
    cache.prefill(0, 0, qkv)
    new = torch.from_numpy(generator.normal(size=(2, KV_HEADS, 3, HEAD_DIM)))
    bias = torch.from_numpy(generator.normal(size=(2, KV_HEADS, cache.bias_columns(12))))
    cache.begin_step(lengths, 12, bias)
    seen = cache.attend(0, new).view(2, KV_HEADS, HEAD_DIM)
    for row, length in enumerate(lengths.tolist()):
        for head in range(KV_HEADS):
            keys, values = (
                torch.cat([qkv[row, :length, head, part], new[row, head, part][None]]) for part in (1, 2)
            )
            scores = keys @ new[row, head, 0] / math.sqrt(HEAD_DIM) + bias[row, head, : length + 1]
            torch.testing.assert_close(seen[row, head], scores.softmax(0) @ values, atol=1e-12, rtol=0)
    # On a GPU rows of another length are padded anew on each layer.
    assert layout is GemmCache or cache._bias.stride()[-2] % 8 == 0
