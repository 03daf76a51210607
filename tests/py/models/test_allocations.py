"""Counted allocations, against sizes known by hand."""

import pytest
import torch
from torch import Tensor

from py_worker.models.allocations import AllocationCounter

FLOAT = 4


def by_dimensions(tensor: Tensor) -> str:
    return f"{tensor.dim()}d"


def test_lives_and_dies_with_the_last_view():
    with AllocationCounter(by_dimensions) as counter:
        table = torch.zeros(10, 100)
        row = table[0]
        assert counter.live == {"2d": 1000 * FLOAT}
        del table
        assert counter.live == {"2d": 1000 * FLOAT}
        del row
        assert counter.live["2d"] == 0
    assert counter.peak == {"2d": 1000 * FLOAT}


def test_what_was_there_before_costs_nothing():
    before, known = torch.zeros(50), torch.zeros(60)
    with AllocationCounter(by_dimensions, [known]) as counter:
        views = before[10:], before.add_(1.0), known.view(6, 10)
        assert not counter.live and len(views) == 3


def test_the_peak_is_split_as_it_was_then():
    with AllocationCounter(by_dimensions) as counter:
        vector = torch.zeros(300)
        del vector
        small = torch.zeros(10), torch.zeros(20, 10)
        assert counter.peak == {"1d": 300 * FLOAT}
        large = torch.zeros(400)
        assert counter.peak == {"1d": 410 * FLOAT, "2d": 200 * FLOAT}
        del small, large


def test_each_phase_has_its_own_peak():
    with AllocationCounter(by_dimensions) as counter:
        with counter.phase():
            torch.zeros(500)
            kept = torch.zeros(5)
        assert counter.peak == {"1d": 500 * FLOAT}
        with counter.phase():
            torch.zeros(7)
        assert counter.peak == {"1d": 12 * FLOAT}
        del kept
        with counter.phase():
            pass
        assert counter.peak["1d"] == 0


def test_in_the_backward_pass_too():
    weight = torch.ones(64, 32, requires_grad=True)
    with AllocationCounter(by_dimensions) as counter:
        loss = (torch.ones(8, 32) @ weight.t()).square().sum()
        before = counter.live["2d"]
        loss.backward()
        assert weight.grad is not None
        assert counter.live["2d"] == before - 8 * 64 * FLOAT - 8 * 32 * FLOAT + 64 * 32 * FLOAT


def test_an_error_passes_through():
    with pytest.raises(RuntimeError, match="shape"), AllocationCounter(by_dimensions):
        torch.zeros(2, 3) @ torch.zeros(2, 3)
