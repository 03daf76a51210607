"""Steps that fail: every weight, moment, version and gradient stays as it was."""

import importlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from py_worker.losses.scored import ScoredBatch
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import AMMD_TERMS, load_everything, run_step, step_requests, term
from tests.py.ops.stepping import BATCH, critic_step, critic_weights, prepare, same, student_step, weights


def test_an_update_that_is_not_finite_is_skipped(worker: LocalWorker) -> None:
    run_step(worker, 0)
    worker.session.handles.clear()
    before = weights(worker)
    moments = {k: v.clone() for k, v in worker.session.trained("student")[1].state_tensors().items()}
    prepare(worker)
    scored = worker.session.handles.get(BATCH, ScoredBatch)
    scored.teacher_hidden.fill_(math.nan)
    worker.call("step_student", **student_step())
    metrics = worker.call("end_step", step=0)["metrics"]
    assert metrics["skipped"] == 1.0
    assert math.isnan(metrics["gradient_norm"])
    assert same(before, weights(worker))
    assert same(moments, worker.session.trained("student")[1].state_tensors())
    assert run_step(worker, 1)["skipped"] == 0.0


def unknown(args: dict[str, Any]) -> dict[str, Any]:
    return {**args, "terms": [term("x", "nonsense", "off")]}


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (unknown, "invalid_argument", "nonsense"),
        (lambda a: {**a, "terms": [term("x", "moment", "off", critic="third")]}, "not_loaded", "third"),
        (lambda a: {**a, "terms": [term("x", "moment", "off")]}, "invalid_argument", "critic"),
        (
            lambda a: {**a, "terms": [{**AMMD_TERMS[2], "params": {"colour": 1}}]},
            "invalid_argument",
            "colour",
        ),
        (lambda a: {**a, "terms": [term("x", "cross_entropy", "onn")]}, "invalid_argument", "'onn'"),
        (lambda a: {**a, "batch": "step:0/none"}, "unknown_handle", "step:0/none"),
        (lambda a: {**a, "lr": -1}, "invalid_argument", "$.lr"),
    ],
)
@pytest.mark.parametrize("student", ["values", "graph"])
def test_a_student_s_step_that_fails_changes_nothing(
    worker: LocalWorker, change: Callable[[Any], Any], code: str, words: str, student: str
) -> None:
    prepare(worker, student=student)
    before = weights(worker)
    error = worker.error("step_student", **change(student_step()))
    assert (error["code"], error["applied"]) == (code, False)
    assert words in error["message"]
    assert same(before, weights(worker))
    assert worker.session.role("student").version == 0
    assert worker.call("step_student", **student_step())["policy_version"] == 1


@pytest.mark.parametrize("student", ["values", "graph"])
def test_a_failure_in_the_middle_of_backward_leaves_no_trace(
    worker: LocalWorker, cache_dir: Path, student: str
) -> None:
    """Compared with a session in which the failure never happened."""
    untouched = LocalWorker(str(cache_dir))
    load_everything(untouched)
    prepare(untouched, student="values")
    untouched.call("step_student", **student_step())

    prepare(worker, student=student)
    optimizer = worker.session.trained("student")[1]

    def out_of_memory(_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    hook = next(iter(optimizer.parameters.values())).register_hook(out_of_memory)
    error = worker.error("step_student", **student_step())
    hook.remove()
    assert (error["code"], error["applied"]) == ("out_of_memory", False)
    assert all(p.grad is None for p in optimizer.parameters.values())
    worker.call("step_student", **student_step())
    assert same(weights(untouched), weights(worker))
    untouched.close()


def defect(*_: object, **__: object) -> None:
    list(zip([1], [], strict=True))


def defective(worker: LocalWorker, request: str) -> dict[str, Any]:
    """The error of a request in whose pass something of ours is wrong."""
    if request == "score":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker.session.role("student").policy, "response_hidden", defect)
            return worker.error("score", batch=BATCH, teacher=False, student="values")
    ascends = request == "step_critic"
    trained = worker.session.critic("off") if ascends else worker.session.role("student")
    hook = next(iter(trained.optimizer.parameters.values())).register_hook(defect)
    try:
        return worker.error(request, **(critic_step() if ascends else student_step()))
    finally:
        hook.remove()


@pytest.mark.parametrize("request_", ["score", "step_critic", "step_student"])
def test_a_defect_within_a_pass_is_nobody_s_argument(worker: LocalWorker, request_: str) -> None:
    prepare(worker)
    error = defective(worker, request_)
    assert (error["code"], error["applied"]) == ("internal", False)
    assert error["message"].startswith("ValueError: zip()")


