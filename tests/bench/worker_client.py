"""A worker process and the client that drives it: the product's own path, without Node."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import zmq

from tests.bench.step_requests import Request, Session, load_requests
from tests.bench.workload import Place, Workload
from tests.py.server.controller import Controller, ipc_endpoint

ROOT = Path(__file__).resolve().parents[2]
PING_MS = 5000
"""A worker that hears nothing for a minute takes its controller for dead."""
STEPS_AHEAD = 2
"""Optimizer steps in flight, as the controller has."""

Reply = dict[str, Any]


class WorkerError(Exception):
    """The worker refused a request, or ended."""


class PatientController(Controller):
    """Waits for as long as the worker lives, and lets it hear that it does.

    Args:
        check: raises when the worker has ended.
    """

    def __init__(self, endpoint: str, check: Callable[[], None]) -> None:
        super().__init__(endpoint)
        self._check = check

    def receive(self, timeout_ms: int = PING_MS) -> tuple[dict[str, Any], list[bytes]]:
        """The next message of the worker, any kind."""
        while self.silent(timeout_ms):
            self._check()
            if self.hello:
                self.nudge()
        return super().receive()

    def nudge(self) -> None:
        """A ping whose pong nobody waits for."""
        self.send({"kind": "ping", "nonce": 0})


class BenchWorker:
    """A `python -m py_worker` process. Requests are sent without waiting; use as a context manager.

    Args:
        threads: of tensor operations on the CPU.
    """

    def __init__(self, threads: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ammd-bench-"))
        self._log = (self._folder / "worker.log").open("w+")
        self._controller = PatientController(ipc_endpoint(self._folder), self._check)
        self._token = secrets.token_urlsafe(32)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "py_worker", "--connect", self._controller.endpoint],
            cwd=ROOT,
            env=thread_environment(threads)
            | {"AMMD_TOKEN": self._token, "AMMD_CONTROLLER_PID": str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def __enter__(self) -> "BenchWorker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets the running operation finish and ends the process."""
        try:
            self._controller.bye()
            self.process.wait(30)
        except (zmq.ZMQError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self._controller.close()
        self._log.close()
        shutil.rmtree(self._folder)

    def load(self, method: str, workload: Workload, place: Place, session: Session) -> dict[str, Any]:
        """Loads all that a method needs, once; returns what the worker said of the student."""
        self.greet()
        requests = load_requests(method, workload, place, session)
        replies = self.run(requests)
        students = [
            reply["result"]
            for (op, args), reply in zip(requests, replies, strict=True)
            if op == "load_role" and args["role"] == "student"
        ]
        return dict(students[0])

    def run(self, requests: Iterable[Request]) -> list[Reply]:
        """Sends all requests at once and waits for their replies, in order.

        Raises:
            WorkerError: one of them failed, or the worker ended.
        """
        return [self._reply(op, number) for op, number in self._send(requests)]

    def steps(self, steps: Iterable[list[Request]]) -> tuple[float, list[list[Reply]]]:
        """Seconds of several optimizer steps, each sent before the last is answered, and their replies."""
        replies, in_flight = [], []
        start = time.perf_counter()
        for requests in steps:
            in_flight.append(self._send(requests))
            if len(in_flight) == STEPS_AHEAD:
                replies.append([self._reply(op, number) for op, number in in_flight.pop(0)])
        replies += [[self._reply(op, number) for op, number in sent] for sent in in_flight]
        return time.perf_counter() - start, replies

    def ping(self) -> None:
        """For when nothing is asked of it for long."""
        self._check()
        self._controller.nudge()

    def restart_peak(self) -> int:
        """Bytes in use now; where the system can, a process's peak is counted anew from here."""
        memory = self._memory()
        if memory["device_bytes"] == 0 and self._kernel.exists():
            (self._kernel / "clear_refs").write_text("5")
        return memory["device_bytes"] or memory["resident_bytes"]

    def peak_bytes(self) -> int:
        """Most bytes in use: of the device's allocator, or resident on the CPU."""
        memory = self._memory()
        if memory["device_bytes"] == 0 and self._kernel.exists():
            # Not the worker's own figure: it begins with the peak of the process that started it.
            lines = (self._kernel / "status").read_text().splitlines()
            return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
        return memory["peak_device_bytes"] or memory["peak_resident_bytes"]

    def _memory(self) -> dict[str, int]:
        result: dict[str, int] = self.run([("report_memory", {})])[0]["result"]
        return result

    @property
    def _kernel(self) -> Path:
        """What Linux tells of the process."""
        return Path(f"/proc/{self.process.pid}")

    def greet(self) -> None:
        """Importing torch takes seconds, in which other workers can start."""
        self._controller.welcome()
        if self._controller.hello["token"] != self._token:
            raise WorkerError("another worker has connected")

    def _send(self, requests: Iterable[Request]) -> list[tuple[str, int]]:
        return [(op, self._controller.request(op, args)) for op, args in requests]

    def _reply(self, op: str, number: int) -> Reply:
        reply = self._controller.reply(number)
        if "error" in reply:
            error = reply["error"]
            raise WorkerError(f"{op}: {error['message']}\n{error.get('detail', '')}")
        return reply

    def _check(self) -> None:
        if self.process.poll() is not None:
            self._log.seek(0)
            raise WorkerError(f"the worker ended with {self.process.returncode}:\n{self._log.read()}")


def phases(requests: Iterable[Request], replies: Iterable[Reply]) -> dict[str, float]:
    """Seconds of each kind of operation of a step."""
    seconds: dict[str, float] = {}
    for (op, _), reply in zip(requests, replies, strict=True):
        seconds[op] = seconds.get(op, 0.0) + reply["run_ms"] / 1000
    return seconds


def thread_environment(threads: int) -> dict[str, str]:
    """As the controller starts a worker: a short spin, so that idle threads leave the cores to others."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AMMD_")}
    return {**own, "OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "10000", "PYTHONPATH": _python_path()}


def _python_path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
