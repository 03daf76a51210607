"""A small controller for tests: a ROUTER that speaks the protocol from outside."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
import zmq

from py_worker import ops
from py_worker.protocol_gen import PROTOCOL_VERSION
from py_worker.server.codec import DTYPES
from py_worker.server.worker import Worker

WAIT_MS = 20_000


class RequestError(Exception):
    """An error reply.

    Attributes:
        info: the reply's error.
    """

    def __init__(self, info: dict[str, Any]) -> None:
        super().__init__(f"{info['code']}: {info['message']}")
        self.info = info

    @property
    def code(self) -> str:
        return str(self.info["code"])


class Controller:
    """Binds an endpoint, sends requests without waiting, and collects replies by id."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router.bind(endpoint)
        self._identity = b""
        self._next_id = 1
        self._replies: dict[int, tuple[dict[str, Any], list[bytes]]] = {}
        self.epoch = 0
        self.hello: dict[str, Any] = {}
        self.log: list[dict[str, Any]] = []

    def close(self) -> None:
        self._context.destroy(linger=0)

    def receive(self, timeout_ms: int = WAIT_MS) -> tuple[dict[str, Any], list[bytes]]:
        """The next message of the worker, any kind."""
        assert self._router.poll(timeout_ms), "the worker says nothing"
        self._identity, body, *frames = self._router.recv_multipart()
        message = msgspec.msgpack.decode(body)
        self.log.append(message)
        return message, frames

    def silent(self, for_ms: int) -> bool:
        return not self._router.poll(for_ms)

    def wait_hello(self) -> dict[str, Any]:
        self.hello, _ = self.receive()
        return self.hello

    def welcome(self) -> None:
        self.wait_hello()
        self.send({"kind": "welcome", "protocol_version": PROTOCOL_VERSION})

    def send_raw(self, *frames: bytes) -> None:
        self._router.send_multipart([self._identity, *frames])

    def send(self, message: dict[str, Any]) -> None:
        self.send_raw(msgspec.msgpack.encode(message))

    def request(self, op: str, args: dict[str, Any] | None = None, **envelope: Any) -> int:
        """Sends one request and returns its id at once."""
        request_id = envelope.pop("id", self._next_id)
        self._next_id = max(self._next_id, request_id + 1)
        epoch = envelope.pop("epoch", self.epoch)
        self.send(
            {"kind": "request", "id": request_id, "epoch": epoch, "op": op, "args": args or {}, **envelope}
        )
        return request_id

    def reply(self, request_id: int) -> dict[str, Any]:
        """Waits for the reply of a request, as it is."""
        while request_id not in self._replies:
            message, frames = self.receive()
            if message["kind"] == "reply":
                self._replies[message["id"]] = (message, frames)
        return self._replies.pop(request_id)[0]

    def next_of_kind(self, kind: str) -> dict[str, Any]:
        """Waits for a message of this kind; replies that come before it are kept."""
        while True:
            message, frames = self.receive()
            if message["kind"] == kind:
                return message
            if message["kind"] == "reply":
                self._replies[message["id"]] = (message, frames)

    def error(self, request_id: int) -> dict[str, Any]:
        reply = self.reply(request_id)
        assert "error" in reply, f"no error: {reply}"
        return reply["error"]

    def call(self, op: str, **args: Any) -> dict[str, Any]:
        """Sends a request, waits, and returns its result; after an error the next epoch is open."""
        reply = self.reply(self.request(op, args))
        if "error" in reply:
            self.epoch += 1
            raise RequestError(reply["error"])
        return reply["result"]

    def ping(self, nonce: int = 7) -> dict[str, Any]:
        self.send({"kind": "ping", "nonce": nonce})
        return self.next_of_kind("pong")

    def bye(self) -> None:
        self.send({"kind": "bye"})


class WorkerThread:
    """A worker in this process; its operation loop runs in a thread instead of the main one."""

    def __init__(self, endpoint: str, token: str = "secret") -> None:
        self.worker = Worker(endpoint, token, silence_s=60.0, run_operation=ops.run)
        self.status: int | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.status = self.worker.run()

    def join(self) -> int | None:
        self._thread.join(WAIT_MS / 1000)
        return self.status


def ipc_endpoint(folder: Path) -> str:
    return f"ipc://{folder}/w"


def tensor_of(reference: dict[str, Any], frames: Sequence[Any]) -> torch.Tensor:
    """The tensor that a reply refers to."""
    data, dtype = frames[reference["frame"]], DTYPES[reference["dtype"]]
    flat = torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)
    return flat.reshape(reference["shape"])
