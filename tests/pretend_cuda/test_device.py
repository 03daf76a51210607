"""The pretended GPU keeps a GPU's rules."""

import copy
import gc

import numpy as np
import pytest
import torch
from torch import nn

from tests.pretend_cuda.tensor import CUDA, MEMORY


def test_torch_sees_a_gpu() -> None:
    assert torch.cuda.is_available() and torch.cuda.device_count() == 1
    made = torch.zeros(2, device="cuda") + torch.tensor([1.0, 2.0], device=CUDA)
    assert made.is_cuda and made.device == CUDA
    assert made.tolist() == [1.0, 2.0] and not made.cpu().is_cuda


def test_two_devices_do_not_meet() -> None:
    there, here = torch.arange(6.0, device=CUDA).view(2, 3), torch.ones(3)
    for meet in (
        lambda: there + here,
        lambda: there @ here,
        lambda: torch.cat([there[0], here]),
        lambda: torch.where(there[0] > 1, there[0], here),
        lambda: nn.functional.embedding(torch.tensor([0]), there),
    ):
        with pytest.raises(RuntimeError, match="same device"):
            meet()
    with pytest.raises(TypeError, match="numpy"):
        np.asarray(there)


def test_scalars_indices_and_copies_may() -> None:
    there = torch.arange(6.0, device=CUDA).view(2, 3)
    assert (there * torch.tensor(2.0)).sum().item() == 30.0
    assert there[torch.tensor([1])].tolist() == [[3.0, 4.0, 5.0]]
    there[0].copy_(torch.tensor([7.0, 8.0, 9.0]))
    assert there.cpu()[0].tolist() == [7.0, 8.0, 9.0]


def test_gradients_are_those_of_the_cpu() -> None:
    torch.manual_seed(0)
    here = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    there = copy.deepcopy(here).to(CUDA)
    x = torch.randn(5, 3)
    for module, inputs in ((here, x), (there, x.to(CUDA))):
        module(inputs).square().sum().backward()
    for one, other in zip(here.parameters(), there.parameters(), strict=True):
        assert other.is_cuda and other.grad is not None and other.grad.is_cuda
        assert torch.equal(other.grad.cpu(), one.grad)


def test_tied_weights_stay_tied() -> None:
    module = nn.ModuleList([nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)])
    module[1].weight = module[0].weight
    module.to(CUDA)
    assert module[0].weight is module[1].weight and module[0].weight.is_cuda


def test_memory_is_counted_by_storages() -> None:
    gc.collect()
    before = MEMORY.allocated
    MEMORY.reset_peak()
    tensor = torch.zeros(1000, device=CUDA)
    view = tensor[10:]
    assert MEMORY.allocated - before == 4096
    del tensor
    assert MEMORY.allocated - before == 4096 and view.shape == (990,)
    del view
    assert MEMORY.allocated == before and MEMORY.peak - before == 4096


def test_a_graph_is_recorded_without_effect_and_repeated() -> None:
    total, by = torch.zeros(3, device=CUDA), torch.ones(3, device=CUDA)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        doubled = by * 2
        total.add_(doubled)
    assert total.tolist() == [0.0, 0.0, 0.0]
    graph.replay()
    by.fill_(5.0)
    graph.replay()
    assert total.tolist() == [12.0, 12.0, 12.0] and doubled.tolist() == [10.0, 10.0, 10.0]


@pytest.mark.parametrize(
    "step",
    [
        lambda tensor: tensor.sum().item(),
        lambda tensor: tensor.nonzero(),
        lambda tensor: tensor.copy_(torch.ones(3)),
        lambda tensor: tensor.cpu(),
    ],
)
def test_a_graph_does_not_wait_for_the_host(step: object) -> None:
    assert callable(step)
    tensor = torch.zeros(3, device=CUDA)
    with pytest.raises(RuntimeError, match="capturing"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        step(tensor)


def test_weights_may_leave_and_come_back() -> None:
    gc.collect()
    weight = nn.Parameter(torch.ones(300, device=CUDA), requires_grad=False)
    before = MEMORY.allocated
    kept = weight.data.cpu()
    weight.data = kept
    assert not weight.is_cuda and MEMORY.allocated < before
    weight.data = kept.to(CUDA)
    assert weight.is_cuda and MEMORY.allocated == before
