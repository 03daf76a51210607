"""What the process makes of its environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MAIN = """
import os
from py_worker.__main__ import main
from py_worker.server import worker

class Told:
    def __init__(self, endpoint, token, silence_s, run_operation, keys):
        print(silence_s)
    def describe(self): ...
    def run(self):
        return 0

worker.Worker = Told
if {child}:
    os.environ["AMMD_CONTROLLER_PID"] = str(os.getppid())
raise SystemExit(main(["--connect", "ipc:///nowhere"]))
"""


@pytest.mark.parametrize(("child", "silence"), [(True, "inf"), (False, "60.0")], ids=["child", "by-hand"])
def test_a_child_bears_its_controllers_silence_and_another_does_not(child: bool, silence: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "AMMD_CONTROLLER_PID"}
    program = MAIN.format(child=child)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, silence), done.stderr
