"""Messages to frames and back: one MessagePack body, then raw tensor frames that the body refers to.

The contract's types bound every list, map and string of a controller's message, and msgspec checks a length
against its bound and against the bytes that are there before it allocates; so no message costs more memory
than its own bytes.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import torch
from msgspec import Raw, Struct
from torch import Tensor

from py_worker.protocol_gen import (
    MAX_BODY_BYTES,
    MAX_DEPTH,
    MAX_FRAME_BYTES,
    MAX_FRAMES,
    OPERATIONS,
    ControllerMessage,
    TensorRef,
    WorkerMessage,
)
from py_worker.session.errors import ArgumentError, OversizeError, WorkerError

Frame = bytes | memoryview

DTYPES: Final[dict[str, torch.dtype]] = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int64": torch.int64,
    "int32": torch.int32,
    "uint8": torch.uint8,
    "bool": torch.bool,
}
_DTYPE_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}


class MalformedError(WorkerError):
    """The message is no MessagePack map of the envelope's shape."""

    code = "malformed"


class UnknownOperationError(WorkerError):
    """No operation of that name."""

    code = "unknown_operation"


_message_decoder: Final = msgspec.msgpack.Decoder(ControllerMessage)
_args_decoders: Final = {name: msgspec.msgpack.Decoder(entry.args) for name, entry in OPERATIONS.items()}


def check_sizes(body_bytes: int, frame_bytes: Sequence[int]) -> None:
    """Checks a message against the contract's limits.

    Raises:
        OversizeError: the body, a frame, or the number of frames is over its limit.
    """
    if body_bytes > MAX_BODY_BYTES:
        raise OversizeError(f"a body of {body_bytes} bytes is over the limit of {MAX_BODY_BYTES}")
    if len(frame_bytes) > MAX_FRAMES:
        raise OversizeError(f"{len(frame_bytes)} tensor frames are over the limit of {MAX_FRAMES}")
    largest = max(frame_bytes, default=0)
    if largest > MAX_FRAME_BYTES:
        raise OversizeError(f"a tensor frame of {largest} bytes is over the limit of {MAX_FRAME_BYTES}")


def decode_message(body: Frame) -> ControllerMessage:
    """Decodes a controller's message; a request's arguments stay raw.

    Raises:
        MalformedError: not MessagePack, nested too deep, not of a known kind, or fields missing or unknown.
    """
    try:
        message: ControllerMessage = _message_decoder.decode(body)
        return message
    except RecursionError as error:
        raise MalformedError(f"the body nests deeper than the limit of {MAX_DEPTH}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedError(f"the message is malformed: {error}") from error


def decode_args(op: str, raw: Raw | bytes) -> Struct:
    """Decodes an operation's arguments, strictly.

    Raises:
        UnknownOperationError: the contract has no such operation.
        ArgumentError: missing or unknown field, wrong type, out of bounds or not finite; the message has the
            path.
    """
    decoder = _args_decoders.get(op)
    if decoder is None:
        raise UnknownOperationError(f"unknown operation {op!r}: use one of {', '.join(sorted(OPERATIONS))}")
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{op}: {error}") from error


def encode_message(message: WorkerMessage) -> list[Frame]:
    """The frames of a worker's message; each tensor in it becomes a raw frame and a `TensorRef` in its place.

    Raises:
        OversizeError: over the contract's limits.
        TypeError: something that is neither MessagePack nor a tensor.
    """
    frames: list[Frame] = []

    def refer(value: Any) -> TensorRef:
        if not isinstance(value, Tensor):
            raise TypeError(f"cannot send a {type(value).__name__}")
        frames.append(tensor_bytes(value))
        return TensorRef(dtype=dtype_name(value.dtype), shape=list(value.shape), frame=len(frames) - 1)

    body = msgspec.msgpack.Encoder(enc_hook=refer).encode(message)
    check_sizes(len(body), [len(frame) for frame in frames])
    return [body, *frames]


def dtype_name(dtype: torch.dtype) -> str:
    """The contract's name of a dtype.

    Raises:
        TypeError: the contract has no such dtype.
    """
    if dtype not in _DTYPE_NAMES:
        raise TypeError(f"cannot send a tensor of dtype {dtype}: use one of {', '.join(DTYPES)}")
    return _DTYPE_NAMES[dtype]


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The elements in row-major order, little-endian; any strides and device, and no elements, are fine."""
    host = tensor.detach().cpu().contiguous()
    # numpy knows no bfloat16, but it does know its bytes. A tensor without elements has no bytes to view.
    flat = host.flatten().view(torch.uint8) if host.numel() else torch.empty(0, dtype=torch.uint8)
    return memoryview(flat.numpy().data)
