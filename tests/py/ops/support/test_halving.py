"""Memory that runs out: the same step in smaller pieces, remembered, or an error that leaves no trace."""

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from py_worker.losses.scored import ScoredBatch
from py_worker.models.decoder import DecoderPolicy
from py_worker.ops.support.halving import until_it_fits
from py_worker.session.context import OperationContext
from py_worker.session.session import Halvings
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import load_everything, run_step, term
from tests.py.ops.small_memory import logits_of_more_than, more_than, small_memory, times
from tests.py.ops.stepping import BATCH, critic_step, critic_weights, prepare, same, student_step, weights

STEP = ("score", "step_critic", "step_student")


@pytest.fixture
def undisturbed(cache_dir: Path) -> Any:
    """A session in which memory never runs out."""
    other = LocalWorker(str(cache_dir))
    load_everything(other)
    yield other
    other.close()


def held(worker: LocalWorker) -> ScoredBatch:
    return worker.session.handles.get(BATCH, ScoredBatch)


def near(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("graph", [False, True])
def test_a_pass_that_does_not_fit_is_cut_until_it_does(
    worker: LocalWorker, undisturbed: LocalWorker, graph: bool
) -> None:
    """A step of 8 rows where memory has room for 2, against one that was cut so from the beginning."""
    limit = 2 * 80 * 48  # The widest activation of the larger model, of two rows of 80 tokens.
    with small_memory(more_than(limit), *STEP):
        metrics = [run_step(worker, step, graph=graph) for step in range(2)]
    halvings = int(metrics[0]["micro_batch_halvings"])
    assert 1 <= halvings <= 3
    assert worker.session.halvings == Halvings(micro_batch=halvings)
    expected = [run_step(undisturbed, step, micro_batch=-(-8 // 2**halvings)) for step in range(2)]
    assert [step["micro_batch_halvings"] for step in metrics] == [halvings] * 2
    assert [step["micro_batches"] for step in metrics] == [step["micro_batches"] for step in expected]
    assert metrics[1]["padding"] == expected[1]["padding"], "the second step was laid out so by build"
    near(weights(worker), weights(undisturbed))
    for name in ("off", "on"):
        near(critic_weights(worker, name), critic_weights(undisturbed, name))
    for found, wanted in zip(metrics, expected, strict=True):
        assert found["loss"] == pytest.approx(wanted["loss"], rel=1e-4)


@pytest.mark.parametrize("student", ["values", "graph"])
def test_a_graph_that_was_half_used_is_run_again(
    worker: LocalWorker, undisturbed: LocalWorker, monkeypatch: pytest.MonkeyPatch, student: str
) -> None:
    prepare(undisturbed)
    undisturbed.call("step_student", **student_step())
    prepare(worker, student=student)
    left, rows = [1], []
    forward = DecoderPolicy.response_hidden
    monkeypatch.setattr(
        DecoderPolicy,
        "response_hidden",
        lambda policy, batch: rows.append(len(batch)) or forward(policy, batch),
    )

    def once(_: object) -> None:
        if left:
            left.pop()
            raise torch.OutOfMemoryError("no room")

    parameter = next(iter(worker.session.trained("student")[1].parameters.values()))
    hook = parameter.register_hook(once)
    assert worker.call("step_student", **student_step())["policy_version"] == 1
    hook.remove()
    assert rows == ([8, 4, 4] if student == "values" else [4, 4])
    assert worker.session.halvings == Halvings(micro_batch=1)
    near(weights(worker), weights(undisturbed))
    metrics = worker.call("end_step", step=0)["metrics"]
    assert (metrics["micro_batch_halvings"], metrics["micro_batches"]) == (1, 2)


def test_of_single_rows_the_chunks_get_shorter(worker: LocalWorker, undisturbed: LocalWorker) -> None:
    prepare(undisturbed, micro_batch=1)
    undisturbed.call("configure", **{**undisturbed.settings, "position_chunk": 2})
    undisturbed.call("step_student", **student_step())
    prepare(worker, micro_batch=1)
    with small_memory(logits_of_more_than(2), "step_student"):
        worker.call("step_student", **student_step())
    halvings = worker.session.halvings
    assert halvings.micro_batch == 0 and halvings.position_chunk > 0
    near(weights(worker), weights(undisturbed))
    metrics = worker.call("end_step", step=0)["metrics"]
    assert 1 <= metrics["position_chunk"] <= 2
    assert "micro_batch_halvings" not in metrics


def test_rows_come_before_positions(worker: LocalWorker) -> None:
    prepare(worker)
    with small_memory(logits_of_more_than(2), "step_student"):
        worker.call("step_student", **student_step())
    assert worker.session.halvings.micro_batch == 3
    assert worker.session.halvings.position_chunk > 0


def test_a_critic_s_step_takes_shorter_chunks(worker: LocalWorker, undisturbed: LocalWorker) -> None:
    """No pass of a model is in it: fewer rows would change nothing."""
    prepare(undisturbed)
    undisturbed.call("step_critic", **critic_step())
    prepare(worker)
    with small_memory(logits_of_more_than(5), "step_critic"):
        worker.call("step_critic", **critic_step())
    assert worker.session.halvings.micro_batch == 0
    for name in ("off", "on"):
        near(critic_weights(worker, name), critic_weights(undisturbed, name))
    metrics = worker.call("end_step", step=0)["metrics"]
    assert 1 <= metrics["position_chunk"] <= 5
    prepare(worker)
    with small_memory(logits_of_more_than(5), "step_critic"):
        worker.call("step_critic", **critic_step(turn=1))
    assert worker.call("end_step", step=0)["metrics"]["position_chunk"] == metrics["position_chunk"]


def test_a_critic_s_step_gives_the_student_s_graph_up_first(
    worker: LocalWorker, undisturbed: LocalWorker
) -> None:
    for other, refusals in ((undisturbed, 0), (worker, 1)):
        prepare(other, student="graph")
        with small_memory(times(refusals, logits_of_more_than(0)), "step_critic"):
            other.call("step_critic", **critic_step())
        assert held(other).student_hidden.requires_grad == (refusals == 0)
        other.call("step_student", **student_step())
    assert worker.session.halvings == Halvings(micro_batch=1)
    assert held(worker).batch.micro_rows == (4, 4)
    near(weights(worker), weights(undisturbed))
    near(critic_weights(worker, "on"), critic_weights(undisturbed, "on"))


def test_a_row_alone_keeps_no_graph_once_memory_ran_out(worker: LocalWorker) -> None:
    worker.session.halvings = Halvings(micro_batch=1)
    worker.call("build", out=BATCH, parts=[{"part": "off", "dataset": "train", "rows": [0]}])
    assert not worker.call("score", batch=BATCH, teacher=True, student="graph")["student_graph"]


@pytest.mark.parametrize("op", STEP)
@pytest.mark.parametrize("student", ["values", "graph"])
def test_where_nothing_fits_nothing_changes(
    worker: LocalWorker, undisturbed: LocalWorker, op: str, student: str
) -> None:
    args: dict[str, Any] = {
        "score": {"batch": BATCH, "teacher": True, "student": student},
        "step_critic": critic_step(),
        "step_student": student_step(),
    }
    prepare(worker, student=student)
    before, critic, states = weights(worker), critic_weights(worker, "on"), held(worker)
    with small_memory(more_than(10), op):
        error = worker.error(op, **args[op])
    assert (error["code"], error["applied"]) == ("out_of_memory", False)
    assert worker.session.halvings == Halvings()
    assert held(worker).batch is states.batch
    assert torch.equal(held(worker).student_hidden, states.student_hidden)
    assert torch.equal(held(worker).teacher_hidden, states.teacher_hidden)
    assert same(before, weights(worker)) and same(critic, critic_weights(worker, "on"))
    modules = [worker.session.role("student").policy.module, worker.session.critic("on").critic]
    assert all(p.grad is None for module in modules for p in module.parameters())
    prepare(undisturbed, student="values")
    for each in (worker, undisturbed):
        each.call(op, **args[op])
    assert same(weights(worker), weights(undisturbed))
    assert same(critic_weights(worker, "on"), critic_weights(undisturbed, "on"))


def test_fine_tuning_needs_no_score_to_be_cut(worker: LocalWorker, undisturbed: LocalWorker) -> None:
    parts = [{"part": "off", "dataset": "train", "rows": list(range(6))}]
    args = student_step(terms=[term("lm", "cross_entropy", "off")])
    for each, refusals in ((undisturbed, 0), (worker, 2)):
        each.call("build", out=BATCH, parts=parts)
        with small_memory(times(refusals, logits_of_more_than(0)), "step_student"):
            each.call("step_student", **args)
    assert worker.session.halvings == Halvings(micro_batch=2)
    near(weights(worker), weights(undisturbed))


def test_halvings_are_in_the_checkpoint(
    worker: LocalWorker, undisturbed: LocalWorker, tmp_path: Path
) -> None:
    worker.session.halvings = Halvings(micro_batch=2, position_chunk=6)
    run_step(worker, 0)
    worker.call("stage_checkpoint", checkpoint="c", dir=str(tmp_path))
    files = worker.call("commit_checkpoint", checkpoint="c")["files"]
    expected = run_step(worker, 1)
    assert (expected["micro_batch_halvings"], expected["micro_batches"]) == (2, 4)
    undisturbed.call("restore", dir=str(tmp_path), files=files)
    assert undisturbed.session.halvings == worker.session.halvings
    assert run_step(undisturbed, 1) == expected
    worker.call("reset")
    assert worker.session.halvings == Halvings()


ERRORS = [
    torch.OutOfMemoryError("no room"),
    MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("Triton Error [CUDA]: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
]


def attempt(worker: LocalWorker, compute: Any, *, context: OperationContext | None = None) -> Any:
    context = context or OperationContext(1, "score")
    return until_it_fits(worker.session, BATCH, context, compute, passes=True, chunks=True)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_every_way_to_run_out_is_met(worker: LocalWorker, error: Exception) -> None:
    prepare(worker)
    sizes = []

    def compute(scored: ScoredBatch, chunk: int | None) -> str:
        sizes.append((scored.batch.micro_batch_count, chunk))
        if len(sizes) < 5:
            raise error
        return "done"

    fitted = attempt(worker, compute)
    assert fitted.result == "done"
    longest = max(held(worker).batch.positions().counts)
    assert [count for count, _ in sizes] == [1, 2, 4, 8, 8]
    assert [chunk for _, chunk in sizes[:4]] == [None] * 4
    assert longest / 4 < sizes[4][1] < longest
    assert worker.session.halvings == Halvings(), "nothing is applied before the commit point"


@pytest.mark.parametrize("error", [ValueError("no"), RuntimeError("shape"), KeyError("x")], ids=str)
def test_other_errors_are_not_met(worker: LocalWorker, error: Exception) -> None:
    prepare(worker)
    calls = []

    def compute(_: ScoredBatch, __: int | None) -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        attempt(worker, compute)
    assert calls == [1]


def test_past_the_commit_point_nothing_is_repeated(worker: LocalWorker) -> None:
    prepare(worker)
    context, calls = OperationContext(1, "score"), []

    def compute(_: ScoredBatch, __: int | None) -> None:
        calls.append(1)
        context.commit()
        raise ERRORS[0]

    with pytest.raises(torch.OutOfMemoryError):
        attempt(worker, compute, context=context)
    assert calls == [1]


def test_what_an_attempt_held_is_free_in_the_next(worker: LocalWorker) -> None:
    """The failed attempt's tensors, and the graph that scoring kept."""
    prepare(worker, student="graph")
    left = [weakref.ref(held(worker).student_hidden)]
    alive = []

    def compute(_: ScoredBatch, __: int | None) -> None:
        if len(left) > 1:
            alive.extend(reference() for reference in left)
            return
        activations = torch.zeros(8)
        left.append(weakref.ref(activations))
        raise torch.OutOfMemoryError("no room")

    attempt(worker, compute)
    assert alive == [None, None]
    assert not held(worker).student_hidden.requires_grad


def test_it_ends_with_one_row_and_one_position(worker: LocalWorker) -> None:
    prepare(worker)
    sizes = []

    def compute(scored: ScoredBatch, chunk: int | None) -> None:
        sizes.append((scored.batch.micro_batch_count, chunk))
        raise ERRORS[0]

    with pytest.raises(torch.OutOfMemoryError):
        attempt(worker, compute)
    assert sizes[-1] == (8, 1)
    assert len(set(sizes)) == len(sizes) < 10
