"""Keys for TCP, and a conversation under them."""

from pathlib import Path

import pytest
import zmq
from zmq.auth.thread import ThreadAuthenticator

from py_worker.server.endpoint import KEY_VARIABLES, remove_socket_folder, take_curve_keys
from py_worker.server.hello import make_hello
from py_worker.server.replies import Outbox
from py_worker.server.request_queue import RequestQueue
from py_worker.server.socket_thread import Connection, SocketThread
from py_worker.session.context import Progress
from py_worker.session.errors import ArgumentError


def environment() -> tuple[dict[str, str], bytes]:
    """The worker's variables and the controller's secret key."""
    server_public, server_secret = zmq.curve_keypair()
    public, secret = zmq.curve_keypair()
    values = [key.decode() for key in (server_public, public, secret)]
    return dict(zip(KEY_VARIABLES, values, strict=True)), server_secret


def test_an_endpoint_on_this_machine_needs_no_keys() -> None:
    variables, _ = environment()
    assert take_curve_keys("ipc:///tmp/x", variables) is None
    assert variables == {}, "they do not stay in the environment"


def test_the_socket_of_a_controller_that_is_gone_is_removed_with_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "ammd-Ab12Cd"
    folder.mkdir()
    (folder / "worker.sock").touch()
    remove_socket_folder(f"ipc://{folder}/worker.sock")
    remove_socket_folder(f"ipc://{folder}/worker.sock")
    remove_socket_folder("tcp://127.0.0.1:5555")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("folder", "others"), [("ammd-Ab12Cd", ["notes.txt"]), ("mine", [])])
def test_a_folder_that_is_not_the_controllers_alone_stays(
    tmp_path: Path, folder: str, others: list[str]
) -> None:
    place = tmp_path / folder
    place.mkdir()
    for name in others:
        (place / name).touch()
    remove_socket_folder(f"ipc://{place}/worker.sock")
    assert [entry.name for entry in place.iterdir()] == others


def test_tcp_without_keys_is_refused() -> None:
    variables, _ = environment()
    del variables[KEY_VARIABLES[2]]
    with pytest.raises(ArgumentError, match=KEY_VARIABLES[2]):
        take_curve_keys("tcp://127.0.0.1:5555", variables)


@pytest.mark.parametrize("bad", ["short", "x" * 41, " " * 40, "é" * 40])
def test_a_key_that_is_none_is_refused(bad: str) -> None:
    variables, _ = environment()
    with pytest.raises(ArgumentError, match=KEY_VARIABLES[0]):
        take_curve_keys("tcp://127.0.0.1:5555", {**variables, KEY_VARIABLES[0]: bad})


def test_keys_that_are_no_pair_are_refused() -> None:
    variables, _ = environment()
    other, _ = environment()
    with pytest.raises(ArgumentError, match="pair"):
        take_curve_keys("tcp://127.0.0.1:5555", {**variables, KEY_VARIABLES[1]: other[KEY_VARIABLES[1]]})


def test_a_worker_speaks_curve() -> None:
    variables, server_secret = environment()
    context = zmq.Context()
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    authenticator.configure_curve(domain="*", location=zmq.auth.CURVE_ALLOW_ANY)
    router = context.socket(zmq.ROUTER)
    router.curve_server = True
    router.curve_secretkey = server_secret
    router.curve_publickey = variables[KEY_VARIABLES[0]].encode()
    port = router.bind_to_random_port("tcp://127.0.0.1")
    endpoint = f"tcp://127.0.0.1:{port}"
    thread = SocketThread(
        Connection(endpoint, make_hello("t"), take_curve_keys(endpoint, variables)),
        RequestQueue(),
        Outbox(),
        Progress(),
    )
    thread.start()
    try:
        assert router.poll(10_000)
        assert b"hello" in router.recv_multipart()[1]
    finally:
        thread.finish()
        authenticator.stop()
        context.destroy(linger=0)
