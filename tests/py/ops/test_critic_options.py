"""Options of critics and optimizers through the loop: honoured, skipped together, saved and restored."""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor

from py_worker import protocol_gen as wire
from py_worker.losses.scored import ScoredBatch
from py_worker.models.spec import CriticSpec, OptimizerSpec
from py_worker.session.session_state import take_snapshot
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.read_back import watch_steps
from tests.py.ops.scene import ADAMW, critic_spec, data_source, load_teacher, model, run_step
from tests.py.ops.stepping import BATCH, critic_step, critic_weights, prepare, same, weights

OPTIMISTIC = {**ADAMW, "optimistic": True}
EVERYTHING = {"spectral_norm": True, "gradient_penalty": 2.0, "target_decay": 0.7}

Load = Callable[..., LocalWorker]


@pytest.fixture
def load(cache_dir: Path) -> Iterator[Load]:
    """Makes sessions whose critics and optimizers have the given options."""
    workers = []

    def make(adamw: dict[str, Any] = ADAMW, **options: Any) -> LocalWorker:
        worker = LocalWorker(str(cache_dir))
        workers.append(worker)
        worker.call("configure", **worker.settings)
        load_teacher(worker)
        worker.call(
            "load_role", role="student", model=model(2), optimizer=adamw, gradient_checkpointing=False
        )
        worker.call("register_data", dataset="train", source=data_source())
        for name, seed in (("off", 11), ("on", 12)):
            spec = critic_spec(seed=seed, **options)
            worker.call("load_critic", critic=name, spec=spec, optimizer=adamw)
        return worker

    yield make
    for worker in workers:
        worker.close()


def state_of(worker: LocalWorker) -> dict[str, Tensor]:
    """All that a checkpoint holds, by file and name."""
    groups = take_snapshot(worker.session).tensors.items()
    return {f"{group}/{name}": tensor for group, tensors in groups for name, tensor in tensors.items()}


@pytest.mark.parametrize(("struct", "spec"), [(wire.CriticSpec, CriticSpec), (wire.Optimizer, OptimizerSpec)])
def test_every_field_of_the_contract_has_its_own_in_the_specification(struct: Any, spec: Any) -> None:
    sent = {field.name for field in msgspec.structs.fields(struct)}
    assert sent == {field.name for field in dataclasses.fields(spec)}


def test_what_is_sent_is_what_the_critic_is_made_from(load: Load) -> None:
    sent = critic_spec(gradient_penalty_target=0.2, **EVERYTHING)
    worker = load(gradient_penalty_target=0.2, **EVERYTHING)
    assert worker.session.critic("off").critic.spec == CriticSpec(**sent)
    assert load().session.critic("off").critic.spec == CriticSpec(**critic_spec())


def test_spectral_norm_is_honoured(load: Load) -> None:
    worker = load(spectral_norm=True)
    assert worker.session.critic("off").average is None
    prepare(worker)
    head = worker.session.critic("off").critic.head
    norms = copy.deepcopy([layer.parametrizations.weight[0] for layer in (head.inner, head.outer)])
    worker.call("step_critic", **critic_step())
    for layer, norm in zip((head.inner, head.outer), norms, strict=True):
        assert float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) == pytest.approx(1.0, abs=0.1)
        # Its vectors have moved from where they were by exactly one advance, on the new weights.
        norm.advance(layer.parametrizations.weight.original, torch.ones(()))
        assert torch.equal(norm.left, layer.parametrizations.weight[0].left)
    free = load().session.critic("off").critic.head
    assert float(torch.linalg.matrix_norm(free.inner.weight.detach(), 2)) > 1.5


