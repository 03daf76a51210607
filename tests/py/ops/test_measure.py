"""Losses on the dataset's own responses."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.py.ops.local_worker import DEVICE, LocalWorker


def measure_args(**changes: Any) -> dict[str, Any]:
    return {
        "role": "student",
        "dataset": "train",
        "rows": [5, 0, 9, 5],
        "metrics": ["cross_entropy", "forward_kl", "reverse_kl", "tvd"],
        **changes,
    }


def test_measure_agrees_with_a_plain_computation(worker: LocalWorker) -> None:
    result = worker.call("measure", **measure_args())
    dataset = worker.session.dataset("train")
    student, teacher = (worker.session.role(name).policy.module for name in ("student", "teacher"))
    for index, number in enumerate([5, 0, 9, 5]):
        row = dataset.row(number)
        tokens = torch.tensor([[*row.prompt.tolist(), *row.response.tolist()]], device=DEVICE)
        where = slice(len(row.prompt) - 1, -1)
        with torch.no_grad():
            log_q, log_p = (
                m(input_ids=tokens).logits[0, where].double().log_softmax(-1) for m in (student, teacher)
            )
        p, q = log_p.exp(), log_q.exp()
        expected = {
            "cross_entropy": F.nll_loss(log_q, tokens[0, len(row.prompt) :]),
            "forward_kl": (p * (log_p - log_q)).sum(-1).mean(),
            "reverse_kl": (q * (log_q - log_p)).sum(-1).mean(),
            "tvd": 0.5 * (p - q).abs().sum(-1).mean(),
        }
        assert result["tokens"][index] == len(row.response)
        for name, value in expected.items():
            assert result["values"][name][index] == pytest.approx(float(value), rel=1e-4, abs=1e-6), name


def test_measure_takes_chunks_of_the_device_s_size(
    worker: LocalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def chunk_size(*args: Any) -> int:
        asked.append(args)
        return 5

    monkeypatch.setattr("py_worker.ops.measure.positions_at_once", chunk_size)
    worker.call("measure", **measure_args())
    assert asked == [(worker.session.role("student").policy, None)]


@pytest.mark.parametrize(
    "limits", [{"micro_batch": 1}, {"micro_batch": 3}, {"micro_tokens": 90}, {"packing": True}], ids=str
)
def test_measure_does_not_depend_on_micro_batches(worker: LocalWorker, limits: dict[str, Any]) -> None:
    rows = list(range(10))
    whole = worker.call("measure", **measure_args(rows=rows))
    cut = worker.call("measure", **measure_args(rows=rows, **limits))
    worker.call("configure", **{**worker.settings, "position_chunk": 5})
    chunked = worker.call("measure", **measure_args(rows=rows))
    for other in (cut, chunked):
        assert other["tokens"] == whole["tokens"]
        for name, values in whole["values"].items():
            assert other["values"][name] == pytest.approx(values, rel=1e-4, abs=1e-6)


def test_the_teacher_does_not_differ_from_itself(worker: LocalWorker) -> None:
    result = worker.call("measure", **measure_args(role="teacher", metrics=["forward_kl", "tvd"]))
    assert max(max(values) for values in result["values"].values()) < 1e-6


def test_measuring_nothing(worker: LocalWorker) -> None:
    assert worker.call("measure", **measure_args(rows=[]))["values"]["tvd"] == []


def test_tokens_alone_need_no_pass_of_a_model(worker: LocalWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = worker.call("measure", **measure_args())["tokens"]
    monkeypatch.setattr("py_worker.ops.measure.score_batch", None)
    assert worker.call("measure", **measure_args(metrics=[])) == {"values": {}, "tokens": tokens}


@pytest.mark.parametrize(
    ("changes", "words"), [({"metrics": ["nonsense"]}, "forward_kl"), ({"metrics": ["moment"]}, "critic")]
)
def test_what_cannot_be_measured(worker: LocalWorker, changes: Any, words: str) -> None:
    error = worker.error("measure", **measure_args(**changes))
    assert error["code"] == "invalid_argument"
    assert words in error["message"]


def test_a_diverged_student_is_told(worker: LocalWorker) -> None:
    with torch.no_grad():
        next(worker.session.role("student").policy.module.parameters()).fill_(math.nan)
    error = worker.error("measure", **measure_args(metrics=["cross_entropy"]))
    assert error["code"] == "model_error"
    assert "cross_entropy of row 5 is nan" in error["message"]
