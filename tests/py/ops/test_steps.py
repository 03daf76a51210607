"""Steps of critics and student through the loop."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from py_worker.losses.scored import ScoredBatch
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.read_back import no_read_back, watch_steps
from tests.py.ops.scene import (
    ADAMW,
    critic_spec,
    data_source,
    load_everything,
    load_student,
    model,
    run_step,
    step_requests,
    term,
)
from tests.py.ops.stepping import BATCH, critic_step, critic_weights, prepare, same, student_step, weights

STEPS = 5
LAYOUT = {"micro_batches", "padding"}


def run_of(cache_dir: Path, **options: Any) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    worker = LocalWorker(str(cache_dir))
    load_everything(worker)
    try:
        return [run_step(worker, step, **options) for step in range(STEPS)], weights(worker)
    finally:
        worker.close()


@pytest.fixture(scope="module")
def reference(cache_dir: Path) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    return run_of(cache_dir)


def test_a_run_repeats_bit_for_bit(cache_dir: Path, reference: Any) -> None:
    metrics, final = run_of(cache_dir)
    assert metrics == reference[0]
    assert same(final, reference[1])
    assert metrics[0] != metrics[-1]
    assert all(math.isfinite(value) for step in metrics for value in step.values())


@pytest.mark.parametrize(
    "options",
    [
        {"micro_batch": 3},
        {"micro_batch": 1},
        {"micro_tokens": 100},
        {"graph": True},
        {"packing": True},
        {"packing": True, "micro_tokens": 100, "graph": True},
    ],
    ids=str,
)
def test_how_a_step_is_cut_changes_rounding_only(cache_dir: Path, reference: Any, options: Any) -> None:
    metrics, final = run_of(cache_dir, **options)
    for found, expected in zip(metrics, reference[0], strict=True):
        assert found.keys() == expected.keys()
        for name in expected.keys() - LAYOUT:
            value = expected[name]
            assert found[name] == pytest.approx(value, rel=2e-3, abs=2e-4), name
    for name, value in reference[1].items():
        torch.testing.assert_close(final[name], value, rtol=2e-3, atol=2e-4)


def test_a_step_reports_losses_gaps_and_distances(reference: Any) -> None:
    names = set(reference[0][0])
    assert {"loss", "loss_off", "loss_on", "loss_kd", "gradient_norm", "skipped"} <= names
    assert {"tv_off", "tv_on", "forward_kl_on", "student_entropy_off", "length_off", "length_on"} <= names
    for critic in ("off", "on"):
        for metric in ("gap", "tightness", "gradient_norm", "skipped", "gap_last"):
            assert f"critic/{critic}/{metric}" in names


def test_the_critic_climbs_within_a_step(reference: Any) -> None:
    last = reference[0][-1]
    assert last["critic/off/gap_last"] > last["critic/off/gap"]


def test_without_diagnostics_a_step_reports_less(cache_dir: Path) -> None:
    metrics, _ = run_of(cache_dir, diagnostics=False)
    assert "tv_off" not in metrics[0]
    assert "critic/off/tightness" not in metrics[0]
    assert metrics[0]["loss"] != 0


@pytest.mark.parametrize(
    ("options", "of_student"), [({"graph": True}, 1), ({}, 2), ({"micro_batch": 4}, 4)], ids=str
)
def test_each_model_goes_over_a_batch_once(
    worker: LocalWorker, options: dict[str, Any], of_student: int
) -> None:
    """Whatever critics' turns, terms and diagnostics. Without its graph the student runs again to learn."""
    passes = {"teacher": 0, "student": 0}

    def counted(role: str) -> Callable[..., None]:
        def hook(*_arguments: Any) -> None:
            passes[role] += 1

        return hook

    bodies = {role: worker.session.role(role).policy.module.base_model for role in passes}
    handles = [body.register_forward_hook(counted(role)) for role, body in bodies.items()]
    requests = step_requests(0, turns=3, diagnostics=True, **options)
    try:
        for op, args in requests:
            if op == "build":
                assert passes == {"teacher": 0, "student": 0}, "responses are drawn without it"
            worker.call(op, **args)
    finally:
        for handle in handles:
            handle.remove()
    micro_batches = of_student // 2 if not options.get("graph") else 1
    assert passes == {"teacher": micro_batches, "student": of_student}


def test_handles_and_memory_of_steps_stay_constant(worker: LocalWorker) -> None:
    usage = []
    for step in range(4):
        for op, args in step_requests(step)[:-1]:
            worker.call(op, **args)
        before = worker.call("report_memory")["handles"]
        after = worker.call("end_step", step=step)["handles"]
        usage.append((before[0]["count"], [(scope["count"], scope["bytes"]) for scope in after]))
    assert usage == [(2, [(0, 0)] * 3)] * 4


def test_metrics_of_a_step_are_taken_once(worker: LocalWorker) -> None:
    assert run_step(worker, 0)
    assert worker.call("end_step", step=0)["metrics"] == {}


def test_a_student_s_step_counts_versions(worker: LocalWorker) -> None:
    prepare(worker)
    before = weights(worker)
    assert worker.call("step_student", **student_step())["policy_version"] == 1
    assert not same(before, weights(worker))
    prepare_again = worker.call("end_step", step=0)
    assert prepare_again["metrics"]["loss"] != 0
    prepare(worker)
    assert worker.call("step_student", **student_step())["policy_version"] == 2


