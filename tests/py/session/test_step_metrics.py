"""Scalars of a step."""

import math

import pytest
import torch

from py_worker.session.step_metrics import StepMetrics


def test_tensors_and_numbers_come_back_by_name() -> None:
    metrics = StepMetrics()
    metrics.record(0, "loss", torch.tensor(0.1, requires_grad=True))
    metrics.record(0, "tokens", torch.tensor([2**40 + 1]))
    metrics.record(0, "length", 7)
    metrics.record_all(0, {"critic/norm": torch.tensor(0.1, dtype=torch.bfloat16)})
    assert metrics.take(0)() == {
        "loss": float(torch.tensor(0.1)),
        "tokens": 2**40 + 1,
        "length": 7.0,
        "critic/norm": float(torch.tensor(0.1, dtype=torch.bfloat16)),
    }


def test_taking_begins_anew_and_later_records_do_not_reach_back() -> None:
    metrics = StepMetrics()
    value = torch.tensor(1.0)
    metrics.record(0, "a", value)
    read = metrics.take(0)
    metrics.record(0, "b", 2.0)
    value.add_(1.0)
    assert read() == {"a": 1.0}
    assert metrics.take(0)() == {"b": 2.0}
    assert metrics.take(0)() == {}


def test_the_last_value_of_a_name_counts() -> None:
    metrics = StepMetrics()
    for value in (1.0, torch.tensor(2.0), 3.0):
        metrics.record(0, "a", value)
    assert metrics.take(0)() == {"a": 3.0}


def test_what_is_not_finite_is_told_as_it_is() -> None:
    metrics = StepMetrics()
    metrics.record(0, "a", torch.tensor(torch.nan))
    metrics.record(0, "b", torch.tensor(torch.inf))
    found = metrics.take(0)()
    assert math.isnan(found["a"])
    assert found["b"] == math.inf


def test_a_vector_is_no_scalar() -> None:
    metrics = StepMetrics()
    metrics.record(0, "a", torch.ones(2))
    with pytest.raises(RuntimeError):
        metrics.take(0)


def test_clear() -> None:
    metrics = StepMetrics()
    metrics.record(0, "a", 1.0)
    metrics.clear()
    assert metrics.take(0)() == {}


def test_a_step_that_never_ended_is_not_in_the_next() -> None:
    metrics = StepMetrics()
    for step in (3, 4, 5):
        metrics.record(step, f"of {step}", step)
    assert metrics.take(4)() == {"of 4": 4.0}
    assert metrics.take(3)() == {}
    assert metrics.take(5)() == {"of 5": 5.0}
