"""The rules of protocol/README.md, against any worker: the fake one, the real one, or yours.

AMMD_WORKER="python -m my_worker" pytest tests/contract/conformance_test.py
"""

import math
from typing import Any

import msgspec
import pytest

from tests.contract.any_worker import AnyWorker, Message
from tests.contract.conftest import settings
from tests.fixtures.contract import DEFINITION, LIMITS

LONG = 60_000
"""Tokens of a generation that nobody waits for."""


def generate(out: str = "step:1/rollout", tokens: int = 4, rows: int = 1) -> Message:
    """Arguments of a generation of a known length."""
    return {
        "out": out,
        "role": "student",
        "dataset": "train",
        "rows": list(range(rows)),
        "sample_ids": [2**40 + row for row in range(rows)],
        "sampling": {
            "temperature": 1.0,
            "top_p": 1.0,
            "top_k": 0,
            "max_new_tokens": tokens,
            "no_repeat_ngram_size": 0,
            "suppress_eos": True,
        },
        "seed": 2**53 - 1,
    }


def drop(*names: str) -> Message:
    """Arguments of drop."""
    return {"handles": list(names)}


def usage(worker: AnyWorker) -> dict[str, tuple[int, int]]:
    """Count and bytes of live handles by scope."""
    handles = worker.result("report_memory")["handles"]
    return {entry["scope"]: (entry["count"], entry["bytes"]) for entry in handles}


def wait_until_running(worker: AnyWorker, request_id: int) -> Message:
    """The first pong that names the request as running."""
    while True:
        pong = worker.pong()
        if pong.get("running", {}).get("id") == request_id:
            return pong


class TestRequests:
    def test_hello_says_who_speaks(self, loaded: AnyWorker) -> None:
        hello = loaded.hello
        assert hello["kind"] == "hello"
        assert hello["protocol_version"] == DEFINITION["version"]
        assert hello["token"] == loaded.token
        assert hello["pid"] == loaded.process.pid
        assert "cpu" in hello["devices"]
        assert "python" in hello["packages"]

    def test_requests_are_answered_in_order_without_waiting(self, worker: AnyWorker) -> None:
        worker.order.clear()
        ids = [worker.request("report_memory") for _ in range(50)]
        for request_id in ids:
            assert "result" in worker.reply(request_id)
        assert worker.order == ids

    def test_a_request_may_refer_to_a_result_not_yet_born(self, worker: AnyWorker) -> None:
        first = worker.request("generate", generate("buffer/a"))
        second = worker.request("fetch", {"rollout": "buffer/a"})
        third = worker.request("drop", drop("buffer/a"))
        assert [("result" in worker.reply(request_id)) for request_id in (first, second, third)] == [True] * 3

    def test_times_are_told(self, worker: AnyWorker) -> None:
        reply = worker.reply(worker.request("generate", generate("buffer/a", tokens=50)))
        assert 0 < reply["run_ms"] < math.inf
        assert reply["idle_ms"] >= 0
        worker.result("drop", drop("buffer/a"))


class TestArguments:
    @pytest.mark.parametrize(
        ("args", "path"),
        [
            ({}, "handles"),
            ({"handles": [], "more": 1}, "more"),
            ({"handles": "buffer/a"}, "handles"),
            ({"handles": ["buffer/a", "nowhere/b"]}, "handles"),
            ({"handles": [7]}, "handles"),
        ],
    )
    def test_what_is_wrong_is_named(self, worker: AnyWorker, args: Message, path: str) -> None:
        error = worker.error(worker.request("drop", args))
        assert error["code"] == "invalid_argument"
        assert path in error["message"]
        assert error["applied"] is False

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 101.0, "warm", None])
    def test_numbers_must_be_finite_and_within_bounds(self, worker: AnyWorker, value: Any) -> None:
        args = generate("buffer/a")
        args["sampling"]["temperature"] = value
        error = worker.error(worker.request("generate", args))
        assert error["code"] == "invalid_argument"
        assert "temperature" in error["message"]

    def test_a_float_is_no_integer_and_an_integer_is_a_float(self, worker: AnyWorker) -> None:
        args = generate("buffer/a")
        args["seed"] = 1.5
        assert worker.code("generate", args) == "invalid_argument"
        args["seed"], args["sampling"]["temperature"] = 1, 1
        worker.result("generate", args)
        worker.result("drop", drop("buffer/a"))

    def test_unknown_operation(self, worker: AnyWorker) -> None:
        assert worker.code("train_step") == "unknown_operation"