def test_hidden_states_of_older_weights_go(worker: LocalWorker) -> None:
    prepare(worker)
    worker.call("step_student", **student_step())
    scored = worker.session.handles.get(BATCH, ScoredBatch)
    assert scored.student_hidden is None
    assert scored.teacher_hidden is not None
    error = worker.error("step_critic", **critic_step())
    assert error["code"] == "invalid_argument"


def test_each_critic_sees_its_own_part(worker: LocalWorker) -> None:
    prepare(worker)
    off, on = critic_weights(worker, "off"), critic_weights(worker, "on")
    worker.call("step_critic", **critic_step(updates=[{"critic": "on", "part": "on"}]))
    assert same(off, critic_weights(worker, "off"))
    assert not same(on, critic_weights(worker, "on"))


def test_a_student_without_optimizer_is_not_trained(empty: LocalWorker) -> None:
    empty.call("configure", **empty.settings)
    empty.call("load_role", role="student", model=model(2), gradient_checkpointing=False)
    empty.call("register_data", dataset="train", source=data_source())
    empty.call("build", out=BATCH, parts=[{"part": "off", "dataset": "train", "rows": [0]}])
    error = empty.error("step_student", **student_step(terms=[term("lm", "cross_entropy", "off")]))
    assert error["code"] == "not_loaded"
    assert "optimizer" in error["message"]


def test_fine_tuning_needs_neither_teacher_nor_score(empty: LocalWorker) -> None:
    empty.call("configure", **empty.settings)
    load_student(empty)
    empty.call("register_data", dataset="train", source=data_source())
    losses = []
    for step in range(6):
        batch = f"step:{step}/batch"
        empty.call("build", out=batch, parts=[{"part": "off", "dataset": "train", "rows": list(range(8))}])
        args = student_step(step=step, batch=batch, terms=[term("lm", "cross_entropy", "off")], lr=1e-2)
        empty.call("step_student", **args)
        losses.append(empty.call("end_step", step=step)["metrics"]["loss"])
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize("graph", [False, True])
def test_nothing_on_the_training_path_waits_for_the_device(
    worker: LocalWorker, monkeypatch: pytest.MonkeyPatch, graph: bool
) -> None:
    watch_steps(monkeypatch)
    for step in range(2):
        run_step(worker, step, graph=graph, **({} if graph else {"micro_batch": 3}))


READS: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda t: t.sum().item(),
    "condition": lambda t: bool(t.sum() > 0),
    "cpu": lambda t: t.cpu(),
    "tolist": lambda t: t.tolist(),
    "numpy": lambda t: t.numpy(),
    "array": np.asarray,
    "equal": lambda t: torch.equal(t, t),
    "allclose": lambda t: torch.allclose(t, t),
    "nonzero": torch.nonzero,
    "mask": lambda t: t[t > 0],
    "masked assignment": lambda t: t.__setitem__(t > 0, torch.zeros(3)),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_the_watch_would_notice(read: Callable[[Tensor], Any]) -> None:
    with pytest.raises(AssertionError, match="reads a value back"), no_read_back():
        read(torch.ones(3))
    read(torch.ones(3))


def run_of_variant(cache_dir: Path, precision: dict[str, str], checkpointing: bool) -> list[dict[str, float]]:
    worker = LocalWorker(str(cache_dir))
    worker.call("configure", **worker.settings)
    teacher = {**model(1, hidden=24), "dtype": precision.get("compute_dtype", "float32")}
    worker.call("load_role", role="teacher", model=teacher, gradient_checkpointing=False)
    worker.call(
        "load_role",
        role="student",
        model={**model(2), **precision},
        optimizer=ADAMW,
        gradient_checkpointing=checkpointing,
    )
    worker.call("register_data", dataset="train", source=data_source())
    for name, seed in (("off", 11), ("on", 12)):
        worker.call("load_critic", critic=name, spec=critic_spec(seed=seed), optimizer=ADAMW)
    assert all(check["ok"] for check in worker.call("preflight", dataset="train", rows=[0, 1])["checks"])
    metrics = [run_step(worker, step) for step in range(2)]
    dtypes = {p.dtype for p in worker.session.role("student").policy.module.parameters()}
    moments = {m.dtype for m in worker.session.trained("student")[1].state_tensors().values()}
    assert dtypes == moments == {torch.float32}
    worker.close()
    return metrics


def test_recomputed_activations_change_nothing(cache_dir: Path, reference: Any) -> None:
    assert run_of_variant(cache_dir, {}, True) == reference[0][:2]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_products_in_half_precision_train_weights_in_full(
    cache_dir: Path, reference: Any, checkpointing: bool, dtype: str
) -> None:
    metrics = run_of_variant(cache_dir, {"compute_dtype": dtype}, checkpointing)
    scale = {"loss_scale": 65536.0} if dtype == "float16" else {}
    assert all({n: v for n, v in step.items() if n == "loss_scale"} == scale for step in metrics)
    assert metrics[1]["gradient_norm"] == pytest.approx(reference[0][1]["gradient_norm"], rel=0.1)
    assert all(math.isfinite(value) for step in metrics for value in step.values())
    assert metrics[0]["loss_kd"] != reference[0][0]["loss_kd"]
    assert metrics[0]["loss_kd"] == pytest.approx(reference[0][0]["loss_kd"], rel=0.05)
