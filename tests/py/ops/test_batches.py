"""Rollouts, batches and scores."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from py_worker.data.batch import TokenBatch
from py_worker.losses.scored import ScoredBatch
from py_worker.session.held import Rollout
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import (
    ROWS,
    SAMPLING,
    build_args,
    data_source,
    generate_args,
    load_student,
    rows_of_step,
)


def test_a_rollout_does_not_depend_on_its_company(worker: LocalWorker) -> None:
    worker.call("generate", **generate_args(0, "step:0/all"))
    together = worker.call("fetch", rollout="step:0/all")
    args = generate_args(0, "step:0/one")
    alone = {**args, "rows": args["rows"][2:3], "sample_ids": args["sample_ids"][2:3]}
    worker.call("generate", **alone)
    fetched = worker.call("fetch", rollout="step:0/one")
    length = fetched["tokens"].shape[1]
    assert torch.equal(fetched["tokens"][0], together["tokens"][2, :length])
    assert fetched["texts"][0] == together["texts"][2]


def test_fetch_sends_a_rectangle(worker: LocalWorker) -> None:
    result = worker.call("generate", **generate_args(3, "buffer/kept"))
    fetched = worker.call("fetch", rollout="buffer/kept")
    tokens, log_probs = fetched["tokens"], fetched["log_probs"]
    assert (tokens.dtype, log_probs.dtype) == (torch.int32, torch.float32)
    assert tokens.shape == log_probs.shape == (4, tokens.shape[1])
    assert int((tokens >= 0).sum()) == result["tokens"]
    assert int((tokens == 1).sum()) == result["ended"]
    assert torch.equal(log_probs == 0, tokens < 0)
    assert result["policy_version"] == 0


def test_generation_and_scoring_agree(worker: LocalWorker) -> None:
    worker.call("generate", **generate_args(0, "step:0/rollout"))
    build = build_args(0, "step:0/batch", "step:0/rollout")
    worker.call("build", out="step:0/batch", parts=build["parts"][1:])
    worker.call("score", batch="step:0/batch", teacher=False, student="values")
    scored = worker.session.handles.get("step:0/batch", ScoredBatch)
    rollout = worker.session.handles.get("step:0/rollout", Rollout)
    policy = worker.session.role("student").policy
    positions = scored.batch.positions()
    assert positions.target.tolist() == np.concatenate(rollout.tokens).tolist()
    log_probs = policy.logits(scored.student_hidden).log_softmax(-1)
    found = log_probs.gather(1, positions.target[:, None]).squeeze(1).detach().cpu().numpy()
    assert np.abs(found - np.concatenate(rollout.log_probs)).max() < 1e-4


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"sample_ids": [1]}, "invalid_argument", "sample_ids"),
        ({"rows": [0, 1, 2, ROWS]}, "invalid_argument", f"no row {ROWS}"),
        ({"dataset": "nowhere"}, "not_loaded", "train"),
        ({"sampling": {**SAMPLING, "max_new_tokens": 4096}}, "invalid_argument", "max_new_tokens"),
        ({"out": "nonsense"}, "invalid_argument", "$.out"),
    ],
)
def test_what_cannot_be_generated(worker: LocalWorker, changes: dict, code: str, words: str) -> None:
    error = worker.error("generate", **{**generate_args(0, "step:0/rollout"), **changes})
    assert (error["code"], error["applied"]) == (code, False)
    assert words in error["message"]
    worker.call("generate", **generate_args(0, "step:0/rollout"))


def test_a_handle_is_given_once(worker: LocalWorker) -> None:
    worker.call("generate", **generate_args(0, "step:0/rollout"))
    assert worker.error("generate", **generate_args(1, "step:0/rollout"))["code"] == "handle_exists"
    assert (
        worker.error("build", **build_args(0, "step:0/rollout", "step:0/rollout"))["code"] == "handle_exists"
    )


def test_build_counts_what_it_collates(worker: LocalWorker) -> None:
    drawn = worker.call("generate", **generate_args(2, "step:2/rollout"))
    result = worker.call("build", **build_args(2, "step:2/batch", "step:2/rollout"))
    dataset = worker.session.dataset("train")
    rows = [dataset.row(row) for row in rows_of_step(2)]
    assert result["rows"] == 8
    assert result["response_tokens"] == {
        "off": sum(len(row.response) for row in rows),
        "on": drawn["tokens"],
    }
    prompts = 2 * sum(len(row.prompt) for row in rows)
    assert result["tokens"] == prompts + sum(result["response_tokens"].values())
    batch = worker.session.handles.get("step:2/batch", ScoredBatch).batch
    assert result["padded_tokens"] == batch.tokens.numel() >= result["tokens"]
    assert batch.parts == ("off",) * 4 + ("on",) * 4
    assert batch.sample_ids == (*rows_of_step(2), *generate_args(2, "")["sample_ids"])


@pytest.mark.parametrize(
    "limits",
    [{"micro_batch": 3}, {"micro_tokens": 100}, {"micro_tokens": 1}],
    ids=["rows", "tokens", "one_row"],
)
def test_build_lays_rows_out_in_micro_batches(worker: LocalWorker, limits: dict[str, int]) -> None:
    worker.call("generate", **generate_args(2, "step:2/rollout"))
    build = build_args(2, "step:2/batch", "step:2/rollout")
    result = worker.call("build", **build, **limits)
    batch = worker.session.handles.get("step:2/batch", ScoredBatch).batch
    micro_batches = batch.micro_batches()
    assert result["micro_batches"] == len(micro_batches) > 1
    assert result["padded_tokens"] == sum(micro.tokens.numel() for micro in micro_batches)
    for micro in micro_batches:
        assert len(micro) == 1 or len(micro) <= limits.get("micro_batch", 8)
        assert len(micro) == 1 or micro.tokens.numel() <= limits.get("micro_tokens", 10**6)
    for longer, shorter in itertools.pairwise(micro_batches):
        assert min(longer.lengths) >= max(shorter.lengths)
    worker.call("build", **{**build, "out": "step:2/whole"})
    whole = worker.session.handles.get("step:2/whole", ScoredBatch).batch

    def rows(of: TokenBatch) -> set[tuple[object, ...]]:
        tokens = [tuple(row[:length]) for row, length in zip(of.tokens.tolist(), of.lengths, strict=True)]
        drawn = [None if row is None else tuple(row) for row in of.log_probs or ()]
        return set(zip(of.parts, of.sample_ids, of.prompt_lengths, tokens, drawn, strict=True))

    assert len(rows(batch)) == 8 and rows(batch) == rows(whole)


def test_a_step_reports_micro_batches_and_padding(worker: LocalWorker) -> None:
    parts = [{"part": "off", "dataset": "train", "rows": rows_of_step(2, 8)}]
    result = worker.call("build", out="step:2/batch", parts=parts, micro_batch=3)
    metrics = worker.call("end_step", step=2)["metrics"]
    assert metrics == {
        "micro_batches": 3,
        "padding": pytest.approx(1 - result["tokens"] / result["padded_tokens"]),
    }
    worker.call("build", out="step:3/batch", parts=parts)
    whole = worker.call("end_step", step=3)["metrics"]
    assert whole["micro_batches"] == 1 and whole["padding"] > metrics["padding"] > 0


def test_packed_rows_count_their_own_tokens(worker: LocalWorker) -> None:
    parts = [{"part": "off", "dataset": "train", "rows": rows_of_step(2, 8)}]
    padded = worker.call("build", out="step:2/padded", parts=parts, micro_tokens=150)
    result = worker.call("build", out="step:2/packed", parts=parts, micro_tokens=150, packing=True)
    assert result["padded_tokens"] == result["tokens"] == padded["tokens"] < padded["padded_tokens"]
    assert result["micro_batches"] <= padded["micro_batches"]
    batch = worker.session.handles.get("step:2/packed", ScoredBatch).batch
    assert all(sum(micro.lengths) <= 150 for micro in batch.micro_batches())
    assert worker.call("end_step", step=2)["metrics"]["padding"] == 0.0


def test_packing_is_refused_for_a_model_that_mixes_rows(
    worker: LocalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = worker.session.role("teacher").policy
    monkeypatch.setattr(teacher, "forward_packed", lambda rows: rows.tokens[0, :, None].float())
    parts = [{"part": "off", "dataset": "train", "rows": [0, 1]}]
    error = worker.error("build", out="step:0/batch", parts=parts, packing=True)
    assert (error["code"], error["applied"]) == ("unsupported", False)
    measured = {"role": "student", "dataset": "train", "rows": [0, 1], "metrics": ["tvd"], "packing": True}
    assert worker.error("measure", **measured)["code"] == "unsupported"
    worker.call("measure", **{**measured, "metrics": ["cross_entropy"]})
    worker.call("build", out="step:0/batch", parts=parts)


def test_rows_of_a_rollout_are_picked(worker: LocalWorker) -> None:
    """In the order asked for, more than once if asked for so, several handles under one part."""
    for step in (0, 1):
        worker.call("generate", **generate_args(step, f"buffer/{step}"))
    parts = [
        {"part": "on", "rollout": "buffer/0", "picks": [3, 1, 1]},
        {"part": "off", "dataset": "train", "rows": [5, 6]},
        {"part": "on", "rollout": "buffer/1", "picks": [2]},
        {"part": "on", "rollout": "buffer/1", "picks": []},
    ]
    result = worker.call("build", out="step:2/batch", parts=parts)
    first, second = (worker.session.handles.get(f"buffer/{step}", Rollout) for step in (0, 1))
    rows = [(first, 3), (first, 1), (first, 1), None, None, (second, 2)]
    batch = worker.session.handles.get("step:2/batch", ScoredBatch).batch
    assert batch.parts == ("on",) * 3 + ("off",) * 2 + ("on",)
    assert batch.sample_ids[:3] + batch.sample_ids[5:] == (
        *(first.sample_ids[index] for index in (3, 1, 1)),
        second.sample_ids[2],
    )
    assert batch.log_probs is not None
    for index, row in enumerate(rows):
        if row is None:
            assert batch.log_probs[index] is None
            continue
        held, pick = row
        expected = [*held.prompts[pick].tolist(), *held.tokens[pick].tolist()]
        assert batch.tokens[index, : batch.lengths[index]].tolist() == expected
        assert batch.log_probs[index].tolist() == held.log_probs[pick].tolist()
    drawn = [row for row in rows if row is not None]
    assert result["response_tokens"]["on"] == sum(len(held.tokens[pick]) for held, pick in drawn)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rollout": "step:0/rollout", "picks": [0, 4]}, "has 4 rows; there is no row 4"),
        ({"dataset": "train", "rows": [0], "picks": [0]}, "with or without picks"),
        ({"picks": [0]}, "with or without picks"),
    ],
)
def test_picks_that_point_nowhere(worker: LocalWorker, changes: dict, words: str) -> None:
    worker.call("generate", **generate_args(0, "step:0/rollout"))
    error = worker.error("build", out="step:0/batch", parts=[{"part": "on", **changes}])
    assert (error["code"], error["applied"]) == ("invalid_argument", False)
    assert words in error["message"]


def test_log_probabilities_of_the_draw_follow_into_the_batch(worker: LocalWorker) -> None:
    """Tempered: they are not the policy's own. Rows of data have none."""
    hot = {**generate_args(0, "step:0/rollout"), "sampling": {**SAMPLING, "temperature": 2.0}}
    worker.call("generate", **hot)
    worker.call("build", **build_args(0, "step:0/batch", "step:0/rollout"))
    worker.call("score", batch="step:0/batch", teacher=False, student="values")
    scored = worker.session.handles.get("step:0/batch", ScoredBatch)
    positions = scored.batch.positions()
    on = positions.row >= 4
    assert positions.log_prob.isnan().tolist() == (~on).tolist()
    logits = worker.session.role("student").policy.logits(scored.student_hidden).double()
    targets = positions.target[on, None]
    behaviour = (logits / 2.0).log_softmax(-1)[on].gather(1, targets).squeeze(1)
    own = logits.log_softmax(-1)[on].gather(1, targets).squeeze(1)
    assert (positions.log_prob[on] - behaviour).abs().max() < 1e-4
    assert (own - behaviour).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([], "no rows"),
        ([{"part": "off", "dataset": "train", "rows": []}], "no rows"),
        ([{"part": "off", "dataset": "train"}], "dataset and rows"),
        ([{"part": "off"}], "dataset and rows"),
        ([{"part": "off", "dataset": "train", "rows": [0], "rollout": "step:0/rollout"}], "not both"),
        ([{"part": "all", "dataset": "train", "rows": [0]}], "'all'"),
    ],
)
def test_parts_that_say_too_little_or_too_much(worker: LocalWorker, parts: list, words: str) -> None:
    worker.call("generate", **generate_args(0, "step:0/rollout"))
    error = worker.error("build", out="step:0/batch", parts=parts)
    assert error["code"] == "invalid_argument"
    assert words in error["message"]


