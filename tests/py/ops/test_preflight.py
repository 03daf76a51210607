"""Identities that must hold before a run, and what breaks them."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from py_worker.data.row import Row
from py_worker.models import policy as policies
from py_worker.rollout.mixture import Mixture
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import (
    ADAMW,
    critic_spec,
    data_source,
    load_student,
    run_step,
)


def checks_of(worker: LocalWorker) -> dict[str, dict[str, Any]]:
    result = worker.call("preflight", dataset="train", rows=[0, 1, 2, 3])
    return {check["name"]: check for check in result["checks"]}


def test_preflight_looks_for_rows_with_a_response(worker: LocalWorker, tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    outputs = ["[]"] * 9 + ['"ab"', '"cd"']
    path.write_text("".join(f'{{"instruction": "say", "output": {output}}}\n' for output in outputs))
    worker.call("register_data", dataset="some", source=data_source(source=str(path)))
    checks = worker.call("preflight", dataset="some", rows=list(range(11)))["checks"]
    labels = next(check for check in checks if check["name"] == "eos_labels")
    assert labels["detail"].startswith("2 responses end")
    assert worker.call("preflight", dataset="some", rows=list(range(9)))["checks"] == []


def test_preflight_holds_on_sound_models(worker: LocalWorker) -> None:
    worker.call("load_critic", critic="s", spec=critic_spec(features="student", head="mlp"), optimizer=ADAMW)
    run_step(worker, 0)
    checks = checks_of(worker)
    assert [check for check in checks.values() if not check["ok"]] == []
    expected = {"labels", "eos_labels", "forward_kl"}
    for role in ("teacher", "student"):
        for name in ("cross_entropy", "divergence", "gradient", "moment_gap", "generation"):
            expected.add(f"{role}_{name}")
    assert set(checks) == expected
    assert checks["teacher_divergence"]["value"] <= checks["teacher_divergence"]["limit"]


def test_preflight_leaves_no_gradient(worker: LocalWorker) -> None:
    checks_of(worker)
    for parameter in worker.session.role("student").policy.module.parameters():
        assert parameter.grad is None


def test_preflight_notices_losses_that_are_not_finite(worker: LocalWorker) -> None:
    with torch.no_grad():
        next(worker.session.role("student").policy.module.parameters()).fill_(math.nan)
    checks = checks_of(worker)
    assert not checks["student_cross_entropy"]["ok"]
    assert "nan" in checks["student_cross_entropy"]["detail"]
    assert checks["teacher_cross_entropy"]["ok"]


def one_off(row: Row) -> Row:
    ids, prompt = [*row.prompt, *row.response], len(row.prompt)
    return replace(row, prompt=ids[1 : prompt + 1], response=[*ids[prompt + 1 :], ids[0]])


def without_eos(row: Row) -> Row:
    return replace(row, response=row.response[:-1])


@pytest.mark.parametrize(("wrong", "check"), [(one_off, "labels"), (without_eos, "eos_labels")])
def test_preflight_notices_wrong_labels(
    worker: LocalWorker, monkeypatch: pytest.MonkeyPatch, wrong: Any, check: str
) -> None:
    collate, changes = policies.collate, iter([wrong])

    def first_wrong(rows: Any, **options: Any) -> Any:
        change = next(changes, None)
        return collate(rows if change is None else [change(row) for row in rows], **options)

    monkeypatch.setattr(policies, "collate", first_wrong)
    assert not checks_of(worker)[check]["ok"]


def test_preflight_notices_an_engine_that_draws_from_another_policy(worker: LocalWorker) -> None:
    roles = worker.session.roles
    real = roles["student"].engine

    class Swapped:
        name = "swapped"

        def generate(self, _policy: Any, *rest: Any) -> Any:
            return real.generate(Mixture.of(roles["teacher"].policy), *rest)

    roles["student"].engine = Swapped()
    checks = checks_of(worker)
    assert not checks["student_generation"]["ok"]
    assert checks["teacher_generation"]["ok"]


def test_preflight_without_teacher(empty: LocalWorker) -> None:
    empty.call("configure", **empty.settings)
    load_student(empty)
    empty.call("register_data", dataset="train", source=data_source())
    assert "teacher_divergence" not in checks_of(empty)
