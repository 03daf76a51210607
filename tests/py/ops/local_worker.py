"""The operation loop without a socket: requests go through the real queue, decoder, loop and encoder."""

import os
import threading
from typing import Any

import msgspec
import pytest

from py_worker import ops
from py_worker.protocol_gen import OPERATIONS, RequestMessage
from py_worker.server.codec import Frame
from py_worker.server.operation_loop import OperationLoop
from py_worker.server.replies import EncodedReply
from py_worker.server.request_queue import Admitted, RequestQueue
from py_worker.session.context import Progress
from py_worker.session.session import Session
from tests.py.server.controller import RequestError, tensor_of

WAIT_S = 60.0
DEVICE = os.environ.get("AMMD_TEST_DEVICE", "cpu")
on_a_cpu_alone = pytest.mark.skipif(DEVICE != "cpu", reason="says what holds on a CPU")
SETTINGS: dict[str, Any] = {
    "device": DEVICE,
    "threads": 1,
    "cache_dir": "",
    "step_budget_bytes": 0,
    "buffer_budget_bytes": 0,
    "position_chunk": 0,
    "rollout_rows": 0,
}


class LocalWorker:
    """Sends requests and waits for their replies; every result is checked against the contract's type."""

    def __init__(self, cache_dir: str) -> None:
        self.session = Session()
        self.epoch = 0
        self._queue = RequestQueue()
        self._ids = 0
        self._replies: dict[int, list[Frame]] = {}
        self._arrived = threading.Condition()
        self._loop = OperationLoop(self._queue, self.session, ops.run, self._post, Progress())
        self._thread = threading.Thread(target=self._loop.run, daemon=True)
        self._thread.start()
        self.settings = {**SETTINGS, "cache_dir": cache_dir}

    def close(self) -> None:
        self._queue.close()
        self._thread.join(WAIT_S)

    def request(self, op: str, **args: Any) -> int:
        self._ids += 1
        raw = msgspec.Raw(msgspec.msgpack.encode(args))
        message = RequestMessage(id=self._ids, epoch=self.epoch, op=op, args=raw)
        assert self._queue.put(Admitted(message, len(raw)))
        return self._ids

    @property
    def last_id(self) -> int:
        return self._ids

    def cancel(self, request_id: int) -> None:
        self._queue.cancel(request_id)

    def reply(self, request_id: int) -> tuple[dict[str, Any], list[Frame]]:
        with self._arrived:
            assert self._arrived.wait_for(lambda: request_id in self._replies, WAIT_S), "no reply"
            body, *frames = self._replies.pop(request_id)
        return msgspec.msgpack.decode(body), frames

    def call(self, op: str, **args: Any) -> Any:
        """The result with its tensors; after an error the next epoch is open."""
        reply, frames = self.reply(self.request(op, **args))
        if "error" in reply:
            self.epoch += 1
            raise RequestError(reply["error"])
        msgspec.convert(reply["result"], OPERATIONS[op].result)
        return {
            name: tensor_of(value, frames) if isinstance(value, dict) and "frame" in value else value
            for name, value in reply["result"].items()
        }

    def error(self, op: str, **args: Any) -> dict[str, Any]:
        """The error of a request that must fail."""
        try:
            result = self.call(op, **args)
        except RequestError as error:
            return error.info
        raise AssertionError(f"{op} did not fail: {result}")

    def _post(self, reply: EncodedReply) -> None:
        with self._arrived:
            self._replies[reply.request_id] = reply.frames
            self._arrived.notify_all()
