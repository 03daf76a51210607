"""A checkpoint is a barrier between two steps, however many requests follow it at once."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.contract.any_worker import AnyWorker, Message
from tests.contract.conftest import COMMANDS

TERM = {"name": "lm", "objective": "cross_entropy", "part": "off", "weight": 1.0, "params": {}}


@pytest.fixture(autouse=True)
def only_workers_with_weights(command: list[str]) -> None:
    """The fake worker has nothing to save."""
    if command == COMMANDS.get("fake_worker"):
        pytest.skip("it has no weights")


def step_requests(worker: AnyWorker, step: int) -> list[int]:
    """Sends one SFT step; the ids of its requests."""
    batch = f"step:{step}/batch"
    parts = [{"part": "off", "dataset": "train", "rows": [0, 1]}]
    update = {
        "step": step,
        "batch": batch,
        "terms": [TERM],
        "lr": 0.1,
        "clip_norm": 0,
        "diagnostics": False,
    }
    return [
        worker.request("build", {"out": batch, "parts": parts}),
        worker.request("step_student", update),
        worker.request("end_step", {"step": step}),
    ]


def result(worker: AnyWorker, request_id: int) -> Message:
    reply = worker.reply(request_id)
    assert "result" in reply, reply
    return dict(reply["result"])


def loss(worker: AnyWorker) -> Any:
    args = {
        "role": "student",
        "dataset": "train",
        "rows": [0, 1],
        "metrics": ["cross_entropy"],
    }
    return worker.result("measure", args)["values"]["cross_entropy"]


def test_what_is_sent_behind_the_barrier_is_not_in_it(worker: AnyWorker, tmp_path: Path) -> None:
    _, first, _ = (result(worker, request_id) for request_id in step_requests(worker, 1))
    at_barrier = loss(worker)

    stage = worker.request("stage_checkpoint", {"checkpoint": "one", "dir": str(tmp_path)})
    behind = step_requests(worker, 2)
    commit = worker.request("commit_checkpoint", {"checkpoint": "one"})
    assert result(worker, stage)["bytes"] > 0
    assert result(worker, behind[1])["policy_version"] == first["policy_version"] + 1
    files = result(worker, commit)["files"]
    result(worker, behind[2])
    assert loss(worker) != at_barrier

    for file in files:
        content = (tmp_path / file["name"]).read_bytes()
        assert len(content) == file["bytes"]
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert Path(file["name"]).suffix in (".safetensors", ".json")
    restored = worker.result("restore", {"dir": str(tmp_path), "files": files})
    assert restored["policy_version"] == first["policy_version"]
    assert loss(worker) == at_barrier


def test_a_damaged_checkpoint_changes_nothing(worker: AnyWorker, tmp_path: Path) -> None:
    worker.result("stage_checkpoint", {"checkpoint": "two", "dir": str(tmp_path)})
    files = worker.result("commit_checkpoint", {"checkpoint": "two"})["files"]
    for request_id in step_requests(worker, 3):
        result(worker, request_id)
    before = loss(worker)
    for file in files:
        path = tmp_path / file["name"]
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        error = worker.error(worker.request("restore", {"dir": str(tmp_path), "files": files}))
        assert (error["code"], error["applied"]) == ("checkpoint_error", False)
        path.write_bytes(content)
        worker.open_epoch()
    assert loss(worker) == before
    worker.result("restore", {"dir": str(tmp_path), "files": files})
    assert loss(worker) != before


def test_only_what_was_staged_can_be_committed(worker: AnyWorker) -> None:
    assert worker.code("commit_checkpoint", {"checkpoint": "never"}) == "checkpoint_error"
