"""The thread that owns the socket. It waits for the socket and the outbox and for nothing else."""

import math
import sys
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass
from typing import Final

import zmq

from py_worker.protocol_gen import HANDSHAKE_MS, ORPHAN_MS, HelloMessage
from py_worker.server.codec import Frame, encode_message
from py_worker.server.conversation import Conversation
from py_worker.server.endpoint import CurveKeys, open_dealer
from py_worker.server.replies import Outbox
from py_worker.server.request_queue import RequestQueue
from py_worker.session.context import Progress

EXIT_DEFECT: Final = 1
EXIT_NO_CONTROLLER: Final = 4
"""The controller is gone: no welcome in time, or silence, or its process ended."""
POLL_MS: Final = 500
FLUSH_S: Final = 5.0
"""How long the last replies may take to leave."""

Dealer = zmq.Socket[bytes]


@dataclass(frozen=True)
class Connection:
    """Whom to connect to, and what to say first.

    Attributes:
        endpoint: ipc:// or tcp://.
        hello: first message.
        keys: for tcp.
        handshake_s: longest wait for the welcome.
        silence_s: longest silence of the controller after it; infinite where its end is noticed otherwise.
    """

    endpoint: str
    hello: HelloMessage
    keys: CurveKeys | None = None
    handshake_s: float = HANDSHAKE_MS / 1000.0
    silence_s: float = ORPHAN_MS / 1000.0


class SocketThread(threading.Thread):
    """Moves messages between the controller and the operation loop.

    When the conversation ends it closes the queue, which ends the loop; the loop's owner then calls `finish`.

    Args:
        connection: endpoint and hello.
        queue: for admitted requests.
        outbox: replies come from here.
        progress: told in pongs.
    """

    def __init__(
        self, connection: Connection, queue: RequestQueue, outbox: Outbox, progress: Progress
    ) -> None:
        super().__init__(name="socket", daemon=True)
        self.exit_status = EXIT_DEFECT
        self._connection = connection
        self._queue = queue
        self._outbox = outbox
        self._unsent: deque[list[Frame]] = deque()
        self._conversation = Conversation(queue, progress, self._unsent.append)
        self._loop_ended = threading.Event()
        self._silence_s = 0.0

    def run(self) -> None:
        """Serves until `finish`."""
        context = zmq.Context()
        try:
            connection = self._connection
            patient = math.isinf(connection.silence_s)
            dealer = open_dealer(context, connection.endpoint, connection.keys, heartbeats=not patient)
            self._serve(dealer)
            self._flush(dealer)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            self.exit_status = EXIT_DEFECT
        finally:
            self._queue.close()
            context.destroy()

    def finish(self) -> int:
        """Lets the last replies leave and ends the thread; returns the process's exit status."""
        self._loop_ended.set()
        self._outbox.wake()
        self.join(2 * FLUSH_S)
        return self.exit_status

    def _serve(self, dealer: Dealer) -> None:
        poller = zmq.Poller()
        poller.register(self._outbox.fileno(), zmq.POLLIN)
        self._unsent.append(encode_message(self._connection.hello))
        while not self._loop_ended.is_set():
            poller.register(dealer, self._interest())
            began = time.monotonic()
            poller.poll(POLL_MS)
            # Not the clock alone: while both processes were stopped (Ctrl-Z) there was nothing to hear.
            self._silence_s += min(time.monotonic() - began, POLL_MS / 1000.0)
            self._receive(dealer)
            self._send(dealer)
            self._end_when_over()

    def _interest(self) -> int:
        """What to wait for: after the end nothing more is read, and waiting for it would spin."""
        incoming = zmq.POLLIN if self._conversation.exit_status is None else 0
        return incoming | (zmq.POLLOUT if self._unsent else 0)

    def _receive(self, dealer: Dealer) -> None:
        while self._conversation.exit_status is None:
            try:
                frames = dealer.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._silence_s = 0.0
            self._conversation.receive([frame.buffer for frame in frames])

    def _send(self, dealer: Dealer) -> None:
        for reply in self._outbox.take():
            self._conversation.reply(reply)
        try:
            while self._unsent:
                dealer.send_multipart(self._unsent[0], zmq.NOBLOCK)
                self._unsent.popleft()
        except zmq.Again:
            return

    def _end_when_over(self) -> None:
        status = self._conversation.exit_status
        if status is None and self._silent_too_long():
            status = EXIT_NO_CONTROLLER
            print("py_worker: no word from the controller; giving up", file=sys.stderr, flush=True)
        if status is not None:
            self.exit_status = status
            self._conversation.exit_status = status
            self._queue.close()

    def _silent_too_long(self) -> bool:
        welcomed = self._conversation.welcomed
        limit = self._connection.silence_s if welcomed else self._connection.handshake_s
        return self._silence_s > limit

    def _flush(self, dealer: Dealer) -> None:
        give_up = time.monotonic() + FLUSH_S
        self._send(dealer)
        while self._unsent and time.monotonic() < give_up:
            dealer.poll(100, zmq.POLLOUT)
            self._send(dealer)
        dealer.close(linger=int(FLUSH_S * 1000))
