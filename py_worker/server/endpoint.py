"""Where the controller listens, and the keys for TCP."""

import contextlib
import struct
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.utils import z85

from py_worker.protocol_gen import HEARTBEAT_MS, LIVENESS_MS, MAX_FRAME_BYTES
from py_worker.session.errors import ArgumentError

HARD_MESSAGE_BYTES = 2 * MAX_FRAME_BYTES
"""libzmq drops the connection above this. Up to here an oversize frame is received and gets a typed error."""
KEY_VARIABLES = ("AMMD_CURVE_SERVER_KEY", "AMMD_CURVE_PUBLIC_KEY", "AMMD_CURVE_SECRET_KEY")
"""Environment variables of the keys: a command line is visible to every user of the machine."""

SOCKET_FOLDER_PREFIX = "ammd-"
"""How the controller's folders for socket files begin (ts/worker/endpoint.ts)."""

Dealer = zmq.Socket[bytes]


@dataclass(frozen=True)
class CurveKeys:
    """CURVE keys, each 40 characters of Z85: the controller's public key and the worker's own pair."""

    server_public: bytes
    own_public: bytes
    own_secret: bytes


def take_curve_keys(endpoint: str, environment: MutableMapping[str, str]) -> CurveKeys | None:
    """The keys for an endpoint, taken out of the environment, so that no child process gets them.

    Returns:
        None for an endpoint on this machine, which needs none.

    Raises:
        ArgumentError: TCP without keys, or a key that is none.
    """
    values = [environment.pop(name, "") for name in KEY_VARIABLES]
    if not endpoint.startswith("tcp://"):
        return None
    if not all(values):
        missing = [name for name, value in zip(KEY_VARIABLES, values, strict=True) if not value]
        raise ArgumentError(f"{endpoint} needs CURVE keys: set {', '.join(missing)}, or use ipc://")
    for name, value in zip(KEY_VARIABLES, values, strict=True):
        if not _is_key(value):
            raise ArgumentError(f"{name} is no CURVE key: it must be 40 characters of Z85")
    server, public, secret = (value.encode() for value in values)
    if zmq.curve_public(secret) != public:
        raise ArgumentError(f"{KEY_VARIABLES[1]} and {KEY_VARIABLES[2]} are not one pair")
    return CurveKeys(server, public, secret)


def remove_socket_folder(endpoint: str) -> None:
    """Removes the private folder that a controller made for its socket file and, killed, could not remove.

    Nothing else goes: the folder must bear the controller's prefix and hold nothing but the socket.
    """
    if not endpoint.startswith("ipc://"):
        return
    socket = Path(endpoint.removeprefix("ipc://"))
    if not socket.parent.name.startswith(SOCKET_FOLDER_PREFIX):
        return
    with contextlib.suppress(OSError):
        socket.unlink(missing_ok=True)
        socket.parent.rmdir()


def _is_key(value: str) -> bool:
    try:
        return len(value) == 40 and len(z85.decode(value)) == 32
    except (ValueError, KeyError, struct.error):
        return False


def open_dealer(
    context: zmq.Context[Dealer], endpoint: str, keys: CurveKeys | None, *, heartbeats: bool
) -> Dealer:
    """A DEALER that connects to the controller; with heartbeats it gives up one that is held up.

    Raises:
        ArgumentError: ZeroMQ does not take the endpoint.
    """
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.MAXMSGSIZE, HARD_MESSAGE_BYTES)
    if heartbeats:
        dealer.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        dealer.setsockopt(zmq.HEARTBEAT_TIMEOUT, LIVENESS_MS)
    dealer.setsockopt(zmq.LINGER, 0)
    if keys is not None:
        dealer.curve_serverkey = keys.server_public
        dealer.curve_publickey = keys.own_public
        dealer.curve_secretkey = keys.own_secret
    try:
        dealer.connect(endpoint)
    except zmq.ZMQError as error:
        dealer.close()
        raise ArgumentError(f"cannot connect to {endpoint}: {error}") from error
    return dealer