class TestMalformedMessages:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xc1",
            b"\x92\x01",
            b"\xdd\xff\xff\xff\xff",
            b"\x91" * 100_000,
            msgspec.msgpack.encode([1, 2]),
            msgspec.msgpack.encode({"kind": "sing"}),
            msgspec.msgpack.encode({"kind": "ping"}),
            msgspec.msgpack.encode({"kind": "ping", "nonce": 1, "extra": 2}),
            msgspec.msgpack.encode({"kind": "ping", "nonce": -1}),
            msgspec.msgpack.encode({"kind": "hello"}),
            msgspec.msgpack.encode({"kind": "ping", "nonce": 1}).replace(b"ping", b"p\xffng"),
        ],
        ids=lambda body: body[:12].hex() or "empty",
    )
    def test_are_answered_and_fail_the_epoch(self, worker: AnyWorker, body: bytes) -> None:
        worker.send_raw(body)
        assert worker.error(0)["code"] == "malformed"
        behind = worker.error(worker.request("report_memory"))
        assert (behind["code"], behind["aborted_by"]) == ("aborted", 0)
        worker.open_epoch()
        worker.result("report_memory")

    def test_a_body_beyond_the_limit(self, worker: AnyWorker) -> None:
        worker.send_raw(b"\xc0" * (LIMITS["max_body_bytes"] + 1))
        assert worker.error(0)["code"] == "oversize"

    def test_too_many_frames_and_too_large_ones(self, worker: AnyWorker) -> None:
        for frames in ([b""] * (LIMITS["max_frames"] + 1), [bytes(LIMITS["max_frame_bytes"] + 1)]):
            message = worker.message("report_memory")
            worker.send_raw(msgspec.msgpack.encode(message), *frames)
            # Whether it is understood as far as its id is the worker's choice.
            request_id = worker.receive()["id"]
            assert request_id in (0, message["id"])
            assert worker.error(request_id)["code"] == "oversize"
            worker.open_epoch()


class TestEpochs:
    def test_a_failure_aborts_what_follows_and_nothing_before(self, worker: AnyWorker) -> None:
        before = worker.request("report_memory")
        failing = worker.request("fetch", {"rollout": "buffer/none"})
        behind = [worker.request("generate", generate("buffer/a")), worker.request("report_memory")]
        assert "result" in worker.reply(before)
        assert worker.error(failing)["code"] == "unknown_handle"
        for request_id in behind:
            error = worker.error(request_id)
            assert (error["code"], error["aborted_by"], error["applied"]) == ("aborted", failing, False)
        late = worker.error(worker.request("report_memory"))
        assert (late["code"], late["aborted_by"]) == ("aborted", failing)
        worker.open_epoch()
        # The generation behind the failure did not run.
        assert usage(worker)["buffer"] == (0, 0)

    @pytest.mark.parametrize("op", ["drop", "train_step"])
    def test_a_request_that_is_wrong_in_itself_fails_its_epoch(self, worker: AnyWorker, op: str) -> None:
        failing = worker.request(op)
        behind = worker.request("report_memory")
        worker.error(failing)
        assert worker.error(behind)["aborted_by"] == failing

    def test_an_older_epoch_is_over(self, worker: AnyWorker) -> None:
        worker.result("report_memory")
        error = worker.error(worker.request("report_memory", epoch=worker.epoch - 1))
        assert error["code"] == "stale_epoch"
        worker.result("report_memory")


class TestIds:
    def test_a_repeated_request_is_answered_again_and_not_run_again(self, worker: AnyWorker) -> None:
        message = worker.message("generate", generate("buffer/a"))
        worker.send(message)
        first = worker.reply(message["id"])
        worker.send(message)
        assert worker.reply(message["id"]) == first
        assert usage(worker)["buffer"][0] == 1
        worker.result("drop", drop("buffer/a"))

    def test_a_repetition_while_it_runs_is_ignored(self, worker: AnyWorker) -> None:
        message = worker.message("generate", generate("buffer/a", tokens=100))
        for _ in range(3):
            worker.send(message)
        worker.reply(message["id"])
        worker.result("drop", drop("buffer/a"))
        assert worker.silent(50)

    def test_an_id_below_the_highest_that_was_never_used_is_not_run(self, worker: AnyWorker) -> None:
        skipped = worker.next_id()
        worker.result("report_memory")
        assert worker.error(worker.request("report_memory", id=skipped))["code"] == "duplicate"
        worker.result("report_memory")


class TestQueue:
    def test_one_more_than_fits_is_refused_at_once_and_keeps_the_order(self, worker: AnyWorker) -> None:
        long = worker.request("generate", generate("step:1/long", LONG))
        held = [worker.request("report_memory") for _ in range(LIMITS["max_queued_requests"] - 1)]
        refused = worker.request("drop", drop())
        behind = worker.request("drop", drop())
        assert worker.error(refused)["code"] == "busy"
        assert worker.error(behind)["aborted_by"] == refused
        worker.open_epoch()
        later = worker.request("drop", drop())
        assert worker.error(later)["code"] == "busy"
        worker.send({"kind": "cancel", "id": long})
        assert worker.error(long)["code"] == "cancelled"
        for request_id in held:
            assert worker.error(request_id)["aborted_by"] == long
        worker.open_epoch()
        worker.result("drop", drop())

    def test_waiting_has_its_own_limit(self, worker: AnyWorker) -> None:
        running = worker.request("generate", generate("buffer/a", tokens=100))
        waiting = worker.request("report_memory", queue_ms=1)
        assert "result" in worker.reply(running)
        assert worker.error(waiting)["code"] == "queue_timeout"
        worker.open_epoch()
        worker.result("drop", drop("buffer/a"))


