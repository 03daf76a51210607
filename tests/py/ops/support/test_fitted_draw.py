"""Responses for which memory runs out: the same, drawn of fewer rows at a time, and remembered."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from py_worker.ops import measure
from py_worker.rollout.forward import ForwardEngine
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.responses import Responses
from py_worker.session.session import DrawnRows, Halvings
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import SAMPLING, generate_args, load_everything, run_step
from tests.py.ops.small_memory import TooLarge, logits_of_more_than, small_memory
from tests.py.ops.test_background_rollouts import AHEAD, background_args, force, responses

ROWS = list(range(12))


def cache_of_more_than(slots: int) -> TooLarge:
    """Keys and values of the native engine."""
    return lambda tensor: is_cache(tensor) and tensor.shape[1] > slots


def is_cache(tensor: Tensor) -> bool:
    """[layers, slots, K, T, D] with 2 layers and 1 key head; a prompt's queries are [B, P, K, G + 2, D]."""
    return tensor.ndim == 5 and tensor.shape[2] == 1 and tensor.shape[3] > 8


def prompts_of_more_than(rows: int) -> TooLarge:
    """Queries [B, heads, T, D] of the forward engine."""
    return lambda tensor: (
        tensor.ndim == 4 and tensor.is_floating_point() and tensor.shape[3] == 8 and tensor.shape[0] > rows
    )


def drawn(worker: LocalWorker, out: str, rows: list[int] = ROWS, **changes: Any) -> tuple[Any, ...]:
    worker.call("generate", **generate_args(0, out) | {"rows": rows, "sample_ids": rows} | changes)
    return responses(worker, out)


def same_responses(found: tuple[Any, ...], expected: tuple[Any, ...]) -> None:
    assert found[:2] == expected[:2]
    assert found[2] == [pytest.approx(row, abs=1e-5) for row in expected[2]]


@pytest.mark.parametrize("engine", ["native", "forward"])
def test_half_as_many_rows_until_they_fit(worker: LocalWorker, engine: str) -> None:
    if engine == "forward":
        worker.session.role("student").engine = ForwardEngine()
    expected = drawn(worker, "buffer/whole")
    full = {"native": cache_of_more_than, "forward": prompts_of_more_than}[engine](4)
    with small_memory(full, "generate"):
        same_responses(drawn(worker, "buffer/cut"), expected)
    assert worker.session.drawn_rows.halved == {"student": 3}


def test_a_mixture_too(worker: LocalWorker) -> None:
    expected = drawn(worker, "buffer/whole", mixture=0.4)
    with small_memory(cache_of_more_than(5), "generate"):
        same_responses(drawn(worker, "buffer/cut", mixture=0.4), expected)
    assert worker.session.drawn_rows.halved == {"mixture": 3}


