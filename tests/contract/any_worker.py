"""A controller for conformance tests: starts a worker command and speaks to it in plain MessagePack."""

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec
import zmq

from tests.fixtures.contract import DEFINITION, ROOT, check_fields

WAIT_MS: Final = 60_000
Message = dict[str, Any]


class AnyWorker:
    """One worker process behind a ROUTER.

    Args:
        command: starts the worker; `--connect ENDPOINT` is appended.
    """

    def __init__(self, command: list[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ammd-")
        self.folder = Path(self._folder.name)
        self.token = secrets.token_urlsafe(32)
        self.endpoint = f"ipc://{self.folder}/worker.sock"
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.bind(self.endpoint)
        self.log = self.folder / "worker.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--connect", self.endpoint],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=self.environment(os.getpid()),
            )
        self._peer, body = self._router.recv_multipart() if self._router.poll(WAIT_MS) else (b"", b"\xc0")
        self.hello: Message = msgspec.msgpack.decode(body)
        self.epoch = 0
        self._last_id = 0
        self._replies: dict[int, list[tuple[Message, list[bytes]]]] = {}
        self.order: list[int] = []
        """Ids of the replies, in the order in which they came."""

    def environment(self, controller: int) -> dict[str, str]:
        """Environment of a worker whose parent has the id `controller`."""
        settings = {"AMMD_TOKEN": self.token, "AMMD_CONTROLLER_PID": str(controller), "OMP_NUM_THREADS": "1"}
        return {**os.environ, "PYTHONPATH": str(ROOT), **settings}

    def close(self) -> None:
        """Kills the process."""
        self.process.kill()
        self.process.wait()
        self._context.destroy(linger=0)
        self._folder.cleanup()

    # Sending.

    def send_raw(self, *frames: bytes) -> None:
        """One message, as it is."""
        self._router.send_multipart([self._peer, *frames])

    def send(self, message: Message) -> None:
        """One message."""
        self.send_raw(msgspec.msgpack.encode(message))

    def welcome(self) -> None:
        """Admits the worker."""
        self.send({"kind": "welcome", "protocol_version": DEFINITION["version"]})

    def next_id(self) -> int:
        """A new request id."""
        self._last_id += 1
        return self._last_id

    def open_epoch(self) -> None:
        """Later requests belong to a new epoch."""
        self.epoch += 1

    def message(self, op: str, args: Message | None = None, **envelope: Any) -> Message:
        """A request that is not sent yet."""
        request_id = envelope.pop("id", None) or self.next_id()
        epoch = envelope.pop("epoch", self.epoch)
        return {
            "kind": "request",
            "id": request_id,
            "epoch": epoch,
            "op": op,
            "args": args or {},
            **envelope,
        }

    def request(self, op: str, args: Message | None = None, **envelope: Any) -> int:
        """Sends a request and returns its id at once."""
        message = self.message(op, args, **envelope)
        self.send(message)
        return int(message["id"])

    # Receiving.

    def receive(self, timeout_ms: int = WAIT_MS) -> Message:
        """The next message, checked against the contract; a reply is also kept for `reply`."""
        assert self._router.poll(timeout_ms), f"no message came; the log says:\n{self.log.read_text()}"
        _, body, *tensors = self._router.recv_multipart()
        message: Message = msgspec.msgpack.decode(body)
        fields = {name: value for name, value in message.items() if name != "kind"}
        check_fields(DEFINITION["messages"][message["kind"]]["fields"], fields, message["kind"])
        if message["kind"] == "reply":
            assert ("result" in message) != ("error" in message)
            self.order.append(message["id"])
            self._replies.setdefault(message["id"], []).append((message, tensors))
        return message

    def silent(self, ms: int) -> bool:
        """Whether nothing comes for a while."""
        return not self._router.poll(ms)

    def reply(self, request_id: int) -> Message:
        """The reply to a request; waits for it. Its result, if any, has the contract's shape."""
        while not self._replies.get(request_id):
            self.receive()
        return self._replies[request_id].pop(0)[0]

    def result(self, op: str, args: Message | None = None, **envelope: Any) -> Message:
        """Sends a request and returns its result."""
        reply = self.reply(self.request(op, args, **envelope))
        assert "result" in reply, reply
        check_fields(DEFINITION["operations"][op]["result"], reply["result"], op)
        return dict(reply["result"])

    def error(self, request_id: int) -> Message:
        """The error of a request."""
        reply = self.reply(request_id)
        assert "error" in reply, reply
        return dict(reply["error"])

    def code(self, op: str, args: Message | None = None, **envelope: Any) -> str:
        """Sends a request that fails, in an epoch of its own; returns the error's code."""
        code = str(self.error(self.request(op, args, **envelope))["code"])
        self.open_epoch()
        return code

    def pong(self) -> Message:
        """Pings, and returns the pong."""
        nonce = secrets.randbelow(2**53)
        self.send({"kind": "ping", "nonce": nonce})
        while True:
            message = self.receive()
            if message["kind"] == "pong":
                assert message["nonce"] == nonce
                return message


def python(*arguments: str) -> list[str]:
    """A command of this Python."""
    return [sys.executable, *arguments]
