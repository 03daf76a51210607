"""The loop's rules: epochs, deadlines, cancellation, duplicates, busy, and what an error leaves behind."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from py_worker import ops
from py_worker.protocol_gen import MAX_QUEUED_REQUESTS, EndStepResult, RequestMessage, ResetResult
from py_worker.server.completion import ImmediateCompletion
from py_worker.server.operation_loop import OperationLoop
from py_worker.server.request_queue import Admitted, RequestQueue
from py_worker.session.context import OperationContext, Progress
from py_worker.session.errors import ArgumentError
from py_worker.session.session import Session
from tests.py.server.controller import Controller, WorkerThread

pytestmark = pytest.mark.usefixtures("worker")


class Script:
    """Operations that a test holds in its hand, under names of the contract.

    `reset` runs until it is let go, checking all the while; with `commit_first` past its commit point.
    `end_step` fails for step 13 and counts its runs.
    """

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self.commit_first = False
        self.ran: list[int] = []

    def reset(self, _session: Session, _args: Any, context: OperationContext) -> ResetResult:
        if self.commit_first:
            context.commit()
        self.begun.set()
        while not self.go.wait(0.002):
            context.check()
        context.commit()
        return ResetResult()

    def end_step(self, _session: Session, args: Any, context: OperationContext) -> EndStepResult:
        if args.step == 13:
            raise ArgumentError("step: 13 is unlucky; take 14")
        if args.step == 99:
            context.commit()
            raise RuntimeError("broken after the commit point")
        self.ran.append(args.step)
        return EndStepResult(metrics={}, handles=[])


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    script = Script()
    real = ops.find
    fakes = {"reset": script.reset, "end_step": script.end_step}
    monkeypatch.setattr(ops, "find", lambda op: fakes[op] if op in fakes else real(op))
    yield script
    script.go.set()


UNKNOWN_FIELD = msgspec.msgpack.encode(
    {"kind": "request", "id": 5, "epoch": 0, "op": "end_step", "args": {"step": 1}, "colour": "red"}
)


def end_step(controller: Controller, step: int, **envelope: Any) -> int:
    return controller.request("end_step", {"step": step}, **envelope)


def test_an_error_aborts_what_follows_in_its_epoch(controller: Controller, script: Script) -> None:
    before, failing, *after = [end_step(controller, step) for step in (1, 13, 2, 3)]
    controller.epoch = 1
    later = end_step(controller, 4)
    assert "result" in controller.reply(before)
    assert controller.error(failing)["code"] == "invalid_argument"
    for request_id in after:
        error = controller.error(request_id)
        assert (error["code"], error["aborted_by"], error["applied"]) == ("aborted", failing, False)
    assert "result" in controller.reply(later)
    assert script.ran == [1, 4]


@pytest.mark.parametrize(
    ("op", "args", "code"),
    [
        ("no_such_operation", {}, "unknown_operation"),
        ("end_step", {"step": "one"}, "invalid_argument"),
        ("end_step", {}, "invalid_argument"),
        ("end_step", {"step": 1, "extra": 2}, "invalid_argument"),
    ],
)
def test_what_cannot_be_decoded_fails_the_epoch_too(
    controller: Controller, script: Script, op: str, args: dict[str, Any], code: str
) -> None:
    failing, after = controller.request(op, args), end_step(controller, 1)
    assert controller.error(failing)["code"] == code
    assert controller.error(after)["aborted_by"] == failing
    assert script.ran == []


def test_an_older_epoch_is_over(controller: Controller, script: Script) -> None:
    new, old = end_step(controller, 1, epoch=5), end_step(controller, 2, epoch=4)
    again = end_step(controller, 3, epoch=5)
    assert controller.error(old)["code"] == "stale_epoch"
    assert "result" in controller.reply(new)
    assert "result" in controller.reply(again), "a stale request fails nothing"
    assert script.ran == [1, 3]


def test_a_repeated_id_is_answered_again_and_not_run_again(controller: Controller, script: Script) -> None:
    request_id = end_step(controller, 1)
    first = controller.reply(request_id)
    end_step(controller, 1, id=request_id)
    assert controller.reply(request_id) == first
    assert script.ran == [1]


def test_a_repetition_of_a_waiting_request_is_ignored(controller: Controller, script: Script) -> None:
    blocking, waiting = controller.request("reset"), end_step(controller, 1)
    end_step(controller, 1, id=waiting)
    controller.ping()
    script.go.set()
    assert "result" in controller.reply(blocking)
    assert "result" in controller.reply(waiting)
    controller.ping()
    assert controller.silent(50)
    assert script.ran == [1]


def test_an_id_that_was_skipped_counts_as_used(controller: Controller, script: Script) -> None:
    controller.reply(end_step(controller, 1, id=10))
    end_step(controller, 2, id=9)
    assert controller.error(9)["code"] == "duplicate"
    assert script.ran == [1]


def test_a_running_operation_is_cancelled_before_its_commit_point(
    controller: Controller, script: Script
) -> None:
    running, after = controller.request("reset"), end_step(controller, 1)
    assert script.begun.wait(10)
    controller.send({"kind": "cancel", "id": running})
    error = controller.error(running)
    assert (error["code"], error["applied"]) == ("cancelled", False)
    assert controller.error(after)["code"] == "aborted"


def test_after_its_commit_point_it_finishes(controller: Controller, script: Script) -> None:
    script.commit_first = True
    running = controller.request("reset")
    assert script.begun.wait(10)
    controller.send({"kind": "cancel", "id": running})
    assert controller.ping()["running"]["op"] == "reset"
    script.go.set()
    assert "result" in controller.reply(running)


def test_a_waiting_request_is_cancelled_when_its_turn_comes(controller: Controller, script: Script) -> None:
    running, waiting = controller.request("reset"), end_step(controller, 1)
    controller.send({"kind": "cancel", "id": waiting})
    controller.ping()
    script.go.set()
    assert "result" in controller.reply(running)
    assert controller.error(waiting)["code"] == "cancelled"
    assert script.ran == []


@pytest.mark.usefixtures("script")
def test_cancelling_what_is_unknown_or_done_does_nothing(controller: Controller) -> None:
    done = end_step(controller, 1)
    controller.reply(done)
    for request_id in (done, 4711):
        controller.send({"kind": "cancel", "id": request_id})
    assert "result" in controller.reply(end_step(controller, 2))


@pytest.mark.usefixtures("script")
def test_the_deadline_counts_from_the_start_of_execution(controller: Controller) -> None:
    first = controller.request("reset", deadline_ms=30)
    second = controller.request("reset", deadline_ms=30, epoch=1)
    assert controller.error(first)["code"] == "deadline"
    error = controller.error(second)
    assert (error["code"], error["applied"]) == ("deadline", False)
    assert "30 ms" in error["message"]


def test_waiting_has_a_limit_of_its_own(controller: Controller, script: Script) -> None:
    running, waiting = controller.request("reset"), end_step(controller, 1, queue_ms=5)
    assert script.begun.wait(10)
    time.sleep(0.02)
    script.go.set()
    assert "result" in controller.reply(running)
    assert controller.error(waiting)["code"] == "queue_timeout"
    assert script.ran == []


def test_ping_names_the_running_operation_and_what_waits(controller: Controller, script: Script) -> None:
    running = controller.request("reset")
    assert script.begun.wait(10)
    end_step(controller, 1)
    first, second = controller.ping(), controller.ping()
    assert (first["running"]["id"], first["running"]["op"]) == (running, "reset")
    assert first["queued_requests"] == 1
    assert first["queued_bytes"] > 10
    assert second["running"]["elapsed_ms"] > first["running"]["elapsed_ms"]
    time.sleep(0.02)
    assert controller.ping()["progress"] > first["progress"]


def test_a_full_queue_answers_busy_at_once_and_fails_the_epoch(
    controller: Controller, script: Script
) -> None:
    running = controller.request("reset")
    assert script.begun.wait(10)
    queued = [end_step(controller, step) for step in range(100, 99 + MAX_QUEUED_REQUESTS)]
    refused, behind = end_step(controller, 1000), end_step(controller, 1001)
    assert controller.error(refused)["code"] == "busy"
    error = controller.error(behind)
    assert (error["code"], error["aborted_by"]) == ("aborted", refused)
    script.go.set()
    for request_id in (running, *queued):
        assert "result" in controller.reply(request_id), "what was sent before is not touched"
    controller.epoch = 1
    assert "result" in controller.reply(end_step(controller, 1000))
    assert script.ran == [*range(100, 99 + MAX_QUEUED_REQUESTS), 1000]


@pytest.mark.usefixtures("script")
def test_a_failure_after_the_commit_point_says_so(controller: Controller) -> None:
    error = controller.error(end_step(controller, 99))
    assert (error["code"], error["applied"]) == ("internal", True)
    assert error["message"] == "RuntimeError: broken after the commit point"
    assert "Traceback" in error["detail"]
    assert "Traceback" not in error["message"]


def test_run_and_idle_times_add_up(controller: Controller, script: Script) -> None:
    controller.reply(end_step(controller, 1))
    time.sleep(0.03)
    running = controller.request("reset")
    assert script.begun.wait(10)
    time.sleep(0.02)
    script.go.set()
    reply = controller.reply(running)
    assert reply["idle_ms"] >= 25
    assert reply["run_ms"] >= 15


def test_bye_finishes_what_runs_and_drops_what_waits(
    controller: Controller, worker: WorkerThread, script: Script
) -> None:
    running = controller.request("reset")
    assert script.begun.wait(10)
    end_step(controller, 1)
    controller.bye()
    time.sleep(0.05)
    script.go.set()
    assert "result" in controller.reply(running)
    assert worker.join() == 0
    assert script.ran == []


@pytest.mark.usefixtures("script")
def test_garbage_is_answered_with_id_0_and_fails_the_epoch(controller: Controller) -> None:
    for garbage in (b"", b"\xc1", b"\x93\x01", b"\x81\xa4kind\xa4nope", UNKNOWN_FIELD):
        controller.epoch += 1
        controller.reply(end_step(controller, 1))
        controller.send_raw(garbage)
        assert controller.error(0)["code"] == "malformed"
        error = controller.error(end_step(controller, 2))
        assert (error["code"], error["aborted_by"]) == ("aborted", 0)


def test_frames_that_nothing_refers_to_are_refused(controller: Controller, script: Script) -> None:
    message = {"kind": "request", "id": 1, "epoch": 0, "op": "end_step", "args": {"step": 1}}
    controller.send_raw(msgspec.msgpack.encode(message), b"1234")
    assert controller.error(1)["code"] == "malformed"
    message = {**message, "id": 2, "epoch": 1}
    controller.send_raw(msgspec.msgpack.encode(message), *[b""] * 17)
    assert controller.error(2)["code"] == "oversize"
    assert script.ran == []


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize("step", [1, 13])
def test_what_has_its_reply_runs_no_more(step: int) -> None:
    """A pong that comes after the reply does not name the operation."""
    queue = RequestQueue()
    running: list[object] = []
    loop = OperationLoop(
        queue, Session(), ops.run, lambda _: running.append(queue.state().running), Progress()
    )
    args = msgspec.Raw(msgspec.msgpack.encode({"step": step}))
    queue.put(Admitted(RequestMessage(id=1, epoch=0, op="end_step", args=args), len(args)))
    thread = threading.Thread(target=loop.run)
    thread.start()
    while not running:
        time.sleep(0.002)
    queue.close()
    thread.join()
    assert running == [None]


def test_a_reply_waits_for_that_of_the_end_of_the_step_alone(script: Script) -> None:
    script.go.set()
    queue = RequestQueue()
    posted: list[tuple[int, bool]] = []
    loop = OperationLoop(
        queue, Session(), ops.run, lambda reply: posted.append((reply.request_id, reply.may_wait)), Progress()
    )
    for request_id, op in enumerate(["end_step", "reset", "end_step", "end_step"]):
        args = msgspec.Raw(msgspec.msgpack.encode({"step": request_id} if op == "end_step" else {}))
        queue.put(Admitted(RequestMessage(id=request_id, epoch=0, op=op, args=args), len(args)))
    thread = threading.Thread(target=loop.run)
    thread.start()
    while len(posted) < 4:
        time.sleep(0.002)
    queue.close()
    thread.join()
    assert posted == [(0, False), (1, True), (2, True), (3, False)]


@pytest.mark.usefixtures("script")
def test_a_device_that_has_failed_ends_the_loop_with_the_operation_s_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event can be recorded any more; the log has what the device failed at, not that alone."""

    def fail(*_: object) -> None:
        raise RuntimeError("CUDA error: an event cannot be recorded")

    queue = RequestQueue()
    loop = OperationLoop(queue, Session(), ops.run, lambda _: None, Progress())
    monkeypatch.setattr(ImmediateCompletion, "deliver", fail)
    args = msgspec.Raw(msgspec.msgpack.encode({"step": 13}))
    queue.put(Admitted(RequestMessage(id=1, epoch=0, op="end_step", args=args), len(args)))
    with pytest.raises(SystemExit) as ended:
        loop.run()
    assert ended.value.code == 1
    log = capsys.readouterr().err
    assert log.index("event cannot be recorded") < log.index("step: 13 is unlucky"), "the end of it is shown"
