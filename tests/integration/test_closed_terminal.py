"""A run whose terminal is closed, as by a dropped connection."""

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


def run_in_terminal(folder: Path) -> tuple[int, int]:
    """Starts a long run as the leader of a terminal's session; its process id and the terminal."""
    process, terminal = pty.fork()
    if process == 0:
        long = ["--set", "stage_defaults.training.steps=5000", "--set", "stage_defaults.checkpoints.every=0"]
        command = ["node", "dist/ts/cli/main.js", "train", "tests/fixtures/configs/tiny.yaml"]
        os.chdir(ROOT)
        os.environ["AMMD_WORKER_PYTHON"] = sys.executable
        os.execvp("node", [*command, *long, "--out", str(folder)])
    # The view of the run is drawn only where there is room for it.
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    return process, terminal


def read_until(terminal: int, began: Path) -> None:
    """A terminal that nobody reads would stop the run."""
    deadline = time.monotonic() + PATIENCE_S
    while not (began.exists() and began.stat().st_size > 0):
        assert time.monotonic() < deadline, "no step was run"
        if select.select([terminal], [], [], 0.1)[0]:
            os.read(terminal, 65536)


def ended(process: int) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if os.waitpid(process, os.WNOHANG)[0] == process:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
def test_it_stops_with_a_checkpoint(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process, terminal = run_in_terminal(run)
    try:
        read_until(terminal, run / "stages/teacher/metrics.jsonl")
        os.close(terminal)
        assert ended(process)
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    (checkpoint,) = (run / "stages/teacher/checkpoints").iterdir()
    assert (checkpoint / "manifest.json").exists()
    assert not (run / "lock").exists()
