"""Whole steps, checkpoints, evaluation and export of encoder-decoders through the loop."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from py_worker.data.longest import longest_rows
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.read_back import watch_steps
from tests.py.ops.scene import (
    ADAMW,
    AMMD_TERMS,
    SAMPLING,
    T5,
    data_source,
    generate_args,
    load_everything,
    load_student,
    model,
    run_step,
    step_requests,
)
from tests.py.ops.stepping import same, weights
from tests.py.server.controller import RequestError

STEPS = 3


@pytest.fixture
def worker(empty: LocalWorker) -> LocalWorker:
    load_everything(empty, T5)
    return empty


@pytest.fixture(scope="module")
def reference(cache_dir: Path) -> Iterator[tuple[list[dict[str, float]], dict[str, torch.Tensor]]]:
    other = LocalWorker(str(cache_dir))
    load_everything(other, T5)
    yield [run_step(other, step) for step in range(STEPS)], weights(other)
    other.close()


def test_the_native_engine_draws(empty: LocalWorker) -> None:
    empty.call("configure", **empty.settings)
    loaded = load_student(empty, source=T5)
    assert (loaded["architecture"], loaded["engine"]) == ("T5ForConditionalGeneration", "native")
    assert loaded["notes"] == []


def test_a_game_is_played_step_by_step(reference: Any) -> None:
    metrics, final = reference
    assert all(math.isfinite(value) for step in metrics for value in step.values())
    assert all(step["skipped"] == 0 for step in metrics)
    assert metrics[-1]["critic/off/gap_last"] > metrics[-1]["critic/off/gap"]
    assert final["encoder.block.0.layer.0.SelfAttention.q.weight"].abs().sum() > 0


@pytest.mark.parametrize("options", [{"micro_batch": 3}, {"micro_tokens": 100}, {"graph": True}], ids=str)
def test_how_a_step_is_cut_changes_rounding_only(
    worker: LocalWorker, reference: Any, options: dict[str, Any]
) -> None:
    for expected in reference[0]:
        found = run_step(worker, reference[0].index(expected), **options)
        for name in expected.keys() - {"micro_batches", "padding"}:
            assert found[name] == pytest.approx(expected[name], rel=5e-3, abs=5e-4), name


def test_no_step_reads_a_value_back(worker: LocalWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    watch_steps(monkeypatch)
    for op, args in step_requests(0):
        worker.call(op, **args)


def test_packing_is_refused_before_anything_runs(worker: LocalWorker) -> None:
    worker.call("generate", **generate_args(0, "step:0/rollout"))
    with pytest.raises(RequestError, match=r"cannot take packed rows.*training\.packing"):
        worker.call(
            "build", out="step:0/batch", parts=[{"part": "on", "rollout": "step:0/rollout"}], packing=True
        )


def test_preflight_holds(worker: LocalWorker) -> None:
    checks = worker.call("preflight", dataset="train", rows=[0, 1, 2, 3])["checks"]
    assert [check for check in checks if not check["ok"]] == []
    assert {"labels", "student_generation", "teacher_divergence"} <= {check["name"] for check in checks}


def test_responses_of_a_mixture_are_drawn(worker: LocalWorker) -> None:
    drawn = worker.call("generate", **generate_args(0, "step:0/mixed"), mixture=0.5)
    assert drawn["rows"] == 4 and drawn["tokens"] >= 4


def test_a_restored_session_goes_on_bit_for_bit(worker: LocalWorker, cache_dir: Path, tmp_path: Path) -> None:
    run_step(worker, 0)
    worker.call("stage_checkpoint", checkpoint="c", dir=str(tmp_path))
    files = worker.call("commit_checkpoint", checkpoint="c")["files"]
    expected = run_step(worker, 1), weights(worker)
    other = LocalWorker(str(cache_dir))
    load_everything(other, T5)
    other.call("restore", dir=str(tmp_path), files=files)
    assert run_step(other, 1) == expected[0]
    assert same(weights(other), expected[1])
    other.close()


def test_an_exported_one_is_the_student(worker: LocalWorker, tmp_path: Path) -> None:
    """By the library's classes alone, which draw what the worker draws."""
    run_step(worker, 0)
    worker.call("export", role="student", dir=str(tmp_path))
    module = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    greedy = {**SAMPLING, "temperature": 0.0, "max_new_tokens": 9}
    evaluated = worker.call(
        "evaluate",
        role="student",
        dataset="train",
        rows=[0, 1, 2],
        sampling=greedy,
        seed=0,
        metrics=["exact_match"],
        texts=3,
    )
    for text in evaluated["texts"]:
        prompt = tokenizer(text["prompt"], return_tensors="pt")["input_ids"]
        drawn = module.generate(input_ids=prompt, do_sample=False, max_new_tokens=9)
        assert tokenizer.decode(drawn[0], skip_special_tokens=True).strip() == text["text"]


