"""The prediction of a session's memory, against what the session holds and the allocator's events."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
import torch

from py_worker.losses import rehearsal
from py_worker.ops import predict_memory
from py_worker.ops.support import memory_phases
from py_worker.protocol_gen import PredictMemoryArgs
from py_worker.session import host_memory
from py_worker.session.session_state import take_snapshot
from tests.py.ops.local_worker import LocalWorker, on_a_cpu_alone
from tests.py.ops.scene import (
    ADAMW,
    AMMD_TERMS,
    SAMPLING,
    critic_spec,
    data_source,
    load_everything,
    load_teacher,
    model,
    run_step,
)
from tests.py.ops.test_background_rollouts import AHEAD, background_args, force

UPDATES = [{"critic": "off", "part": "off"}, {"critic": "on", "part": "on"}]


def planned(**changes: Any) -> dict[str, Any]:
    return {
        "parts": [
            {"part": "off", "dataset": "train", "rows": 4},
            {"part": "on", "dataset": "train", "rows": 4, "max_new_tokens": 9},
        ],
        "micro_batch": 4,
        "teacher": True,
        "student": "values",
        "updates": UPDATES,
        "terms": AMMD_TERMS,
        "diagnostics": True,
        "rollouts": [],
        "checkpoints": False,
        "rehearse": True,
        **changes,
    }


def args_of(args: dict[str, Any]) -> PredictMemoryArgs:
    return msgspec.convert(args, PredictMemoryArgs)


def predict(worker: LocalWorker, **changes: Any) -> tuple[dict[str, dict[str, int]], dict[str, Any]]:
    result = worker.call("predict_memory", **planned(**changes))
    return {phase["name"]: phase["items"] for phase in result["phases"]}, result


def nbytes(tensors: Any) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def test_weights_are_those_that_are_loaded(worker):
    phases, result = predict(worker, rehearse=False)
    session = worker.session
    roles = session.roles
    assert list(phases) == ["scoring", "critics", "student", "update", "checkpoint"]
    items = phases["student"]
    for name in ("teacher", "student"):
        module = roles[name].policy.module
        assert items[name] == nbytes(module.parameters()) + nbytes(module.buffers())
    trained = nbytes(roles["student"].policy.module.parameters())
    assert items["gradients"] == trained
    assert items["optimizer"] == pytest.approx(2 * trained, rel=0.01)
    # The table of the bilinear head is the teacher's own.
    own = sum(nbytes(critic.critic.parameters()) for critic in session.critics.values())
    assert items["critics"] == pytest.approx(3 * own, rel=0.05)
    assert result["peak_bytes"] == max(sum(phase.values()) for phase in phases.values())
    assert "missing" not in result


def test_phases_that_do_not_happen_are_left_out(worker):
    terms = [{**AMMD_TERMS[2], "objective": "cross_entropy"}]
    phases = predict(worker, teacher=False, student="none", updates=[], terms=terms)[0]
    assert list(phases) == ["student", "update", "checkpoint"]


def test_without_a_rehearsal_it_is_a_lower_bound(worker):
    bound, rehearsed = predict(worker, rehearse=False)[1], predict(worker)[1]
    assert bound["peak_bytes"] < rehearsed["peak_bytes"]


def test_the_longest_rows_count(worker):
    dataset = worker.session.datasets["train"]
    lengths = sorted(map(sum, dataset.lengths()), reverse=True)
    widths = []
    forward = type(worker.session.roles["student"].policy).forward_hidden

    def watched(policy, tokens):
        widths.append(tuple(tokens.shape))
        return forward(policy, tokens)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(worker.session.roles["student"].policy), "forward_hidden", watched)
        predict(
            worker,
            parts=[{"part": "off", "dataset": "train", "rows": 6}],
            updates=UPDATES[:1],
            terms=AMMD_TERMS[:1],
        )
    assert max(widths, key=lambda shape: shape[1]) == (4, lengths[0])


def test_scoring_with_the_graph_holds_the_activations_of_all_rows(worker):
    whole = predict(worker, student="graph", micro_batch=8)[0]
    cut = predict(worker)[0]
    assert whole["critics"]["activations"] > 10 * cut["critics"]["activations"]
    assert cut["student"]["activations"] < 0.7 * whole["student"]["activations"]


def rollout(**changes: Any) -> dict[str, Any]:
    planned = {"name": "drawing", "role": "student", "dataset": "train", "rows": 6, "sampling": SAMPLING}
    return {**planned, **changes}


def test_a_rollout_is_a_phase_with_the_weights_and_what_it_draws_with(worker):
    phases = predict(worker, rollouts=[rollout(), rollout(name="mixed", mixture=True)])[0]
    alone, mixed = phases["drawing"], phases["mixed"]
    for name in ("teacher", "student", "optimizer"):
        assert alone[name] == mixed[name] == phases["student"][name]
    prompt = max(worker.session.datasets["train"].lengths()[:, 0])
    columns = prompt + SAMPLING["max_new_tokens"] - 1
    assert alone["kv_cache"] >= 2 * 2 * 6 * columns * 8 * 4  # keys and values: layers, rows, columns, D
    assert mixed["kv_cache"] > 2 * alone["kv_cache"]
    assert "gradients" not in alone


def test_what_is_drawn_in_the_background_comes_to_every_phase(worker):
    step = predict_memory._step(worker.session, args_of(planned()))
    draw = predict_memory._draw(worker.session, args_of(planned(rollouts=[rollout()])).rollouts[0])
    assert not draw.background
    always = memory_phases.always_held(worker.session, step)
    before = memory_phases.known_phases(worker.session, step, always)
    beside = replace(draw, background=True)
    after = memory_phases.with_draw(worker.session, before, always, beside)
    trained = before["student"]["gradients"]
    assert list(after) == list(before)
    for name, items in after.items():
        assert items["second_student"] == trained and items["kv_cache"] > 0
        assert items["optimizer"] == before[name]["optimizer"]


@pytest.mark.parametrize("mixture", [False, True])
@pytest.mark.parametrize("offloaded", [False, True])
def test_a_rollout_is_drawn_beside_training_where_generate_would(worker, mixture, offloaded):
    """Weights that come and go are drawn from at once, so that no copy of the student is made."""
    gate = force(worker, open_at_once=True)
    if offloaded:
        worker.session.role("teacher").policy.offload(lambda all_of: [*map(torch.clone, all_of)], torch.clone)
    mixed = {"mixture": 0.3} if mixture else {}
    worker.call("generate", **background_args(1, AHEAD, **mixed))
    copied = gate.log != []
    assert copied != (mixture and offloaded)
    phases = predict(worker, rollouts=[rollout(background=True, mixture=mixture)])[0]
    assert {"second_student" in items for items in phases.values()} == {copied}
    assert ("drawing" in phases) != copied


@on_a_cpu_alone
def test_what_libraries_take_is_measured(worker, monkeypatch):
    monkeypatch.setattr(host_memory, "peak_resident_bytes", lambda: worker.session.resident_at_start + 10**8)
    phases = predict(worker)[0]
    small = {phases[name]["overhead"] for name in phases}
    assert len(small) == 1 and 9e7 < small.pop() < 1e8


@on_a_cpu_alone
def test_what_cannot_fit_is_not_tried_in_earnest(worker, monkeypatch):
    monkeypatch.setattr(host_memory, "available_bytes", lambda: 0)
    monkeypatch.setattr(host_memory, "resident_bytes", lambda: worker.session.resident_at_start)
    tried = []
    monkeypatch.setattr(memory_phases, "go_through", lambda *_, **__: tried.append(True))
    phases, result = predict(worker)
    assert not tried
    assert result["available_bytes"] == 0 < result["peak_bytes"]
    assert all("overhead" not in items for items in phases.values())


@on_a_cpu_alone
def test_kept_rows_and_a_checkpoint_lie_in_the_same_memory_on_a_cpu(worker):
    phases = predict(worker, kept_rows=100, checkpoints=True, rehearse=False)[0]
    longest = max(max(map(sum, worker.session.datasets["train"].lengths())), 0)
    items = phases["student"]
    assert items["rollouts"] >= 100 * longest * 8
    worker.session.handles.clear()
    written = sum(map(nbytes, (group.values() for group in take_snapshot(worker.session).tensors.values())))
    assert items["checkpoint"] == written
    phases = predict(worker, rehearse=False)[0]
    assert "checkpoint" not in phases["student"] and phases["checkpoint"]["checkpoint"] == written


def test_an_optimistic_update_takes_more(empty):
    empty.call("configure", **empty.settings)
    load_teacher(empty)
    optimizer = {**ADAMW, "optimistic": True}
    empty.call("load_role", role="student", model=model(2), optimizer=optimizer, gradient_checkpointing=False)
    empty.call("register_data", dataset="train", source=data_source())
    phases = predict(empty, updates=[], terms=[AMMD_TERMS[2]], rehearse=False)[0]
    assert phases["update"]["update"] == 3 * phases["update"]["gradients"]


def test_nothing_changes(worker):
    twin = LocalWorker(worker.settings["cache_dir"])
    load_everything(twin)
    random = torch.get_rng_state()
    predict(worker)
    assert torch.equal(torch.get_rng_state(), random)
    assert worker.session.roles["student"].version == 0
    assert run_step(worker, 0) == run_step(twin, 0)
    twin.close()


def stubborn_backward(*_: object, **__: object) -> None:
    torch.zeros(3).nonzero().tolist()


def defective_backward(*_: object, **__: object) -> None:
    raise ValueError("of torch, or of ours")


@on_a_cpu_alone
@pytest.mark.parametrize("backward", [stubborn_backward, defective_backward])
def test_a_step_that_needs_numbers_is_said_to_be_missing(worker, monkeypatch, backward):
    monkeypatch.setattr(rehearsal, "student_backward", backward)
    phases, result = predict(worker)
    assert "without numbers" in result["missing"]
    assert "activations" not in phases["student"]


@pytest.mark.parametrize(
    "changes, code, message",
    [
        ({"parts": []}, "invalid_argument", "no rows"),
        ({"parts": [{"part": "off", "dataset": "none", "rows": 2}]}, "not_loaded", "none"),
        ({"rollouts": [rollout(dataset="none")]}, "not_loaded", "none"),
        ({"terms": [{**AMMD_TERMS[0], "critic": "third"}]}, "not_loaded", "third"),
        ({"terms": [{**AMMD_TERMS[0], "objective": "sorcery"}]}, "invalid_argument", "sorcery"),
    ],
)
def test_bad_plans_are_refused(worker, changes, code, message):
    error = worker.error("predict_memory", **planned(**changes))
    assert error["code"] == code and message in error["message"]


def test_critics_see_the_students_own_features_too(empty):
    empty.call("configure", **empty.settings)
    load_teacher(empty)
    empty.call("load_role", role="student", model=model(2), optimizer=ADAMW, gradient_checkpointing=True)
    empty.call("register_data", dataset="train", source=data_source())
    spec = critic_spec(features="student", target_decay=0.5)
    empty.call("load_critic", critic="off", spec=spec, optimizer=ADAMW)
    phases, result = predict(empty, updates=UPDATES[:1], terms=[AMMD_TERMS[0]])
    assert phases["critics"]["logits"] > 0 and "missing" not in result
