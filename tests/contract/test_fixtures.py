"""Both languages read each other's bytes, and the worker's generated types know every message."""

import json
import math
from typing import Any

import msgspec
import pytest

from py_worker import protocol_gen
from tests.contract.make_fixtures import FOLDER, encode_all, from_json, messages
from tests.fixtures.contract import DEFINITION, LIMITS, definition_hash

REMEDY = "run: python -m tests.contract.make_fixtures; UPDATE_FIXTURES=1 npm run jest -- tests/contract"
CASES = json.loads((FOLDER / "messages.json").read_text(encoding="utf-8"))
BYTES = {
    language: json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    for language in ("python", "typescript")
}


def same(a: Any, b: Any) -> bool:
    """Equality of decoded values; NaN equals NaN."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def decode(case: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Through the generated types, arguments and results included, and back to plain values."""
    union = protocol_gen.WorkerMessage if case["from"] == "worker" else protocol_gen.ControllerMessage
    message = msgspec.msgpack.decode(body, type=union)
    plain: dict[str, Any] = msgspec.msgpack.decode(body)
    if isinstance(message, protocol_gen.RequestMessage) and message.op in protocol_gen.OPERATIONS:
        args = msgspec.msgpack.decode(message.args, type=protocol_gen.OPERATIONS[message.op].args)
        plain["args"] = msgspec.to_builtins(args)
    if "reply " in case["name"]:
        op = case["name"].removeprefix("reply ").split(",")[0]
        result = msgspec.convert(plain["result"], type=protocol_gen.OPERATIONS[op].result)
        plain["result"] = msgspec.to_builtins(result)
    return plain


@pytest.mark.parametrize("language", ["python", "typescript"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_bytes_of_both_languages_mean_the_same(case: dict[str, Any], language: str) -> None:
    body = bytes.fromhex(BYTES[language][case["name"]])
    assert same(decode(case, body), from_json(case["body"]))


def test_fixtures_cover_the_contract() -> None:
    assert messages() == CASES, f"protocol.json has changed; {REMEDY}"
    assert encode_all() == BYTES["python"], REMEDY
    assert BYTES["typescript"].keys() == BYTES["python"].keys(), REMEDY


def test_the_generated_python_is_of_this_contract() -> None:
    assert definition_hash() == protocol_gen.PROTOCOL_HASH
    assert set(protocol_gen.OPERATIONS) == set(DEFINITION["operations"])
    for name, value in LIMITS.items():
        assert getattr(protocol_gen, name.upper()) == value
    for name, operation in protocol_gen.OPERATIONS.items():
        assert operation.mutating == DEFINITION["operations"][name]["mutating"]


def test_comparison_is_not_fooled() -> None:
    assert same({"a": [math.nan, 1]}, {"a": [math.nan, 1.0]})
    assert not same({"a": 1}, {"a": 2})
    assert not same([1], [1, 2])
    assert not same(True, 1)
    assert not same(math.nan, 0.0)
