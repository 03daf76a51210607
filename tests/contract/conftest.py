"""The workers that the conformance tests run against, and what is loaded into them."""

import os
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.any_worker import AnyWorker, python

COMMANDS = {
    "fake_worker": python("tests/fixtures/fake_worker.py"),
    "py_worker": python("-m", "py_worker"),
}
if "AMMD_WORKER" in os.environ:
    COMMANDS = {"AMMD_WORKER": shlex.split(os.environ["AMMD_WORKER"])}

MODEL: dict[str, Any] = {
    "source": "builtin:llama",
    "init": "random",
    "arch": {
        "hidden_size": 8,
        "layers": 1,
        "heads": 1,
        "kv_heads": 1,
        "intermediate_size": 8,
        # Room for a generation that takes longer than anything it is interrupted by.
        "max_positions": 65536,
        "tie_embeddings": True,
    },
    "seed": 1,
    "dtype": "float32",
    "trust_remote_code": False,
}
DATA: dict[str, Any] = {
    "source": "builtin:microtasks",
    "split": "train",
    "template": "plain",
    "fields": {},
    "max_prompt_tokens": 64,
    "max_tokens": 96,
    "limit": 16,
    "validation_fraction": 0.0,
    "seed": 0,
    "skip_bad_lines": False,
}
ADAMW = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}


def settings(worker: AnyWorker, **changes: Any) -> dict[str, Any]:
    """Arguments of configure."""
    return {
        "device": "cpu",
        "threads": 1,
        "cache_dir": str(worker.folder / "cache"),
        "step_budget_bytes": 0,
        "buffer_budget_bytes": 0,
        "position_chunk": 0,
        "rollout_rows": 0,
        **changes,
    }


@pytest.fixture(scope="session", params=list(COMMANDS))
def command(request: pytest.FixtureRequest) -> list[str]:
    """How to start the worker under test."""
    return COMMANDS[request.param]


@pytest.fixture(scope="session")
def loaded(command: list[str]) -> Iterator[AnyWorker]:
    """One process for all tests, with a student and data loaded."""
    worker = AnyWorker(command)
    try:
        worker.welcome()
        worker.result("configure", settings(worker))
        student = {"role": "student", "model": MODEL, "optimizer": ADAMW, "gradient_checkpointing": False}
        worker.result("load_role", student)
        worker.result("register_data", {"dataset": "train", "source": DATA})
        yield worker
    finally:
        worker.close()


@pytest.fixture
def worker(loaded: AnyWorker) -> AnyWorker:
    """The shared process, in a new epoch and without handles of the tests before."""
    loaded.open_epoch()
    live = loaded.result("report_memory")["handles"]
    assert all(usage["count"] == 0 for usage in live), "a test left handles"
    return loaded


@pytest.fixture
def own_worker(command: list[str]) -> Iterator[AnyWorker]:
    """A process of the test's own."""
    worker = AnyWorker(command)
    yield worker
    worker.close()