def test_the_gradient_penalty_is_honoured(load: Load) -> None:
    plain = run_step(load(), 0)
    assert not [name for name in plain if "gradient_penalty" in name]
    metrics = [
        run_step(load(gradient_penalty=weight, gradient_penalty_target=target), 0)
        for weight, target in ((3.0, 0.0), (6.0, 0.0), (3.0, 9.0))
    ]
    for critic in ("off", "on"):
        first, double, far = (values[f"critic/{critic}/gradient_penalty"] for values in metrics)
        assert double == pytest.approx(2 * first)
        assert far > 3.0 * 8.0**2
        norms = {values[f"critic/{critic}/feature_gradient_norm"] for values in metrics}
        assert len(norms) == 1 and 0.0 < norms.pop() < 1.0
        assert all(values[f"critic/{critic}/gap"] == plain[f"critic/{critic}/gap"] for values in metrics)
        assert metrics[2][f"critic/{critic}/gap_last"] != plain[f"critic/{critic}/gap_last"]


def test_optimism_is_honoured_for_critics_and_student(load: Load) -> None:
    plain, optimistic = load(), load(OPTIMISTIC)
    # One turn from the same start: the first optimistic update is twice the plain one.
    starts = weights(plain), critic_weights(plain, "off")
    for worker in (plain, optimistic):
        prepare(worker)
        worker.call("step_critic", **critic_step())
    for name, start in starts[1].items():
        moves = [critic_weights(worker, "off")[name] - start for worker in (plain, optimistic)]
        torch.testing.assert_close(moves[1], 2 * moves[0], rtol=1e-4, atol=1e-6)
    for worker in (plain, optimistic):
        keys = worker.session.trained("student")[1].state_tensors()
        assert any(key.endswith(".update") for key in keys) == (worker is optimistic)


def test_the_student_sees_the_average_and_the_metrics_the_critic(load: Load) -> None:
    frozen = load(target_decay=1.0)
    metrics = run_step(frozen, 0)
    # The average still is the first critic: the term's mean gap is that of the first turn.
    for name in ("off", "on"):
        assert metrics[f"critic/{name}/gap_last"] > metrics[f"critic/{name}/gap"]
        assert metrics[f"loss_{name}"] == pytest.approx(metrics[f"critic/{name}/gap"], rel=1e-5, abs=1e-7)
    untrained = load()
    run_step(untrained, 0, turns=0)
    assert same(weights(frozen), weights(untrained))
    assert not same(critic_weights(frozen, "off"), critic_weights(untrained, "off"))


def test_an_average_that_decays_at_once_is_the_critic(load: Load) -> None:
    plain, averaged = load(), load(target_decay=0.0)
    assert [run_step(plain, step) for step in range(2)] == [run_step(averaged, step) for step in range(2)]
    assert same(weights(plain), weights(averaged))


def test_the_average_moves_once_a_turn(load: Load) -> None:
    worker = load(target_decay=0.75)
    trained = worker.session.critic("off")
    assert trained.for_student is trained.average
    prepare(worker)
    expected = critic_weights(worker, "off")
    for turn in range(3):
        worker.call("step_critic", **critic_step(turn=turn))
        now = critic_weights(worker, "off")
        expected = {name: 0.75 * mean + 0.25 * now[name] for name, mean in expected.items()}
        for name, parameter in trained.for_student.named_parameters():
            torch.testing.assert_close(parameter, expected[name], rtol=1e-5, atol=1e-7)
            assert not parameter.requires_grad


