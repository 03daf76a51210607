"""The socket's thread: how it ends without a controller, and what does not end it."""

import time
from collections.abc import Iterator
from itertools import count

import pytest
import zmq

from py_worker.server import socket_thread
from py_worker.server.hello import make_hello
from py_worker.server.replies import Outbox
from py_worker.server.request_queue import RequestQueue
from py_worker.server.socket_thread import EXIT_NO_CONTROLLER, Connection, SocketThread
from py_worker.session.context import Progress

WELCOME = b"\x82\xa4kind\xa7welcome\xb0protocol_version\x01"
PING = b"\x82\xa4kind\xa4ping\xa5nonce\x01"


@pytest.fixture
def router(endpoint: str) -> Iterator["zmq.Socket[bytes]"]:
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)
    yield router
    context.destroy(linger=0)


@pytest.mark.parametrize("welcome", [False, True])
def test_a_silent_controller_is_given_up(
    endpoint: str, router: "zmq.Socket[bytes]", welcome: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = RequestQueue()
    connection = Connection(
        endpoint, make_hello("t"), handshake_s=60.0 if welcome else 0.05, silence_s=0.05 if welcome else 60.0
    )
    thread = SocketThread(connection, queue, Outbox(), Progress())
    thread.start()
    identity, _ = router.recv_multipart()
    if welcome:
        router.send_multipart([identity, WELCOME])
    assert queue.get() is None
    assert thread.finish() == EXIT_NO_CONTROLLER
    assert "no word from the controller" in capsys.readouterr().err


def test_time_in_which_the_process_was_stopped_is_no_silence(
    endpoint: str, router: "zmq.Socket[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that jumps by an hour whenever it is read."""
    hours = count()
    monkeypatch.setattr(socket_thread, "POLL_MS", 10)
    thread = SocketThread(Connection(endpoint, make_hello("t")), RequestQueue(), Outbox(), Progress())
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: 3600.0 * next(hours))
        thread.start()
        identity, _ = router.recv_multipart()
        router.send_multipart([identity, WELCOME])
        while next(hours) < 50:
            time.sleep(0.01)
        router.send_multipart([identity, PING])
        assert b"pong" in router.recv_multipart()[1]
    thread.finish()


def test_an_endpoint_that_is_none_ends_the_thread(capsys: pytest.CaptureFixture[str]) -> None:
    queue = RequestQueue()
    thread = SocketThread(Connection("nonsense", make_hello("t")), queue, Outbox(), Progress())
    thread.start()
    assert queue.get() is None
    assert thread.finish() == 1
    assert "cannot connect to nonsense" in capsys.readouterr().err
