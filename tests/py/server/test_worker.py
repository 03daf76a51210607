"""The worker from outside: handshake, requests in a pipeline, ping, bye."""

import pytest
import torch

from py_worker.protocol_gen import PROTOCOL_HASH, PROTOCOL_VERSION
from tests.py.server.controller import Controller, WorkerThread

SETTINGS = {
    "device": "cpu",
    "threads": 1,
    "cache_dir": "",
    "step_budget_bytes": 0,
    "buffer_budget_bytes": 0,
    "position_chunk": 0,
    "rollout_rows": 0,
}


@pytest.mark.usefixtures("worker")
def test_the_worker_speaks_first_and_says_who_it_is(controller: Controller) -> None:
    hello = controller.hello
    assert (hello["kind"], hello["protocol_version"]) == ("hello", PROTOCOL_VERSION)
    assert hello["protocol_hash"] == PROTOCOL_HASH
    assert hello["token"] == "secret"
    # The name of the build, as in 2.11.0+cu130, is not in every package's version.
    assert hello["packages"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert hello["devices"][0] == "cpu"


@pytest.mark.usefixtures("worker")
def test_requests_are_pipelined_and_answered_in_order(controller: Controller) -> None:
    ids = [controller.request("configure", SETTINGS)]
    ids += [controller.request("report_memory") for _ in range(5)]
    ids.append(controller.request("end_step", {"step": 0}))
    results = [controller.reply(request_id)["result"] for request_id in ids]
    assert [message["id"] for message in controller.log if message["kind"] == "reply"] == ids
    assert results[0]["device"] == "cpu"
    assert results[1]["resident_bytes"] > 10_000_000
    assert results[-1]["metrics"] == {}
    assert [usage["scope"] for usage in results[-1]["handles"]] == ["step", "buffer", "session"]


@pytest.mark.usefixtures("worker")
def test_ping_is_answered_with_progress(controller: Controller) -> None:
    before = controller.ping(1)
    controller.call("report_memory")
    after = controller.ping(2)
    assert (before["nonce"], after["nonce"]) == (1, 2)
    assert after["progress"] > before["progress"]
    assert after["queued_requests"] == 0
    assert "running" not in after


def test_bye_ends_the_worker_with_status_0(controller: Controller, worker: WorkerThread) -> None:
    controller.bye()
    assert worker.join() == 0


def test_a_refused_worker_ends_with_status_3(controller: Controller, capsys) -> None:
    worker = WorkerThread(controller.endpoint)
    controller.wait_hello()
    error = {"code": "version_mismatch", "message": "yours 1, ours 2", "applied": False}
    controller.send({"kind": "refuse", "error": error})
    assert worker.join() == 3
    assert "yours 1, ours 2" in capsys.readouterr().err


def test_a_welcome_of_another_version_is_a_refusal(controller: Controller, capsys) -> None:
    worker = WorkerThread(controller.endpoint)
    controller.wait_hello()
    controller.send({"kind": "welcome", "protocol_version": PROTOCOL_VERSION + 1})
    assert worker.join() == 3
    error = capsys.readouterr().err
    assert str(PROTOCOL_VERSION) in error and str(PROTOCOL_VERSION + 1) in error
