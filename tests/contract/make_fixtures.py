"""Writes protocol/fixtures: one message of every kind and operation, and its bytes as msgspec writes them.

python -m tests.contract.make_fixtures
UPDATE_FIXTURES=1 npm run jest -- tests/contract     (the bytes as msgpackr writes them)
"""

import json
import math
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.fixtures.contract import DEFINITION, ROOT, Fields, sample_fields, sample_value

FOLDER: Final[Path] = ROOT / "protocol/fixtures"
SPECIAL: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def from_json(value: Any) -> Any:
    """JSON has no NaN and no infinities: they stand as {"$float": "nan"}."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, dict):
        if "$float" in value:
            return SPECIAL[value["$float"]]
        return {key: from_json(item) for key, item in value.items()}
    return value


def rich_fields(fields: Fields) -> dict[str, Any]:
    """Every field, optional ones too, with values from the far end of what is allowed."""
    return {name: rich_value(field) for name, field in fields.items()}


def rich_value(field: dict[str, Any]) -> Any:
    """A value from the far end of what the field allows."""
    match field["type"]:
        case "bool":
            return True
        case "int":
            return field.get("max", 2**53 - 1)
        case "float":
            return min(field.get("max", 0.1), 0.1)
        case "number":
            return {"$float": "nan"}
        case "string":
            return "Grüße, 世界 🎲"[: field["max"]]
        case "handle":
            return "step:123456789012345/batch_1.a-Z"
        case "error_code":
            return list(DEFINITION["errors"])[-1]
        case "enum":
            return field["values"][-1]
        case "list":
            return [rich_value(field["items"]), sample_value(field["items"])]
        case "map":
            return {"first": rich_value(field["values"]), "λ": sample_value(field["values"])}
        case "ref":
            return rich_fields(DEFINITION["types"][field["name"]]["fields"])
        case "tensor":
            return {"dtype": field["dtype"], "shape": [2, 3, 4][: field["rank"]], "frame": 1}
        case _:
            return {}


def messages() -> list[dict[str, Any]]:
    """Name, sender and body of every fixture."""
    made = []
    for kind, message in DEFINITION["messages"].items():
        for name, fill in (("least", sample_fields), ("most", rich_fields)):
            body = {"kind": kind, **fill(message["fields"])}
            if kind == "reply":
                body.pop("result", None)
            made.append({"name": f"{kind}, {name}", "from": message["from"], "body": body})
    for op, operation in DEFINITION["operations"].items():
        for name, fill in (("least", sample_fields), ("most", rich_fields)):
            request = {"kind": "request", "id": 1, "epoch": 0, "op": op, "args": fill(operation["args"])}
            reply = {
                "kind": "reply",
                "id": 1,
                "run_ms": 0.25,
                "idle_ms": 0,
                "result": fill(operation["result"]),
            }
            made.append({"name": f"request {op}, {name}", "from": "controller", "body": request})
            made.append({"name": f"reply {op}, {name}", "from": "worker", "body": reply})
    metrics = {
        "zero": 0,
        "tiny": 5e-324,
        "inf": {"$float": "inf"},
        "minus": {"$float": "-inf"},
        "big": 1234567890123.5,
    }
    result = {"metrics": metrics, "handles": []}
    made.append(
        {
            "name": "reply end_step, metrics that are not finite",
            "from": "worker",
            "body": {"kind": "reply", "id": 2**53 - 1, "result": result, "run_ms": 1e-3, "idle_ms": 1e6},
        }
    )
    return made


def encode_all() -> dict[str, str]:
    """The bytes of every fixture, in hex, as msgspec writes them."""
    return {entry["name"]: msgspec.msgpack.encode(from_json(entry["body"])).hex() for entry in messages()}


def _write(name: str, value: Any) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    (FOLDER / name).write_text(text, encoding="utf-8")


def main() -> None:
    """Writes both files."""
    _write("messages.json", messages())
    _write("python.json", encode_all())


if __name__ == "__main__":
    main()
