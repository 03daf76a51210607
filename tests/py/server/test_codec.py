"""Decoding what a controller may send, and encoding what a worker answers."""

import contextlib
import math
from typing import Any, get_args, get_origin

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from py_worker.protocol_gen import (
    MAX_BODY_BYTES,
    MAX_DEPTH,
    MAX_FRAME_BYTES,
    MAX_FRAMES,
    OPERATIONS,
    FetchResult,
    ReplyMessage,
)
from py_worker.server.codec import (
    DTYPES,
    MalformedError,
    UnknownOperationError,
    check_sizes,
    decode_args,
    decode_message,
    encode_message,
)
from py_worker.session.errors import ArgumentError, OversizeError
from tests.py.server.controller import tensor_of

pack = msgspec.msgpack.encode
OPTIMIZER = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.0}
CRITIC = {
    "head": "linear",
    "features": "teacher",
    "hidden_size": 8,
    "bound": "tanh",
    "bound_value": 1,
    "seed": 1,
}


def reply_with(*tensors: torch.Tensor) -> ReplyMessage:
    return ReplyMessage(id=1, result=list(tensors), run_ms=0.0, idle_ms=0.0)


def round_trip(tensor: torch.Tensor) -> torch.Tensor:
    body, *frames = encode_message(reply_with(tensor))
    assert len(frames) == 1
    return tensor_of(msgspec.msgpack.decode(body)["result"][0], frames)


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_survives(name: str) -> None:
    values = torch.tensor([[0, 1, 0], [1, 1, 1]]).to(DTYPES[name])
    received = round_trip(values)
    assert received.dtype == values.dtype
    assert torch.equal(received, values)


def test_bfloat16_keeps_its_bits() -> None:
    values = torch.randn(7, 3, generator=torch.Generator().manual_seed(1)).bfloat16()
    assert torch.equal(round_trip(values).view(torch.int16), values.view(torch.int16))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(12).reshape(3, 4).T,
        torch.arange(12)[::3],
        torch.arange(3).expand(4, 3),
        torch.empty(0, 5),
        torch.tensor(3.5),
        torch.ones(2, 2, requires_grad=True),
    ],
    ids=["transposed", "strided", "expanded", "empty", "scalar", "with gradient"],
)
def test_any_layout_survives(tensor: torch.Tensor) -> None:
    received = round_trip(tensor)
    assert received.shape == tensor.shape
    assert torch.equal(received, tensor)


def test_each_tensor_has_its_own_frame_in_order() -> None:
    result = FetchResult(tokens=torch.ones(2, 3, dtype=torch.int32), log_probs=torch.zeros(4), texts=["a"])
    body, *frames = encode_message(ReplyMessage(id=1, result=result, run_ms=0.0, idle_ms=0.0))
    decoded = msgspec.msgpack.decode(body)["result"]
    assert [len(frame) for frame in frames] == [24, 16]
    assert decoded["tokens"] == {"dtype": "int32", "shape": [2, 3], "frame": 0}
    assert decoded["log_probs"]["frame"] == 1
    assert decoded["texts"] == ["a"]


def test_what_is_no_tensor_cannot_be_sent() -> None:
    with pytest.raises(TypeError, match="object"):
        encode_message(ReplyMessage(id=1, result=object(), run_ms=0.0, idle_ms=0.0))
    with pytest.raises(TypeError, match="complex64"):
        encode_message(reply_with(torch.zeros(1, dtype=torch.complex64)))


def test_limits_of_sizes() -> None:
    check_sizes(MAX_BODY_BYTES, [MAX_FRAME_BYTES] * MAX_FRAMES)
    for sizes in ((MAX_BODY_BYTES + 1, []), (1, [0] * (MAX_FRAMES + 1)), (1, [MAX_FRAME_BYTES + 1])):
        with pytest.raises(OversizeError, match=r"over the limit of \d+"):
            check_sizes(*sizes)


def test_a_reply_over_the_limits_is_not_sent() -> None:
    with pytest.raises(OversizeError, match="body"):
        encode_message(ReplyMessage(id=1, result="x" * MAX_BODY_BYTES, run_ms=0.0, idle_ms=0.0))
    with pytest.raises(OversizeError, match="17 tensor frames"):
        encode_message(reply_with(*[torch.zeros(1)] * 17))


def request(**changes: Any) -> dict[str, Any]:
    return {"kind": "request", "id": 3, "epoch": 1, "op": "reset", "args": {}, **changes}