@pytest.mark.parametrize("out", ["buffer/batch", "session/batch"])
def test_a_batch_does_not_outlive_its_step(worker: LocalWorker, tmp_path: Path, out: str) -> None:
    parts = [{"part": "off", "dataset": "train", "rows": [0]}]
    error = worker.error("build", out=out, parts=parts)
    assert (error["code"], error["applied"]) == ("invalid_argument", False)
    assert "step:N/NAME" in error["message"]
    worker.call("stage_checkpoint", checkpoint="c", dir=str(tmp_path))
    worker.call("commit_checkpoint", checkpoint="c")


def test_the_kind_of_a_handle_is_checked(worker: LocalWorker) -> None:
    worker.call("build", out="step:0/batch", parts=[{"part": "off", "dataset": "train", "rows": [0]}])
    parts = [{"part": "on", "rollout": "step:0/batch"}]
    assert "not a Rollout" in worker.error("build", out="step:0/other", parts=parts)["message"]
    assert worker.error("fetch", rollout="step:0/none")["code"] == "unknown_handle"


def test_score_keeps_what_was_asked_for(worker: LocalWorker) -> None:
    worker.call("build", out="step:0/batch", parts=[{"part": "off", "dataset": "train", "rows": [0, 1, 2]}])

    def held() -> ScoredBatch:
        return worker.session.handles.get("step:0/batch", ScoredBatch)

    result = worker.call("score", batch="step:0/batch", teacher=True, student="none")
    assert result["teacher_ms"] > 0
    teacher = held().teacher_hidden
    assert teacher is not None
    assert not teacher.requires_grad
    assert held().student_hidden is None
    result = worker.call("score", batch="step:0/batch", teacher=False, student="graph")
    assert held().teacher_hidden is teacher
    assert held().student_hidden.requires_grad and result["student_graph"]
    result = worker.call("score", batch="step:0/batch", teacher=True, student="none")
    assert held().student_hidden.requires_grad and not result["student_graph"], "of an earlier pass"
    result = worker.call("score", batch="step:0/batch", teacher=False, student="values")
    assert not held().student_hidden.requires_grad and not result["student_graph"]


