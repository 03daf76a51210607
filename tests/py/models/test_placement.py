"""Weights in host memory, with copies in it standing for those on a device."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from py_worker.models.placement import HostWeights, Layout, pinned
from py_worker.models.policy import Policy
from tests.py.tiny_models import tiny_batch, tiny_policy


class Device:
    """Knows which tensors are on it."""

    def __init__(self) -> None:
        self.copies: list[Tensor] = []

    def __call__(self, tensor: Tensor) -> Tensor:
        self.copies.append(tensor.clone())
        return self.copies[-1]

    def has(self, tensor: Tensor) -> bool:
        return any(tensor.data_ptr() == copy.data_ptr() for copy in self.copies)


def clones(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.clone() for tensor in tensors]


def offloaded(tie: bool = True) -> tuple[Policy, Device, int]:
    """A policy, its device, and how many of its parameters come and go."""
    policy, device = tiny_policy(3, tie=tie), Device()
    policy.freeze()
    policy.offload(to_host=clones, to_device=device)
    return policy, device, sum(1 for _ in policy.module.parameters()) - 1


def parameters(policy: Policy) -> list[Tensor]:
    return [p.data for p in policy.module.parameters() if p is not policy.head.weight]


def test_a_pass_brings_the_weights_and_takes_them_away():
    policy, device, count = offloaded()
    assert policy.is_offloaded and not tiny_policy(3).is_offloaded
    host = [p.data_ptr() for p in parameters(policy)]
    assert not any(map(device.has, parameters(policy)))
    seen = []
    policy.body.register_forward_hook(lambda *_: seen.extend(map(device.has, parameters(policy))))
    found = policy.response_hidden(tiny_batch())
    assert seen == [True] * count and len(device.copies) == count
    assert [p.data_ptr() for p in parameters(policy)] == host
    assert torch.equal(found, tiny_policy(3).response_hidden(tiny_batch()))


def test_passes_within_one_stay_bring_them_once():
    policy, device, count = offloaded(tie=False)
    with policy.resident():
        for _ in range(3):
            policy.response_hidden(tiny_batch())
        assert all(map(device.has, parameters(policy)))
    assert len(device.copies) == count
    assert not any(map(device.has, parameters(policy)))


def test_the_head_stays_so_that_logits_need_no_stay():
    policy, device, _ = offloaded(tie=False)
    weight = policy.head.weight.data_ptr()
    logits = policy.logits(torch.ones(2, policy.hidden_size))
    assert policy.head.weight.data_ptr() == weight and not device.copies
    assert torch.equal(logits, tiny_policy(3, tie=False).logits(torch.ones(2, policy.hidden_size)))


def test_a_tied_embedding_stays_with_the_head():
    policy, device, _ = offloaded(tie=True)
    embedding = policy.module.get_input_embeddings().weight
    assert embedding is policy.head.weight
    with policy.resident():
        assert not device.has(embedding.data)


def test_a_failure_takes_them_away_too():
    policy, device, _ = offloaded()
    with pytest.raises(ZeroDivisionError), policy.resident():
        raise ZeroDivisionError
    assert not any(map(device.has, parameters(policy)))


def test_what_comes_and_goes_is_all_but_the_head():
    policy = tiny_policy(3, tie=False)
    weights = HostWeights(policy.module, [policy.head.weight], to_host=clones, to_device=Tensor.clone)
    assert weights.bytes == sum(tensor.nbytes for tensor in parameters(policy))


def test_blocks_fill_slabs_and_never_overlap():
    sizes = [700, 90, 5000, 0, 1024, 513]
    layout = Layout.of(sizes, slab=2048)
    ends: list[list[tuple[int, int]]] = [[] for _ in layout.slabs]
    for size, (slab, start) in zip(sizes, layout.places, strict=True):
        assert start % 512 == 0 and start + size <= layout.slabs[slab]
        ends[slab].append((start, start + size))
    for taken in map(sorted, ends):
        assert all(end <= start for (_, end), (start, _) in pairwise(taken))
    assert layout.slabs == (8192, 512), "what fits goes into the larger one's power of two"


def test_llama_13b_takes_little_more_than_it_weighs():
    """In powers of two, as pinned memory is given out; a block for each weight would take 1.7 times."""
    width, inner, layers = 5120, 13_824, 40
    layer = [width * width] * 4 + [width * inner] * 3 + [width] * 2
    sizes = [2 * count for count in [*layer * layers, 32_000 * width, width]]
    taken = sum(1 << (size - 1).bit_length() for size in Layout.of(sizes).slabs)
    assert taken < 1.05 * sum(sizes)


def test_copies_in_slabs_are_the_tensors(monkeypatch: pytest.MonkeyPatch):
    plain = torch.empty  # without a GPU there is no pinned memory

    def empty(size: int, dtype: torch.dtype, pin_memory: bool) -> Tensor:
        assert pin_memory
        return plain(size, dtype=dtype)

    monkeypatch.setattr(torch, "empty", empty)
    tensors = [torch.randn(3, 5), torch.randn(7).bfloat16(), torch.tensor(2.0), torch.randn(6, 4).t()]
    for copy, tensor in zip(pinned(tensors), tensors, strict=True):
        assert copy.dtype == tensor.dtype and torch.equal(copy, tensor)
        assert copy.data_ptr() != tensor.data_ptr()
