"""The worker as a process of its own: start, a pipelined step, and every way to end."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.py.ops.local_worker import SETTINGS, LocalWorker
from tests.py.ops.scene import (
    ADAMW,
    critic_spec,
    data_source,
    load_everything,
    model,
    run_step,
    step_requests,
)
from tests.py.server.controller import Controller, ipc_endpoint
from tests.py.server.processes import gone_within

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]


def environment(**changes: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("AMMD_")}
    return {**own, "AMMD_TOKEN": "secret", "OMP_NUM_THREADS": "1", **changes}


def command(endpoint: str) -> list[str]:
    return [sys.executable, "-m", "py_worker", "--connect", endpoint]


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    controller = Controller(ipc_endpoint(tmp_path))
    yield controller
    controller.close()


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start(endpoint: str, **changes: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                command(endpoint), cwd=ROOT, env=environment(**changes), stderr=subprocess.PIPE, text=True
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_pipelined_step_gives_what_the_loop_gives(
    controller: Controller, start: Start, tmp_path: Path
) -> None:
    """Everything is sent before the first reply; the metrics are those of a session in this process."""
    local = LocalWorker(str(tmp_path / "cache"))
    load_everything(local)
    expected = [run_step(local, step) for step in range(2)]
    local.close()

    process = start(controller.endpoint, AMMD_CONTROLLER_PID=str(os.getpid()))
    controller.welcome()
    assert controller.hello["token"] == "secret"
    assert controller.hello["pid"] == process.pid
    teacher = {"role": "teacher", "model": model(1, hidden=24), "gradient_checkpointing": False}
    student = {"role": "student", "model": model(2), "optimizer": ADAMW, "gradient_checkpointing": False}
    requests = [
        ("configure", local.settings),
        ("load_role", teacher),
        ("load_role", student),
        ("register_data", {"dataset": "train", "source": data_source()}),
    ]
    for name, seed in (("off", 11), ("on", 12)):
        requests.append(("load_critic", {"critic": name, "spec": critic_spec(seed=seed), "optimizer": ADAMW}))
    requests += [request for step in range(2) for request in step_requests(step)]
    ids = [controller.request(op, args) for op, args in requests]
    replies = [controller.reply(request_id) for request_id in ids]
    assert not [reply for reply in replies if "error" in reply]
    ends = [reply["result"] for reply, (op, _) in zip(replies, requests, strict=True) if op == "end_step"]
    assert [end["metrics"] for end in ends] == expected
    controller.bye()
    assert process.wait(20) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_a_refused_worker_exits_with_status_3(controller: Controller, start: Start) -> None:
    process = start(controller.endpoint)
    controller.wait_hello()
    error = {"code": "unauthorized", "message": "the token does not agree", "applied": False}
    controller.send({"kind": "refuse", "error": error})
    assert process.wait(20) == 3


def test_sigterm_ends_one_started_by_hand_and_ctrl_c_does_not(controller: Controller, start: Start) -> None:
    process = start(controller.endpoint)
    controller.welcome()
    process.send_signal(signal.SIGINT)
    assert controller.ping()["kind"] == "pong"
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert "no operation had run" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "--connect"), (["--connect", "tcp://127.0.0.1:1"], "AMMD_CURVE_SERVER_KEY")],
)
def test_wrong_usage_is_told(arguments: list[str], words: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "py_worker", *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 2
    assert words in finished.stderr
    assert "Traceback" not in finished.stderr


GO_BETWEEN = """
import subprocess, sys, os
child = subprocess.Popen(sys.argv[1:], env={**os.environ, "AMMD_CONTROLLER_PID": str(os.getpid())})
child.wait()
"""


def test_it_does_not_outlive_its_controller(tmp_path: Path) -> None:
    """The worker's parent is killed in the middle of an operation; nothing is left of its socket."""
    folder = tmp_path / "ammd-Ab12Cd"
    folder.mkdir()
    controller = Controller(ipc_endpoint(folder))
    log = (tmp_path / "log").open("w")
    parent = subprocess.Popen(
        [sys.executable, "-c", GO_BETWEEN, *command(controller.endpoint)],
        cwd=ROOT,
        env={**environment(), "AMMD_RESUME_HINT": "ammd resume runs/demo"},
        stderr=log,
    )
    controller.welcome()
    controller.call("configure", **{**SETTINGS, "cache_dir": str(tmp_path / "cache")})
    big = model(1, hidden=64)
    controller.call("load_role", role="student", model=big, gradient_checkpointing=False)
    controller.call("register_data", dataset="train", source=data_source())
    rows = list(range(40)) * 400
    controller.request(
        "measure",
        {"role": "student", "dataset": "train", "rows": rows, "metrics": ["cross_entropy"], "micro_batch": 8},
    )
    while controller.ping().get("running", {}).get("op") != "measure":
        pass
    worker = controller.hello["pid"]
    parent.kill()
    parent.wait()
    assert gone_within(worker, 10.0)
    log.close()
    text = (tmp_path / "log").read_text()
    assert "its controller is gone" in text
    assert "running was measure, " in text
    assert "continue with: ammd resume runs/demo" in text
    assert not folder.exists()
    controller.close()