@pytest.mark.parametrize(("micro_batch", "kept"), [(3, True), (2, False)])
def test_a_graph_is_kept_of_one_micro_batch(worker: LocalWorker, micro_batch: int, kept: bool) -> None:
    parts = [{"part": "off", "dataset": "train", "rows": [0, 1, 2]}]
    worker.call("build", out="step:0/batch", parts=parts, micro_batch=micro_batch)
    result = worker.call("score", batch="step:0/batch", teacher=True, student="graph")
    scored = worker.session.handles.get("step:0/batch", ScoredBatch)
    assert scored.student_hidden.requires_grad == kept == result["student_graph"]


def test_scoring_needs_the_role(empty: LocalWorker) -> None:
    empty.call("configure", **empty.settings)
    load_student(empty)
    empty.call("register_data", dataset="train", source=data_source())
    empty.call("build", out="step:0/batch", parts=[{"part": "off", "dataset": "train", "rows": [0]}])
    error = empty.error("score", batch="step:0/batch", teacher=True, student="none")
    assert error["code"] == "not_loaded"


def test_budgets_are_held_before_anything_is_computed(worker: LocalWorker) -> None:
    worker.call("build", out="step:0/batch", parts=[{"part": "off", "dataset": "train", "rows": [0, 1, 2]}])
    used = worker.session.handles.size_of("step:0/batch")
    worker.call(
        "configure", **{**worker.settings, "step_budget_bytes": used + 100, "buffer_budget_bytes": 50}
    )
    error = worker.error("score", batch="step:0/batch", teacher=True, student="none")
    assert error["code"] == "over_budget"
    assert str(used + 100) in error["message"]
    assert worker.error("generate", **generate_args(0, "buffer/kept"))["code"] == "over_budget"
    assert worker.session.handles.size_of("step:0/batch") == used