def test_a_wrong_term_is_told_in_its_own_words(worker: LocalWorker) -> None:
    prepare(worker)
    error = worker.error("step_student", **student_step(terms=[term("kd", "jsd", "off", params={"beta": 2})]))
    assert error["code"] == "invalid_argument"
    assert error["message"] == "term 'kd': beta of objective 'jsd' must lie in [0, 1], not 2"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"updates": [{"critic": "third", "part": "off"}]}, "not_loaded"),
        ({"updates": [{"critic": "off", "part": "off"}] * 2}, "invalid_argument"),
        ({"updates": [{"critic": "off", "part": "onn"}]}, "invalid_argument"),
        ({"batch": "step:0/none"}, "unknown_handle"),
    ],
)
def test_a_critic_s_step_that_fails_changes_nothing(worker: LocalWorker, changes: Any, code: str) -> None:
    prepare(worker)
    before = critic_weights(worker, "off")
    assert worker.error("step_critic", **critic_step(**changes))["code"] == code
    assert same(before, critic_weights(worker, "off"))
    assert all(p.grad is None for p in worker.session.critic("off").critic.parameters())


def test_critics_need_both_policies_scored(worker: LocalWorker) -> None:
    prepare(worker, teacher=False)
    before = critic_weights(worker, "off")
    error = worker.error("step_critic", **critic_step())
    assert error["code"] == "invalid_argument"
    assert "both" in error["message"]
    assert same(before, critic_weights(worker, "off"))


@pytest.mark.parametrize("op", ["step_student", "step_critic", "score"])
def test_an_operation_is_cancelled_between_micro_batches(
    worker: LocalWorker, monkeypatch: pytest.MonkeyPatch, op: str
) -> None:
    prepare(worker, micro_batch=2)
    before, critic = weights(worker), critic_weights(worker, "off")
    name = {"step_student": "student_backward", "step_critic": "critic_backward", "score": "score_batch"}[op]
    module = importlib.import_module(f"py_worker.ops.{op}")
    compute = getattr(module, name)

    def cancel_on_the_way(*args: Any, **options: Any) -> Any:
        worker.cancel(worker.last_id)
        return compute(*args, **options)

    monkeypatch.setattr(module, name, cancel_on_the_way)
    args = {
        "step_student": student_step(),
        "step_critic": critic_step(),
        "score": {"batch": BATCH, "teacher": True, "student": "values"},
    }
    error = worker.error(op, **args[op])
    assert (error["code"], error["applied"]) == ("cancelled", False)
    assert same(before, weights(worker))
    assert same(critic, critic_weights(worker, "off"))
    monkeypatch.undo()
    worker.call(op, **args[op])


class FailingOptimizer:
    """Raises within AdamW's own step, when it is called for the `after`-th time."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.step = torch.optim.AdamW.step

    def __call__(self, adamw: Any, *args: Any, **options: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise torch.OutOfMemoryError("no room")
        return self.step(adamw, *args, **options)


@pytest.mark.parametrize(("op", "after"), [("step_student", 1), ("step_critic", 1), ("step_critic", 2)])
def test_a_restore_undoes_an_update_that_failed(
    worker: LocalWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, op: str, after: int
) -> None:
    """The steps after it are those of a session in which the failure never happened."""
    run_step(worker, 0)
    worker.call("stage_checkpoint", checkpoint="c", dir=str(tmp_path))
    files = worker.call("commit_checkpoint", checkpoint="c")["files"]
    expected = run_step(worker, 1)
    worker.call("restore", dir=str(tmp_path), files=files)
    prepare(worker)
    failing = FailingOptimizer(after)
    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", lambda *args, **options: failing(*args, **options))
        args = student_step() if op == "step_student" else critic_step()
        error = worker.error(op, **args)
    assert (error["code"], error["applied"]) == ("out_of_memory", True)
    modules = [
        worker.session.role("student").policy.module,
        *(c.critic for c in worker.session.critics.values()),
    ]
    assert all(p.grad is None for module in modules for p in module.parameters())
    worker.call("restore", dir=str(tmp_path), files=files)
    assert run_step(worker, 1) == expected


def test_a_restore_drops_gradients(worker: LocalWorker, tmp_path: Path) -> None:
    worker.call("stage_checkpoint", checkpoint="c", dir=str(tmp_path))
    files = worker.call("commit_checkpoint", checkpoint="c")["files"]
    parameters = list(worker.session.role("student").policy.module.parameters())
    parameters[0].grad = torch.ones_like(parameters[0])
    worker.call("restore", dir=str(tmp_path), files=files)
    assert all(p.grad is None for p in parameters)


def test_metrics_of_a_step_that_failed_are_not_in_the_next(worker: LocalWorker) -> None:
    prepare(worker)
    worker.call("step_critic", **critic_step())
    worker.error("step_student", **unknown(student_step()))
    for op, args in step_requests(1, turns=0)[:-1]:
        worker.call(op, **args)
    metrics = worker.call("end_step", step=1)["metrics"]
    assert "loss" in metrics
    assert not [name for name in metrics if name.startswith("critic/")]