def test_measuring_is_of_the_response_after_the_prompt(worker: LocalWorker) -> None:
    measured = worker.call(
        "measure", role="student", dataset="train", rows=[0, 1], metrics=["cross_entropy", "forward_kl"]
    )
    policy, dataset = worker.session.role("student").policy, worker.session.datasets["train"]
    for row, value in zip((0, 1), measured["values"]["cross_entropy"], strict=True):
        prompt, response = (
            torch.tensor(side.tolist(), device=policy.device)[None]
            for side in (dataset.row(row).prompt, dataset.row(row).response)
        )
        loss = policy.module(input_ids=prompt, labels=response).loss
        assert value == pytest.approx(float(loss.detach()), rel=1e-4)


def test_rows_are_not_cut_to_a_chunk_where_its_memory_is_predicted(empty: LocalWorker) -> None:
    """For that a decoder's prompts are made longer, which an encoder would read."""
    empty.settings["position_chunk"] = 2
    load_everything(empty, T5)
    seen = []
    policy = empty.session.role("student").policy
    original = type(policy).response_hidden
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            type(policy), "response_hidden", lambda own, batch: seen.append(batch) or original(own, batch)
        )
        empty.call(
            "predict_memory",
            parts=[{"part": "off", "dataset": "train", "rows": 4}],
            teacher=True,
            student="none",
            updates=[],
            terms=AMMD_TERMS[2:],
            diagnostics=True,
            rollouts=[],
            checkpoints=False,
            rehearse=True,
        )
    expected = longest_rows(empty.session.datasets["train"].lengths(), 4, apart=True)
    pairs = zip(seen[0].prompt_lengths, seen[0].lengths, strict=True)
    assert [(prompt, length - prompt) for prompt, length in pairs] == expected


@pytest.mark.parametrize("packing", [{}, {"micro_tokens": 90}])
def test_padding_is_what_goes_through_the_models(worker: LocalWorker, packing: dict[str, Any]) -> None:
    """Prompts and responses are padded apart."""
    seen = []
    policy = type(worker.session.role("student").policy)
    original = policy._forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            policy,
            "_forward",
            lambda own, prompts, mask, responses: (
                seen.append(prompts.numel() + responses.numel()) or original(own, prompts, mask, responses)
            ),
        )
        rows = {"part": "off", "dataset": "train", "rows": list(range(12))}
        built = worker.call("build", out="step:0/batch", parts=[rows], **packing)
        worker.call("score", batch="step:0/batch", teacher=True, student="none")
    assert sum(seen) == built["padded_tokens"] > built["tokens"]
    assert len(seen) == built["micro_batches"]
    assert max(seen) <= packing.get("micro_tokens", max(seen))


def test_adapters_are_trained_and_merged(empty: LocalWorker, tmp_path: Path) -> None:
    empty.call("configure", **empty.settings)
    lora = {"rank": 2, "alpha": 4.0, "dropout": 0.0, "targets": ["q", "v"], "seed": 3}
    empty.call(
        "load_role",
        role="student",
        model=model(2, source=T5),
        optimizer=ADAMW,
        lora=lora,
        gradient_checkpointing=True,
    )
    empty.call("register_data", dataset="train", source=data_source())
    for step in range(2):
        batch = f"step:{step}/batch"
        empty.call("build", out=batch, parts=[{"part": "off", "dataset": "train", "rows": [0, 1]}])
        terms = [{"name": "ce", "objective": "cross_entropy", "part": "off", "weight": 1.0, "params": {}}]
        empty.call(
            "step_student", step=step, batch=batch, terms=terms, lr=1e-2, clip_norm=1.0, diagnostics=False
        )
        empty.call("end_step", step=step)
    policy = empty.session.role("student").policy
    assert any(matrix.abs().sum() > 0 for name, matrix in policy.adapters.items() if ".lora_B." in name)
    empty.call("export", role="student", dir=str(tmp_path))
    module = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    ids = torch.tensor([[3, 4, 5]])
    own = ids.to(policy.device)
    expected = policy.module(input_ids=own, decoder_input_ids=own).logits.cpu()
    torch.testing.assert_close(module(input_ids=ids, decoder_input_ids=ids).logits, expected)