def test_an_average_shares_the_teacher_s_table(load: Load) -> None:
    trained = load(target_decay=0.5).session.critic("off")
    tables = [critic.head.embedding.data_ptr() for critic in (trained.critic, trained.for_student)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("chunk", [1, 5])
def test_chunks_of_a_critic_s_step_change_rounding_only(load: Load, chunk: int) -> None:
    whole, chunked = load(**EVERYTHING), load(**EVERYTHING)
    chunked.call("configure", **{**chunked.settings, "position_chunk": chunk})
    for step in range(2):
        expected = run_step(whole, step)
        for name, value in run_step(chunked, step).items():
            assert value == pytest.approx(expected[name], rel=2e-3, abs=2e-4), name


def test_an_update_that_is_skipped_moves_nothing_that_follows_it(load: Load) -> None:
    worker = load(OPTIMISTIC, **EVERYTHING)
    run_step(worker, 0)
    worker.session.handles.clear()
    before = state_of(worker)
    prepare(worker)
    worker.session.handles.get(BATCH, ScoredBatch).teacher_hidden.fill_(math.nan)
    worker.call("step_critic", **critic_step())
    metrics = worker.call("end_step", step=0)["metrics"]
    assert metrics["critic/off/skipped"] == metrics["critic/on/skipped"] == 1.0
    assert same(before, state_of(worker))
    assert run_step(worker, 1)["critic/off/skipped"] == 0.0


def test_a_critic_that_begins_as_its_best_answer_does_not_step_on_rounding(load: Load) -> None:
    """Until the student moves its gradient is rounding errors, of which AdamW would make a whole step."""
    worker = load(head="policy", form="ratio", features="student", bound="mixture", bound_value=2.0)
    before = state_of(worker)
    prepare(worker)
    worker.call("step_critic", **critic_step())
    metrics = worker.call("end_step", step=0)["metrics"]
    for name in ("off", "on"):
        assert metrics[f"critic/{name}/optimality"] == pytest.approx(1.0)
        assert metrics[f"critic/{name}/skipped"] == 0.0
        assert 0.0 < metrics[f"critic/{name}/gradient_norm"] < 1e-5 * metrics[f"critic/{name}/objective"]
    assert same(before, state_of(worker))
    run_step(worker, 1)  # moves the student
    weights_before = critic_weights(worker, "off")
    run_step(worker, 2)
    assert not same(weights_before, critic_weights(worker, "off"))


def test_no_option_waits_for_the_device(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = load(OPTIMISTIC, **EVERYTHING)
    watch_steps(monkeypatch)
    for step in range(2):
        run_step(worker, step)


OPTIONS: dict[str, dict[str, Any]] = {
    "optimistic": {"adamw": OPTIMISTIC},
    "spectral norm": {"spectral_norm": True},
    "average": {"target_decay": 0.7},
    "student features": {"target_decay": 0.7, "features": "student", "spectral_norm": True},
    "all": {"adamw": OPTIMISTIC, "bound": "mixture", "bound_value": 2.0, **EVERYTHING},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_a_restored_session_goes_on_bit_for_bit(load: Load, tmp_path: Path, options: dict[str, Any]) -> None:
    worker = load(**options)
    for step in range(2):
        run_step(worker, step)
    worker.call("stage_checkpoint", checkpoint="c", dir=str(tmp_path))
    files = worker.call("commit_checkpoint", checkpoint="c")["files"]
    saved = state_of(worker)
    later = [run_step(worker, step) for step in range(2, 4)]

    other = load(**options)
    run_step(other, 9)  # a past of its own
    other.call("restore", dir=str(tmp_path), files=files)
    assert same(saved, state_of(other))
    assert [run_step(other, step) for step in range(2, 4)] == later
    assert same(state_of(worker), state_of(other))


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("optimistic", ".update"),
        ("spectral norm", "parametrizations"),
        ("average", "critic.off.average"),
    ],
)
def test_a_checkpoint_without_an_option_s_state_is_refused(
    load: Load, tmp_path: Path, name: str, missing: str
) -> None:
    plain, other = load(), load(**OPTIONS[name])
    plain.call("stage_checkpoint", checkpoint="c", dir=str(tmp_path))
    files = plain.call("commit_checkpoint", checkpoint="c")["files"]
    before = state_of(other)
    error = other.error("restore", dir=str(tmp_path), files=files)
    assert (error["code"], error["applied"]) == ("checkpoint_error", False)
    assert missing in error["message"]
    assert same(before, state_of(other))
