"""Replies on their way out, and those remembered for a request that comes twice."""

import contextlib
import socket
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

from py_worker.protocol_gen import MAX_QUEUED_BYTES, REMEMBERED_REPLIES
from py_worker.server.codec import Frame


@dataclass(frozen=True)
class EncodedReply:
    """A reply as frames, with the request it answers.

    Attributes:
        request_id: of the request.
        frames: the message.
        may_wait: another reply follows at once and can wake the socket thread for both. A wake-up takes
            0.15 ms of the interpreter from the operation that follows.
    """

    request_id: int
    frames: list[Frame]
    may_wait: bool = False

    @property
    def size(self) -> int:
        return sum(len(frame) for frame in self.frames)


class Outbox:
    """Hands replies from any thread to the socket thread and wakes it; `post` never waits.

    A pair of sockets, because ZeroMQ's poller takes them on every system and its own sockets belong to one
    thread.
    """

    def __init__(self) -> None:
        self._replies: deque[EncodedReply] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        """Readable when something was posted."""
        return self._reader.fileno()

    def post(self, reply: EncodedReply) -> None:
        self._replies.append(reply)
        if not reply.may_wait:
            self.wake()

    def wake(self) -> None:
        """Lets the socket thread look around. A full pipe means that it is being woken already."""
        with contextlib.suppress(BlockingIOError):
            self._writer.send(b"\0")

    def take(self) -> list[EncodedReply]:
        """What was posted since the last call, in order."""
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass
        return [self._replies.popleft() for _ in range(len(self._replies))]

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


class RememberedReplies:
    """The last replies by request id; the oldest go when there are too many, or too many bytes of them.

    Args:
        max_replies: replies kept.
        max_bytes: bytes kept: tensor frames must not pile up. The newest reply is always kept.
    """

    def __init__(self, max_replies: int = REMEMBERED_REPLIES, max_bytes: int = MAX_QUEUED_BYTES) -> None:
        self._max_replies: Final = max_replies
        self._max_bytes: Final = max_bytes
        self._replies: OrderedDict[int, EncodedReply] = OrderedDict()
        self._bytes = 0

    def add(self, reply: EncodedReply) -> None:
        self._replies[reply.request_id] = reply
        self._bytes += reply.size
        while len(self._replies) > self._max_replies or (
            self._bytes > self._max_bytes and len(self._replies) > 1
        ):
            _, oldest = self._replies.popitem(last=False)
            self._bytes -= oldest.size

    def get(self, request_id: int) -> EncodedReply | None:
        return self._replies.get(request_id)
