"""A worker's process ends with its controller's, and says what it was doing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from py_worker.server.parent_watch import EXIT_ORPHANED, EXIT_TERMINATED
from tests.py.server.processes import gone_within

ROOT = Path(__file__).parents[3]
WATCHED = """
import os, sys, time
sys.path.insert(0, {root!r})
from py_worker.server import parent_watch
parent_watch.claim_signals({pid} is not None)
parent_watch.watch({pid}, lambda: "running was score")
print(os.getpid(), flush=True)
{busy}
"""
ASLEEP = "time.sleep(60)"
COMPUTING = "while True: sum(range(10_000_000))"
PARENT = """
import os, subprocess, sys, time
program = sys.argv[1].replace("PARENT", str(os.getpid()))
child = subprocess.Popen([sys.executable, "-c", program], stderr=open(sys.argv[2], "w"))
time.sleep(60)
"""


def program(pid: str, *, busy: str = ASLEEP) -> str:
    return WATCHED.format(root=str(ROOT), pid=pid, busy=busy)


@pytest.mark.parametrize("busy", [ASLEEP, COMPUTING], ids=["asleep", "computing"])
def test_a_worker_ends_with_its_parent(tmp_path: Path, busy: str) -> None:
    log = tmp_path / "worker.log"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, program("PARENT", busy=busy), str(log)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    assert gone_within(child, 10.0)
    assert "its controller is gone; running was score" in log.read_text()
    parent.stdout.close()


def run_alone(pid: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program(pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_parent_that_was_gone_before_is_noticed() -> None:
    process = run_alone("1")
    _, error = process.communicate(timeout=20)
    assert process.returncode == EXIT_ORPHANED
    assert "its controller is gone" in error


@pytest.fixture
def alone(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    process = run_alone(request.param)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def is_alive(process: subprocess.Popen[str]) -> bool:
    time.sleep(0.3)
    return process.poll() is None


@pytest.mark.parametrize("alone", [str(os.getpid())], indirect=True)
def test_signals_are_the_controllers_affair(alone: subprocess.Popen[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        alone.send_signal(number)
        assert is_alive(alone)


@pytest.mark.parametrize("alone", ["None"], indirect=True)
def test_sigterm_ends_one_without_a_controller_and_ctrl_c_does_not(alone: subprocess.Popen[str]) -> None:
    alone.send_signal(signal.SIGINT)
    assert is_alive(alone)
    alone.send_signal(signal.SIGTERM)
    _, error = alone.communicate(timeout=20)
    assert alone.returncode == EXIT_TERMINATED
    assert "terminated by SIGTERM; running was score" in error