def test_later_ones_do_not_fail_first(worker: LocalWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []
    begin = NativeEngine._begin
    monkeypatch.setattr(NativeEngine, "_begin", lambda *args: attempts.append(args[-1]) or begin(*args))
    with small_memory(cache_of_more_than(3), "generate", "evaluate"):
        drawn(worker, "buffer/first")
        assert attempts == [None, 6, 3]
        drawn(worker, "buffer/second")
        evaluated(worker)
    assert attempts[3:] == [3, 3]


def test_few_rows_are_halved_from_their_own_number(worker: LocalWorker) -> None:
    with small_memory(cache_of_more_than(1), "generate"):
        drawn(worker, "buffer/two", rows=[4, 9])
    assert worker.session.drawn_rows.halved == {"student": 1}


def evaluated(worker: LocalWorker) -> Any:
    return worker.call(
        "evaluate",
        role="student",
        dataset="train",
        rows=ROWS,
        sampling=SAMPLING,
        seed=3,
        metrics=["exact_match", "rouge_l"],
        texts=4,
    )


def test_an_evaluation_has_the_same_scores(worker: LocalWorker) -> None:
    expected = evaluated(worker)
    with small_memory(cache_of_more_than(2), "evaluate"):
        assert evaluated(worker) == expected
    assert worker.session.drawn_rows.halved == {"student": 2}


def test_one_that_does_not_fit_row_by_row_leaves_nothing(worker: LocalWorker) -> None:
    with small_memory(cache_of_more_than(0), "generate"):
        error = worker.error("generate", **generate_args(0, "buffer/none"))
    assert (error["code"], error["applied"]) == ("out_of_memory", False)
    assert worker.session.drawn_rows.halved == {}
    drawn(worker, "buffer/none")


class Full:
    """An engine of which no more than two rows fit; the thread that draws has an allocator of its own."""

    concurrent = True

    def __init__(self, real: Any) -> None:
        self.real, self.name, self.rows = real, real.name, real.rows

    def refusal(self, policy: Any) -> str | None:
        return self.real.refusal(policy)

    def generate(self, mixture: Any, prompts: Any, *rest: Any) -> Responses:
        *request, rows = rest
        if min(len(prompts), rows or len(prompts)) > 2:
            raise torch.OutOfMemoryError("no room")
        return self.real.generate(mixture, prompts, *request, rows)


def test_in_the_background_as_at_once(worker: LocalWorker) -> None:
    worker.call("generate", **generate_args(0, "buffer/now"))
    force(worker, open_at_once=True)
    role = worker.session.role("student")
    role.engine = Full(role.engine)
    worker.call("generate", **background_args(0, AHEAD))
    same_responses(responses(worker, AHEAD), responses(worker, "buffer/now"))
    assert worker.session.drawn_rows.halved == {"student": 2}


def test_a_larger_limit_of_another_thread_changes_nothing() -> None:
    rows = DrawnRows()
    for most in (6, 2, 4):
        rows.lower("student", most)
    rows.lower("teacher", 5)
    assert (rows.most("student"), rows.most("teacher"), rows.most("mixture")) == (2, 5, None)


def test_an_engine_that_decides_by_itself_is_asked_once(worker: LocalWorker) -> None:
    role, calls = worker.session.role("student"), []

    class Own(Full):
        def generate(self, mixture: Any, prompts: Any, *rest: Any) -> Responses:
            calls.append(rest[-1])
            return super().generate(mixture, prompts, *rest)

    role.engine = Own(role.engine)
    role.engine.rows = None
    assert worker.error("generate", **generate_args(0, "buffer/none"))["code"] == "out_of_memory"
    assert calls == [None]


def test_the_row_of_the_step_tells(worker: LocalWorker) -> None:
    assert "rollout_rows" not in run_step(worker, 0)
    with small_memory(cache_of_more_than(2), "generate"):
        assert run_step(worker, 1)["rollout_rows"] == 2
    assert run_step(worker, 2)["rollout_rows"] == 2


def test_it_is_in_the_checkpoint(worker: LocalWorker, cache_dir: Path, tmp_path: Path) -> None:
    worker.session.drawn_rows.lower("student", 2)
    worker.session.measure_halvings = Halvings(micro_batch=3)
    run_step(worker, 0)
    worker.call("stage_checkpoint", checkpoint="c", dir=str(tmp_path))
    files = worker.call("commit_checkpoint", checkpoint="c")["files"]
    other = LocalWorker(str(cache_dir))
    load_everything(other)
    other.call("restore", dir=str(tmp_path), files=files)
    assert other.session.drawn_rows.halved == {"student": 2}
    assert other.session.measure_halvings == Halvings(micro_batch=3)
    other.call("reset")
    assert other.session.measure_halvings == Halvings()
    assert other.session.drawn_rows.halved == {}
    other.close()


def test_a_configured_number_is_the_most_from_the_beginning(worker: LocalWorker) -> None:
    expected = drawn(worker, "buffer/whole")
    worker.call("configure", **{**worker.settings, "rollout_rows": 5})
    with small_memory(cache_of_more_than(5), "generate", "evaluate"):
        same_responses(drawn(worker, "buffer/five"), expected)
        evaluated(worker)
    assert worker.session.drawn_rows.halved == {}
    with small_memory(cache_of_more_than(3), "generate"):
        same_responses(drawn(worker, "buffer/three"), expected)
    assert worker.session.drawn_rows.most("student") == 3
    worker.call("configure", **{**worker.settings, "rollout_rows": 2})
    assert worker.session.drawn_rows.most("student") == 2


def measured(worker: LocalWorker, rows: list[int] = ROWS) -> Any:
    return worker.call(
        "measure", role="student", dataset="train", rows=rows, metrics=["forward_kl", "cross_entropy"]
    )


@pytest.mark.parametrize("positions", [25, 9, 2], ids=["rows", "single rows", "positions"])
def test_what_is_measured_does_not_depend_on_memory(
    worker: LocalWorker, monkeypatch: pytest.MonkeyPatch, positions: int
) -> None:
    expected = measured(worker)
    assert max(expected["tokens"]) == 9 and sum(expected["tokens"]) == 55
    attempts = []
    layout = measure._batches
    monkeypatch.setattr(measure, "_batches", lambda *args: attempts.append(args[-1]) or layout(*args))
    with small_memory(logits_of_more_than(positions), "measure"):
        found = measured(worker)
    assert len(attempts) > 1 and attempts[0] == Halvings()
    assert (attempts[-1].position_chunk > 0) == (positions < 9)
    assert found["tokens"] == expected["tokens"]
    for name, values in expected["values"].items():
        assert found["values"][name] == pytest.approx(values, rel=1e-4, abs=1e-6)
    assert worker.session.halvings == Halvings(), "training keeps its own"
    attempts.clear()
    with small_memory(logits_of_more_than(positions), "measure"):
        assert measured(worker) == found
    assert attempts == [worker.session.measure_halvings] != [Halvings()], "later ones do not fail first"


def test_measuring_what_does_not_fit_fails(worker: LocalWorker) -> None:
    with small_memory(logits_of_more_than(0), "measure"):
        error = worker.error("measure", role="student", dataset="train", rows=ROWS, metrics=["cross_entropy"])
    assert error["code"] == "out_of_memory"