class TestCancelAndDeadlines:
    def test_a_running_operation_stops_without_a_trace(self, worker: AnyWorker) -> None:
        long = worker.request("generate", generate("buffer/a", LONG))
        wait_until_running(worker, long)
        worker.send({"kind": "cancel", "id": long})
        error = worker.error(long)
        assert (error["code"], error["applied"]) == ("cancelled", False)
        worker.open_epoch()
        assert worker.code("fetch", {"rollout": "buffer/a"}) == "unknown_handle"

    def test_a_waiting_request_is_not_run(self, worker: AnyWorker) -> None:
        running = worker.request("generate", generate("buffer/a", tokens=100))
        waiting = worker.request("generate", generate("buffer/b"))
        worker.send({"kind": "cancel", "id": waiting})
        assert "result" in worker.reply(running)
        assert worker.error(waiting)["code"] == "cancelled"
        worker.open_epoch()
        assert usage(worker)["buffer"][0] == 1
        worker.result("drop", drop("buffer/a"))

    def test_a_cancel_that_comes_too_late_or_for_nothing_is_ignored(self, worker: AnyWorker) -> None:
        done = worker.request("report_memory")
        assert "result" in worker.reply(done)
        for request_id in (done, 2**53 - 1):
            worker.send({"kind": "cancel", "id": request_id})
        assert worker.silent(50)
        worker.result("report_memory")

    def test_a_deadline_counts_execution_and_leaves_no_trace(self, worker: AnyWorker) -> None:
        before = worker.request("generate", generate("buffer/a", tokens=200))
        in_time = worker.request("report_memory", deadline_ms=5000)
        late = worker.request("generate", generate("buffer/b", LONG), deadline_ms=20)
        assert "result" in worker.reply(before)
        assert "result" in worker.reply(in_time)
        error = worker.error(late)
        assert (error["code"], error["applied"]) == ("deadline", False)
        worker.open_epoch()
        assert usage(worker)["buffer"][0] == 1
        worker.result("drop", drop("buffer/a"))


class TestLiveness:
    def test_pong_names_what_runs_and_counts_progress(self, worker: AnyWorker) -> None:
        assert "running" not in worker.pong()
        long = worker.request("generate", generate("buffer/a", LONG))
        worker.request("report_memory")
        first = wait_until_running(worker, long)
        assert first["running"]["op"] == "generate"
        assert first["queued_requests"] == 1
        assert first["queued_bytes"] > 0
        while (later := worker.pong())["progress"] <= first["progress"]:
            pass
        assert later["running"]["elapsed_ms"] > first["running"]["elapsed_ms"]
        worker.send({"kind": "cancel", "id": long})
        worker.error(long)


class TestHandles:
    def test_a_name_is_given_once_and_must_be_alive(self, worker: AnyWorker) -> None:
        worker.result("generate", generate("session/a"))
        assert worker.code("generate", generate("session/a")) == "handle_exists"
        assert worker.code("drop", drop("session/a", "session/none")) == "unknown_handle"
        # All or nothing: the first name of the failed drop is still alive.
        worker.result("fetch", {"rollout": "session/a"})
        worker.result("drop", drop("session/a"))
        assert worker.code("fetch", {"rollout": "session/a"}) == "unknown_handle"

    def test_scopes_end_on_their_own_terms(self, worker: AnyWorker) -> None:
        for name in ("step:7/a", "step:7/b", "step:8/a", "buffer/a", "session/a"):
            worker.result("generate", generate(name))
        counts = {scope: count for scope, (count, _) in usage(worker).items()}
        assert counts == {"step": 3, "buffer": 1, "session": 1}
        left = worker.result("end_step", {"step": 7})["handles"]
        assert {entry["scope"]: entry["count"] for entry in left} == {"step": 1, "buffer": 1, "session": 1}
        worker.result("end_step", {"step": 8})
        worker.result("drop", drop("buffer/a", "session/a"))
        assert set(usage(worker).values()) == {(0, 0)}

    def test_count_and_bytes_stay_constant_over_steps(self, worker: AnyWorker) -> None:
        seen = set()
        for step in range(4):
            worker.result("generate", generate(f"step:{step}/rollout", rows=2))
            part = {"part": "on", "rollout": f"step:{step}/rollout"}
            worker.result("build", {"out": f"step:{step}/batch", "parts": [part]})
            seen.add(usage(worker)["step"][0])
            end = worker.result("end_step", {"step": step})
            seen.add(tuple((entry["count"], entry["bytes"]) for entry in end["handles"]))
        assert seen == {2, ((0, 0), (0, 0), (0, 0))}

    def test_a_scope_has_a_budget(self, worker: AnyWorker) -> None:
        worker.result("configure", settings(worker, buffer_budget_bytes=1))
        error = worker.error(worker.request("generate", generate("buffer/a")))
        worker.open_epoch()
        worker.result("configure", settings(worker))
        assert (error["code"], error["applied"]) == ("over_budget", False)
        assert "1" in error["message"]
        assert usage(worker)["buffer"] == (0, 0)
