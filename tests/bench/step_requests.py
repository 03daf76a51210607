"""What a worker is sent: the controller's own requests (`requests.json`), for another size and step.

`tests/ts/bench/requests.test.ts` makes the file from `methods.yaml` and fails where it is out of date.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.bench.workload import ROWS, Place, Workload

FILE = Path(__file__).with_name("requests.json")
FILE_BATCH = 8
"""Rows of a step in the file."""
FILE_STEP = 1
"""Its number there."""

Request = tuple[str, dict[str, Any]]
"""Operation and arguments."""


@dataclass(frozen=True)
class Session:
    """How a worker is set up.

    Attributes:
        device: of the protocol: cpu or cuda.
        dtype: of the teacher's weights and of matrix products; the student's weights are in float32.
        threads: of tensor operations on the CPU.
        engine: draws the student's responses.
    """

    device: str
    dtype: str
    threads: int
    engine: str = "auto"


def load_requests(method: str, workload: Workload, place: Place, session: Session) -> list[Request]:
    """Settings, models, data and critics."""
    return [(op, _loading(op, args, workload, place, session)) for op, args in _recorded(method, "load")]


def _loading(
    op: str, args: dict[str, Any], workload: Workload, place: Place, session: Session
) -> dict[str, Any]:
    match op:
        case "configure":
            cache_dir = str(place.folder / "cache")
            return {**args, "device": session.device, "threads": session.threads, "cache_dir": cache_dir}
        case "load_role":
            engine = {"engine": session.engine} if args["role"] == "student" else {}
            return {
                **args,
                "model": {**args["model"], **_model(args["role"], place, session.dtype)},
                **engine,
            }
        case "register_data":
            limits = {
                "max_prompt_tokens": workload.prompt,
                "max_tokens": workload.prompt + workload.new_tokens,
            }
            return {**args, "source": {**args["source"], "source": str(place.data), **limits}}
    return args


def _model(role: str, place: Place, dtype: str) -> dict[str, str]:
    if role == "teacher":
        return {"source": str(place.teacher), "dtype": dtype}
    mixed = {} if dtype == "float32" else {"compute_dtype": dtype}
    return {"source": str(place.student), "dtype": "float32", **mixed}


def step_requests(method: str, workload: Workload, step: int) -> list[Request]:
    """One optimizer step, all of which can be sent at once."""
    return [(op, _at_step(args, workload, step)) for op, args in _recorded(method, "step")]


def ahead_requests(method: str, workload: Workload, step: int) -> list[Request]:
    """What the step before this one draws for it; nothing where a step draws its own responses."""
    return [(op, _at_step(args, workload, step)) for op, args in _recorded(method, "ahead")]


def _at_step(value: Any, workload: Workload, step: int, key: str = "") -> Any:
    match value:
        case dict():
            return {name: _at_step(item, workload, step, name) for name, item in value.items()}
        case list() if key in ("rows", "sample_ids"):
            first, count = step * workload.batch, len(value) * workload.batch // FILE_BATCH
            ids = range(first, first + count)
            return [number % ROWS for number in ids] if key == "rows" else [*ids]
        case list():
            return [_at_step(item, workload, step) for item in value]
        case str():
            return re.sub(r"(?<=^step:)\d+|(?<=\.)\d+$", lambda at: str(int(at[0]) - FILE_STEP + step), value)
    return {"step": step, "max_new_tokens": workload.new_tokens}.get(key, value)


@cache
def _file() -> dict[str, dict[str, list[dict[str, Any]]]]:
    content: dict[str, dict[str, list[dict[str, Any]]]] = json.loads(FILE.read_text())
    return content


def _recorded(method: str, part: str) -> list[Request]:
    return [(request["op"], request["args"]) for request in _file()[method][part]]
