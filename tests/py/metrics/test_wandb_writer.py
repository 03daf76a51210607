"""Figures of a run on their way to Weights & Biases; the package is a fixture that records calls."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
FAKE = ROOT / "tests" / "fixtures" / "fake_wandb"
BEGIN = {
    "kind": "begin",
    "project": "distil",
    "entity": None,
    "mode": "offline",
    "tags": ["a"],
    "name": "demo",
    "id": "ab12",
    "folder": "/runs/demo",
    "config": {"seed": 3},
}


def write(
    tmp_path: Path, *messages: dict[str, Any], **environment: str
) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    """How the process ended, and the calls it made."""
    calls = tmp_path / "calls.jsonl"
    path = os.pathsep.join([str(FAKE), str(ROOT)])
    finished = subprocess.run(
        [sys.executable, "-m", "py_worker.metrics.wandb_writer"],
        input="".join(json.dumps(message) + "\n" for message in messages),
        env={**os.environ, "PYTHONPATH": path, "FAKE_WANDB_CALLS": str(calls), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = calls.read_text().splitlines() if calls.exists() else []
    return finished, [json.loads(line) for line in lines]


def figures(stage: str, step: int, **values: float) -> dict[str, Any]:
    return {"kind": "figures", "stage": stage, "step": step, "values": values}


def test_a_run_from_begin_to_end(tmp_path: Path) -> None:
    finished, calls = write(
        tmp_path,
        BEGIN,
        figures("sft", 1, loss=2.0),
        figures("sft", 2, loss=1.5),
        {"kind": "summary", "values": {"sft/seen/exact_match": 12.5}},
        figures("ammd", 1, loss=1.0),
        {"kind": "end"},
    )
    assert finished.returncode == 0, finished.stderr
    begun = {name: value for name, value in BEGIN.items() if name not in ("kind", "folder")}
    assert calls == [
        {"call": "init", **begun, "dir": "/runs/demo", "resume": "allow", "settings": {"console": "off"}},
        {"call": "define_metric", "name": "sft/*", "step_metric": "sft/step"},
        {"call": "log", "values": {"sft/step": 1, "sft/loss": 2.0}},
        {"call": "log", "values": {"sft/step": 2, "sft/loss": 1.5}},
        {"call": "summary", "values": {"sft/seen/exact_match": 12.5}},
        {"call": "define_metric", "name": "ammd/*", "step_metric": "ammd/step"},
        {"call": "log", "values": {"ammd/step": 1, "ammd/loss": 1.0}},
        {"call": "finish", "exit_code": 0},
    ]


def test_a_run_whose_controller_stopped_counts_as_failed(tmp_path: Path) -> None:
    finished, calls = write(tmp_path, BEGIN, figures("sft", 1, loss=2.0))
    assert finished.returncode == 0
    assert calls[-1] == {"call": "finish", "exit_code": 1}


def test_signals_to_the_group_are_the_controllers_affair(tmp_path: Path) -> None:
    finished, calls = write(tmp_path, BEGIN, {"kind": "end"}, FAKE_WANDB_SIGNALS="yes")
    assert finished.returncode == 0
    assert calls[-1] == {"call": "finish", "exit_code": 0}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([figures("sft", 1)], "must be begin"),
        ([BEGIN, {"kind": "other"}], "no message of a run"),
        ([], "begin"),
    ],
)
def test_what_is_no_message_is_told(tmp_path: Path, messages: list[dict[str, Any]], words: str) -> None:
    finished, _ = write(tmp_path, *messages)
    assert finished.returncode != 0
    assert words in finished.stderr.splitlines()[-1]


def test_without_the_package_the_last_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "wandb.py").write_text("raise ModuleNotFoundError(\"No module named 'wandb'\")")
    finished, _ = write(tmp_path, BEGIN, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    assert finished.returncode != 0
    assert finished.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'wandb'"