@pytest.mark.parametrize(
    "message",
    [
        request(id=0),
        request(id=1.0),
        request(id=2**53),
        request(epoch=-1),
        request(op=5),
        request(colour="red"),
        request(deadline_ms=math.nan),
        request(deadline_ms=math.inf),
        {"kind": "request"},
        {"kind": "hello"},
        {"kind": None},
        {},
        [],
        7,
    ],
)
def test_envelopes_are_strict(message: object) -> None:
    with pytest.raises(MalformedError):
        decode_message(pack(message))


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with contextlib.suppress(MalformedError):
        decode_message(body)


def test_a_length_is_believed_only_when_the_bytes_are_there() -> None:
    bomb = b"\xdd\xff\xff\xff\xff"  # an array of 4 billion values
    with pytest.raises(ArgumentError, match=r"rows|truncated"):
        decode_args("preflight", b"\x81" + pack("rows") + bomb)
    with pytest.raises(MalformedError):
        decode_message(b"\x81" + pack("nonce") + bomb)


def test_text_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(MalformedError, match="utf-8"):
        decode_message(pack({"kind": "ping", "nonce": 1}).replace(b"ping", b"p\xffng"))
    with pytest.raises(ArgumentError, match="utf-8"):
        decode_args("export", pack({"role": "teacher"}).replace(b"teacher", b"t\xedacher"))


def test_deep_nesting_is_refused() -> None:
    deep = b"\x91" * 200_000 + b"\xc0"
    with pytest.raises(MalformedError, match=str(MAX_DEPTH)):
        decode_message(pack(request())[:-1] + deep)
    with pytest.raises(ArgumentError):
        decode_args("reset", b"\x81" + pack("x") + b"\x91" * (MAX_DEPTH + 1) + b"\xc0")


def test_arguments_are_decoded_to_the_operation_s_type() -> None:
    args = decode_args("load_critic", Raw(pack({"critic": "off", "spec": CRITIC, "optimizer": OPTIMIZER})))
    assert type(args) is OPERATIONS["load_critic"].args
    assert args.spec.bound_value == 1.0


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.optimizer.beta1", math.nan),
        ("$.optimizer.eps", math.inf),
        ("$.optimizer.weight_decay", -math.inf),
        ("$.optimizer.beta1", "0.9"),
        ("$.optimizer.beta1", None),
        ("$.spec.hidden_size", 8.5),
        ("$.spec.hidden_size", True),
        ("$.spec.features", "nobody"),
        ("$.spec.head", "x" * 65),
        ("$.critic", b"off"),
    ],
)
def test_bad_arguments_are_named_by_their_path(path: str, value: object) -> None:
    args: dict[str, Any] = {"critic": "off", "spec": dict(CRITIC), "optimizer": dict(OPTIMIZER)}
    _, *outer, name = path.split(".")
    target = args[outer[0]] if outer else args
    target[name] = value
    with pytest.raises(ArgumentError) as caught:
        decode_args("load_critic", pack(args))
    assert path in str(caught.value)


def test_unknown_and_missing_arguments_are_named() -> None:
    with pytest.raises(ArgumentError, match="colour"):
        decode_args("reset", pack({"colour": "red"}))
    with pytest.raises(ArgumentError, match="step"):
        decode_args("end_step", pack({}))
    with pytest.raises(UnknownOperationError, match=r"train_step.*end_step"):
        decode_args("train_step", pack({}))


def _floats_of(annotation: Any, path: str) -> list[tuple[str, Any]]:
    """Every float of a type of arguments, with its bounds."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        hints = {field.name: field.type for field in msgspec.structs.fields(annotation)}
        return [found for name, hint in hints.items() for found in _floats_of(hint, f"{path}.{name}")]
    if get_origin(annotation) is not None:
        inner, *notes = get_args(annotation)
        if inner is float:
            return [(path, notes)]
        parts = get_args(annotation) if not hasattr(annotation, "__metadata__") else (inner,)
        return [found for part in parts for found in _floats_of(part, path)]
    return [(path, [])] if annotation is float else []


def test_no_argument_can_be_infinite() -> None:
    """Bounds on both sides are what keeps NaN and infinity out, so every float of the contract needs them."""
    floats = [found for name, entry in OPERATIONS.items() for found in _floats_of(entry.args, name)]
    assert len(floats) >= 15
    for path, notes in floats:
        assert notes, path
        assert math.isfinite(notes[0].ge), path
        assert math.isfinite(notes[0].le), path


def test_optional_fields_are_left_out() -> None:
    [body] = encode_message(ReplyMessage(id=4, result={}, error=UNSET, run_ms=1.5, idle_ms=0.0))
    assert msgspec.msgpack.decode(body) == {
        "kind": "reply",
        "id": 4,
        "result": {},
        "run_ms": 1.5,
        "idle_ms": 0.0,
    }
