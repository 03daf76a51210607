"""Responses drawn beside training, forced on a CPU: what they are, who waits for them, how they fail."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from py_worker.rollout.forward import ForwardEngine
from py_worker.rollout.request import Tick
from py_worker.rollout.responses import Responses
from py_worker.session.background import BackgroundRollouts, Drawing
from py_worker.session.errors import ArgumentError
from tests.py.ops.local_worker import LocalWorker, on_a_cpu_alone
from tests.py.ops.scene import SAMPLING, build_args, generate_args, load_everything, run_step, step_requests
from tests.py.ops.stepping import same, weights
from tests.py.ops.test_adapters import load_scene
from tests.py.session.gate import Gate

AHEAD = "buffer/on.1"


def background_args(step: int, out: str, **changes: Any) -> dict[str, Any]:
    return {**generate_args(step, out), "background": True, **changes}


def force(worker: LocalWorker, *, open_at_once: bool = False) -> Gate:
    """What a GPU would have."""
    gate, session = Gate(open_at_once=open_at_once), worker.session
    session.background = BackgroundRollouts(session.role("student").policy, gate)
    return gate


@pytest.fixture
def gate(worker: LocalWorker) -> Iterator[Gate]:
    gate = force(worker)
    yield gate
    gate.open()


def buffered(worker: LocalWorker) -> tuple[int, int]:
    """Handles of the buffer, and their bytes, as the controller is told."""
    usage = worker.call("report_memory")["handles"]
    return next((each["count"], each["bytes"]) for each in usage if each["scope"] == "buffer")


def responses(worker: LocalWorker, handle: str) -> tuple[list[str], list[Any], list[Any]]:
    fetched = worker.call("fetch", rollout=handle)
    return fetched["texts"], fetched["tokens"].tolist(), fetched["log_probs"].tolist()


LOADED: dict[str, Callable[[LocalWorker], Any]] = {"student": load_everything, "adapters": load_scene}


@pytest.mark.parametrize("mixture", [0.0, 0.3])
@pytest.mark.parametrize("loaded", LOADED)
def test_they_are_those_of_the_weights_before_the_step(
    empty: LocalWorker, loaded: str, mixture: float
) -> None:
    LOADED[loaded](empty)
    mixed = {"mixture": mixture} if mixture else {}
    for step in (8, 9):  # adapters are nothing before they are trained
        run_step(empty, step)
    empty.call("generate", **generate_args(1, "buffer/now"), **mixed)
    gate = force(empty)
    drawing = empty.request("generate", **background_args(1, AHEAD, **mixed))
    for step in (10, 11, 12):
        run_step(empty, step)
    gate.open()
    reply, _ = empty.reply(drawing)
    assert reply["result"]["policy_version"] == 2
    assert empty.session.role("student").version == 5
    assert responses(empty, AHEAD) == responses(empty, "buffer/now")
    empty.call("generate", **generate_args(1, "buffer/later"), **mixed)
    assert responses(empty, "buffer/later") != responses(empty, "buffer/now")


def ahead(worker: LocalWorker, steps: int) -> list[Any]:
    """Steps as the controller sends them where responses are drawn one step ahead; what it learns of them."""
    seen = [worker.call("generate", **generate_args(0, "buffer/on.0"))]
    for step in range(steps):
        drawing = worker.request("generate", **background_args(step + 1, f"buffer/on.{step + 1}"))
        for op, args in step_requests(step)[1:]:
            if op == "build":
                args = build_args(step, args["out"], f"buffer/on.{step}")
            result = worker.call(op, **args)
            if op == "end_step":
                seen.append(result["metrics"])
        worker.call("drop", handles=[f"buffer/on.{step}"])
        seen.append(worker.reply(drawing)[0]["result"])
    return seen


def test_training_is_the_same_as_with_those_drawn_at_once(worker: LocalWorker, cache_dir: Path) -> None:
    at_once = ahead(worker, 4)
    other = LocalWorker(str(cache_dir))
    load_everything(other)
    gate = force(other, open_at_once=True)
    assert ahead(other, 4) == at_once
    assert same(weights(worker), weights(other))
    assert gate.log == ["follow", "begin", "end"] * 4
    other.close()


def test_later_operations_run_meanwhile_and_one_that_needs_it_waits(worker: LocalWorker, gate: Gate) -> None:
    drawing = worker.request("generate", **background_args(1, AHEAD))
    worker.call("report_memory")
    waiting = worker.request("build", **build_args(1, "step:1/batch", AHEAD))
    assert gate.log == ["follow"]
    gate.open()
    assert worker.reply(waiting)[0]["result"]["rows"] == 8
    assert worker.reply(drawing)[0]["result"]["rows"] == 4


def test_its_bytes_count_as_the_most_they_may_be_until_it_is_used(worker: LocalWorker, gate: Gate) -> None:
    args = background_args(1, AHEAD)
    prompts = sum(4 * len(worker.session.dataset("train").row(row).prompt) for row in args["rows"])
    most = prompts + len(args["rows"]) * SAMPLING["max_new_tokens"] * 8
    drawing = worker.request("generate", **args)
    assert buffered(worker) == (1, most)
    gate.open()
    tokens = worker.reply(drawing)[0]["result"]["tokens"]
    assert tokens < len(args["rows"]) * SAMPLING["max_new_tokens"]
    assert buffered(worker) == (1, most)
    worker.call("fetch", rollout=AHEAD)
    assert buffered(worker) == (1, prompts + 8 * tokens)


def test_there_must_be_room_for_it(worker: LocalWorker, gate: Gate) -> None:
    worker.call("configure", **{**worker.settings, "buffer_budget_bytes": 200})
    error = worker.error("generate", **background_args(1, AHEAD))
    assert (error["code"], error["applied"], gate.log) == ("over_budget", False, [])


def test_a_checkpoint_has_it(worker: LocalWorker, gate: Gate, cache_dir: Path, tmp_path: Path) -> None:
    drawing = worker.request("generate", **background_args(1, AHEAD))
    staging = worker.request("stage_checkpoint", checkpoint="c", dir=str(tmp_path))
    gate.open()
    assert "result" in worker.reply(drawing)[0]
    assert "result" in worker.reply(staging)[0]
    files = worker.call("commit_checkpoint", checkpoint="c")["files"]
    other = LocalWorker(str(cache_dir))
    load_everything(other)
    other.call("restore", dir=str(tmp_path), files=files)
    assert responses(other, AHEAD) == responses(worker, AHEAD)
    other.close()


def test_after_a_restore_it_draws_from_what_was_restored(worker: LocalWorker, tmp_path: Path) -> None:
    gate = force(worker, open_at_once=True)
    worker.call("stage_checkpoint", checkpoint="c", dir=str(tmp_path))
    files = worker.call("commit_checkpoint", checkpoint="c")["files"]
    worker.call("generate", **background_args(1, "buffer/start"))
    start = responses(worker, "buffer/start")
    with torch.no_grad():  # as if the checkpoint were another run's of the same version
        for _, parameter in worker.session.role("student").policy.trainable():
            parameter.mul_(1.5)
    worker.call("restore", dir=str(tmp_path), files=files)
    assert worker.session.background is None
    worker.call("generate", **background_args(1, "buffer/again"))
    assert responses(worker, "buffer/again") == start
    assert gate.log == ["follow", "begin", "end"]


def test_one_that_is_dropped_is_drawn_for_nobody(worker: LocalWorker, gate: Gate) -> None:
    drawing = worker.request("generate", **background_args(1, AHEAD))
    worker.call("drop", handles=[AHEAD])
    assert buffered(worker) == (0, 0)
    gate.open()
    assert worker.reply(drawing)[0]["result"]["rows"] == 4
    assert buffered(worker) == (0, 0)


def test_a_reset_waits_and_frees_the_copy(worker: LocalWorker, gate: Gate) -> None:
    drawing = worker.request("generate", **background_args(1, AHEAD))
    reset = worker.request("reset")
    gate.open()
    assert "result" in worker.reply(drawing)[0]
    assert "result" in worker.reply(reset)[0]
    assert worker.session.background is None
    assert buffered(worker) == (0, 0)


class Scripted:
    """An engine that does what a test says after its first token."""

    name, concurrent = "scripted", True

    def __init__(self, then: Callable[[Tick], Responses]) -> None:
        self._then = then

    def refusal(self, _policy: object) -> None:
        return None

    def generate(self, *request: Any) -> Responses:
        tick = request[5]
        tick()
        return self._then(tick)


def refuse(_tick: Tick) -> Responses:
    raise ArgumentError("prompt 2 is too long; cut it")


def open_when_waited_for(worker: LocalWorker, gate: Gate) -> None:
    background = worker.session.background
    assert background is not None
    start = background.start

    def started(*args: Any) -> Drawing:
        drawing = start(*args)
        result = drawing.rollout.result
        drawing.rollout.result = lambda: (gate.open(), result())[1]
        return drawing

    background.start = started


def test_one_that_cannot_be_drawn_fails_its_epoch_and_was_never_there(
    worker: LocalWorker, gate: Gate
) -> None:
    open_when_waited_for(worker, gate)
    role = worker.session.role("student")
    engine, role.engine = role.engine, Scripted(refuse)
    drawing = worker.request("generate", **background_args(1, AHEAD))
    waiting = worker.request("build", **build_args(1, "step:1/batch", AHEAD))
    behind = worker.request("report_memory")
    error = worker.reply(drawing)[0]["error"]
    assert (error["code"], error["applied"]) == ("invalid_argument", False)
    assert "prompt 2 is too long" in error["message"]
    assert "refuse" in error["detail"]
    assert "prompt 2 is too long" in worker.reply(waiting)[0]["error"]["message"]
    aborted = worker.reply(behind)[0]["error"]
    assert (aborted["code"], aborted["aborted_by"]) == ("aborted", drawing)
    worker.epoch += 1
    assert buffered(worker) == (0, 0)
    role.engine = engine
    drawing = worker.request("generate", **background_args(1, AHEAD))
    assert worker.reply(drawing)[0]["result"]["rows"] == 4


def test_a_failure_reaches_the_epoch_also_when_nobody_waits(worker: LocalWorker, gate: Gate) -> None:
    worker.session.role("student").engine = Scripted(refuse)
    drawing = worker.request("generate", **background_args(1, AHEAD))
    worker.call("report_memory")
    gate.open()
    assert "error" in worker.reply(drawing)[0]
    aborted = worker.error("report_memory")
    assert (aborted["code"], aborted["aborted_by"]) == ("aborted", drawing)


def forever(tick: Tick) -> Responses:
    while True:
        tick()


def test_a_worker_that_closes_gives_it_up(worker: LocalWorker) -> None:
    force(worker, open_at_once=True)
    worker.session.role("student").engine = Scripted(forever)
    drawing = worker.request("generate", **background_args(1, AHEAD))
    worker.call("report_memory")
    worker.close()
    assert worker.reply(drawing)[0]["error"]["code"] == "cancelled"


def test_an_engine_that_cannot_work_beside_others_draws_at_once(worker: LocalWorker, gate: Gate) -> None:
    worker.session.role("student").engine = ForwardEngine()
    assert worker.call("generate", **background_args(1, AHEAD))["rows"] == 4
    assert gate.log == []
    assert worker.session.handles.size_of(AHEAD) > 0


def test_weights_that_come_and_go_are_drawn_from_at_once(worker: LocalWorker, gate: Gate) -> None:
    worker.session.role("teacher").policy.offload(lambda all_of: [*map(torch.clone, all_of)], torch.clone)
    assert worker.call("generate", **background_args(1, AHEAD, mixture=0.3))["rows"] == 4
    assert gate.log == []
    alone = worker.request("generate", **background_args(1, "buffer/alone"))
    gate.open()
    assert worker.reply(alone)[0]["result"]["rows"] == 4
    assert gate.log == ["follow", "begin", "end"]


@on_a_cpu_alone
def test_a_cpu_draws_at_once(worker: LocalWorker) -> None:
    plain = worker.call("generate", **generate_args(1, "buffer/plain"))
    assert worker.call("generate", **background_args(1, AHEAD)) == plain
    assert worker.session.background is None
    assert responses(worker, AHEAD) == responses(worker, "buffer/plain")


def test_it_is_for_the_student(worker: LocalWorker) -> None:
    error = worker.error("generate", **background_args(1, AHEAD, role="teacher"))
    assert error["code"] == "invalid_argument"
    assert error["message"].startswith("background: only the student's weights change")