def test_the_size_of_a_scored_batch_is_that_of_its_tensors(worker: LocalWorker) -> None:
    worker.call("generate", **generate_args(0, "step:0/rollout"))
    worker.call("build", **build_args(0, "step:0/batch", "step:0/rollout"))
    worker.call("score", batch="step:0/batch", teacher=True, student="values")
    scored = worker.session.handles.get("step:0/batch", ScoredBatch)
    positions = scored.batch.positions()
    tensors = [scored.batch.tokens, positions.row, positions.time, positions.step, positions.target]
    tensors += [positions.log_prob, scored.teacher_hidden, scored.student_hidden]
    assert worker.session.handles.size_of("step:0/batch") == sum(tensor.nbytes for tensor in tensors)


def test_dropping_handles(worker: LocalWorker) -> None:
    for name in ("buffer/a", "session/b", "step:0/c"):
        worker.call("generate", **generate_args(0, name))
    assert "end_step" in worker.error("drop", handles=["step:0/c"])["message"]
    assert worker.error("drop", handles=["buffer/a", "buffer/none"])["code"] == "unknown_handle"
    usage = worker.call("report_memory")["handles"]
    assert [entry["count"] for entry in usage] == [1, 1, 1]
    worker.call("drop", handles=["buffer/a", "session/b"])
    usage = worker.call("end_step", step=0)["handles"]
    assert [(entry["count"], entry["bytes"]) for entry in usage] == [(0, 0)] * 3
