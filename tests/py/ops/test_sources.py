"""Where responses come from: mixtures with the teacher, the cache, and requests of any size."""

from pathlib import Path

import numpy as np

from py_worker.losses.scored import ScoredBatch
from py_worker.session.held import Rollout
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import SAMPLING, data_source, generate_args, load_student


def responses(worker: LocalWorker, name: str) -> list[list[int]]:
    return [row.tolist() for row in worker.session.handles.get(name, Rollout).tokens]


def test_the_ends_of_a_mixture(worker: LocalWorker) -> None:
    """Without a share it is the student, with all of it the teacher, to the token."""
    for name, changes in {
        "student": {},
        "none": {"mixture": 0.0},
        "all": {"mixture": 1.0},
        "half": {"mixture": 0.5},
        "teacher": {"role": "teacher"},
    }.items():
        result = worker.call("generate", **{**generate_args(0, f"step:0/{name}"), **changes})
        assert result["cached"] == 0
    assert responses(worker, "step:0/none") == responses(worker, "step:0/student")
    assert responses(worker, "step:0/all") == responses(worker, "step:0/teacher")
    assert responses(worker, "step:0/half") != responses(worker, "step:0/student")
    assert responses(worker, "step:0/half") != responses(worker, "step:0/teacher")


def test_log_probabilities_of_a_mixture_are_what_scoring_finds(worker: LocalWorker) -> None:
    worker.call("generate", **generate_args(0, "step:0/rollout"), mixture=0.3)
    worker.call("build", out="step:0/batch", parts=[{"part": "on", "rollout": "step:0/rollout"}])
    worker.call("score", batch="step:0/batch", teacher=True, student="values")
    scored = worker.session.handles.get("step:0/batch", ScoredBatch)
    student, teacher = (
        worker.session.role(name).policy.logits(hidden).double().softmax(-1)
        for name, hidden in (("student", scored.student_hidden), ("teacher", scored.teacher_hidden))
    )
    positions = scored.batch.positions()
    expected = (0.3 * teacher + 0.7 * student).log().gather(1, positions.target[:, None]).squeeze(1)
    assert (positions.log_prob - expected).abs().max() < 1e-4
    own = student.log().gather(1, positions.target[:, None]).squeeze(1)
    assert (positions.log_prob - own).abs().max() > 1e-2


def test_mixtures_need_both_roles(worker: LocalWorker) -> None:
    error = worker.error("generate", **{**generate_args(0, "step:0/a"), "role": "teacher", "mixture": 0.1})
    assert error["code"] == "invalid_argument"
    assert "mixture: only the student" in error["message"]
    worker.call("generate", **{**generate_args(0, "step:0/b"), "role": "teacher", "mixture": 0.0})
    worker.call("reset")
    load_student(worker)
    worker.call("register_data", dataset="train", source=data_source())
    error = worker.error("generate", **generate_args(0, "step:0/rollout"), mixture=0.1)
    assert error["code"] == "not_loaded"
    assert "teacher" in error["message"]


def test_a_mixture_counts_the_students_version(worker: LocalWorker) -> None:
    worker.session.role("student").version = 5
    assert worker.call("generate", **generate_args(0, "buffer/a"), mixture=0.9)["policy_version"] == 5
    assert worker.session.handles.get("buffer/a", Rollout).policy_version == 5
    assert np.isfinite(np.concatenate(worker.session.handles.get("buffer/a", Rollout).log_probs)).all()


def test_nothing_asked_for_is_nothing_drawn(worker: LocalWorker, tmp_path: Path) -> None:
    """No rows: an empty rollout can be fetched, saved and restored, and adds nothing to a batch."""
    empty = {**generate_args(0, "buffer/none"), "rows": [], "sample_ids": []}
    result = worker.call("generate", **empty)
    assert (result["rows"], result["tokens"], result["ended"]) == (0, 0, 0)
    fetched = worker.call("fetch", rollout="buffer/none")
    assert fetched["tokens"].shape == fetched["log_probs"].shape == (0, 0)
    assert fetched["texts"] == []
    parts = [{"part": "on", "rollout": "buffer/none"}]
    assert "no rows" in worker.error("build", out="step:0/batch", parts=parts)["message"]
    parts.append({"part": "off", "dataset": "train", "rows": [0]})
    assert worker.call("build", out="step:0/batch", parts=parts)["rows"] == 1
    evaluation = {"role": "student", "dataset": "train", "rows": [], "metrics": [], "texts": 1}
    drawn = worker.call("evaluate", **evaluation, sampling=SAMPLING, seed=1)
    assert (drawn["lengths"], drawn["texts"]) == ([], [])
    worker.call("stage_checkpoint", checkpoint="c", dir=str(tmp_path))
    files = worker.call("commit_checkpoint", checkpoint="c")["files"]
    worker.call("restore", dir=str(tmp_path), files=files)
    assert len(worker.session.handles.get("buffer/none", Rollout)) == 0


def test_the_limit_of_new_tokens_may_change_from_call_to_call(worker: LocalWorker) -> None:
    """A shorter limit cuts the same responses; rollouts of several lengths share a batch."""
    tokens = {}
    for limit in (6, 1, 12, 3):
        args = generate_args(0, f"step:0/{limit}")
        worker.call("generate", **{**args, "sampling": {**SAMPLING, "max_new_tokens": limit}})
        rollout = worker.session.handles.get(f"step:0/{limit}", Rollout)
        tokens[limit] = [row.tolist() for row in rollout.tokens]
    for limit in (1, 3, 6):
        assert tokens[limit] == [row[:limit] for row in tokens[12]]
    assert max(map(len, tokens[12])) > 6
    parts = [{"part": "on", "rollout": f"step:0/{limit}"} for limit in tokens]
    result = worker.call("build", out="step:0/batch", parts=parts)
    assert result["response_tokens"]["on"] == sum(len(row) for rows in tokens.values() for row in rows)
