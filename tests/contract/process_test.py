"""How a worker's process begins and ends, as protocol/README.md says; against the same workers."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.any_worker import AnyWorker, python
from tests.contract.conftest import settings

WAIT_S = 30

# A controller that starts a worker, tells its process id, and lives until it is killed.
CONTROLLER = """
import os, subprocess, sys
os.environ["AMMD_CONTROLLER_PID"] = str(os.getpid())
print(subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL).pid, flush=True)
sys.stdin.read()
"""


class TestEnd:
    def test_refused(self, own_worker: AnyWorker) -> None:
        error = {"code": "version_mismatch", "message": "both versions", "applied": False}
        own_worker.send({"kind": "refuse", "error": error})
        assert own_worker.process.wait(WAIT_S) == 3
        assert "both versions" in own_worker.log.read_text()

    def test_bye_finishes_what_runs_and_drops_the_rest(self, own_worker: AnyWorker) -> None:
        own_worker.welcome()
        ids = [own_worker.request("configure", settings(own_worker)) for _ in range(3)]
        own_worker.send({"kind": "bye"})
        assert own_worker.process.wait(WAIT_S) == 0
        while not own_worker.silent(0):
            own_worker.receive()
        # How many had begun is chance; those have their replies, in order.
        assert own_worker.order == ids[: len(own_worker.order)]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_to_the_group_is_the_controllers_affair(
        self, own_worker: AnyWorker, number: signal.Signals
    ) -> None:
        own_worker.welcome()
        own_worker.process.send_signal(number)
        own_worker.result("report_memory")
        own_worker.send({"kind": "bye"})
        assert own_worker.process.wait(WAIT_S) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs to adopt the orphan")
class TestOrphan:
    @pytest.fixture(autouse=True)
    def adopt_orphans(self) -> Iterator[None]:
        pr_set_child_subreaper = 36
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1)
        yield
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 0)

    def test_a_worker_does_not_outlive_its_controller(self, command: list[str], tmp_path: Path) -> None:
        arguments = [*command, "--connect", f"ipc://{tmp_path}/worker.sock"]
        controller = subprocess.Popen(
            python("-c", CONTROLLER, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert controller.stdin is not None and controller.stdout is not None
        worker = int(controller.stdout.readline())
        controller.kill()
        controller.wait()
        status = os.waitpid(worker, 0)[1]
        # By its own decision, or by the signal that the kernel sends for it.
        assert os.waitstatus_to_exitcode(status) in (4, -signal.SIGKILL, -signal.SIGTERM)
        controller.stdin.close()
        controller.stdout.close()

    def test_a_worker_whose_controller_is_gone_before_it_looks(self, own_worker: AnyWorker) -> None:
        command = [str(argument) for argument in own_worker.process.args]  # type: ignore[union-attr]
        environment = own_worker.environment(controller=1)
        late = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        assert late.wait(WAIT_S) == 4
