"""Evaluation, measurement, preflight and export."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

from py_worker import ops
from py_worker.metrics import bleu_statistics
from py_worker.models import policy as policies
from py_worker.ops import evaluate
from py_worker.rollout.mixture import Mixture
from py_worker.server.protocol_gen import OPERATIONS
from tests.py.ops.full_disk import full_disk
from tests.py.ops.local_worker import DEVICE, LocalWorker
from tests.py.ops.scene import (
    ADAMW,
    ROWS,
    SAMPLING,
    critic_spec,
    data_source,
    load_student,
    model,
    run_step,
)


def evaluate_args(**changes: Any) -> dict[str, Any]:
    return {
        "role": "student",
        "dataset": "train",
        "rows": list(range(12)),
        "sampling": SAMPLING,
        "seed": 10,
        "metrics": ["rouge_l", "exact_match"],
        "texts": 0,
        **changes,
    }


def test_a_row_s_result_does_not_depend_on_its_company(worker: LocalWorker) -> None:
    whole = worker.call("evaluate", **evaluate_args())
    rows = [7, 2, 11, 2]
    some = worker.call("evaluate", **evaluate_args(rows=rows))
    assert some["lengths"] == [whole["lengths"][row] for row in rows]
    for name in ("rouge_l", "exact_match"):
        assert some["scores"][name] == [whole["scores"][name][row] for row in rows]
    assert whole["tokens"] == sum(whole["lengths"])
    assert 0 <= whole["ended"] <= 12


def test_scores_are_those_of_the_texts(worker: LocalWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The perfect student: its responses are the data's own."""
    dataset, engine = worker.session.dataset("train"), worker.session.role("student").engine
    real = engine.generate

    def perfect(policy: Any, prompts: Any, sample_ids: Any, *rest: Any) -> Any:
        drawn = real(policy, prompts, sample_ids, *rest)
        drawn.tokens[:] = [dataset.row(row).response for row in sample_ids]
        drawn.ended[:] = [True] * len(sample_ids)
        return drawn

    monkeypatch.setattr(engine, "generate", perfect)
    result = worker.call("evaluate", **evaluate_args(texts=3))
    assert result["scores"] == {"rouge_l": pytest.approx([100.0] * 12), "exact_match": [100.0] * 12}
    assert result["ended"] == 12
    assert [text["row"] for text in result["texts"]] == [0, 1, 2]
    for text in result["texts"]:
        assert text["text"] == text["references"][0]
        assert text["prompt"].endswith("\n")


def test_what_a_template_puts_before_answers_is_no_part_of_them(
    worker: LocalWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, engine = worker.session.role("student").policy, worker.session.role("student").engine
    policy.tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'assistant' %}so: {% endif %}{{ m.content }}\n{% endfor %}"
    )
    path = tmp_path / "chats.jsonl"
    path.write_text('{"instruction": "say ab", "output": "ab"}\n')
    worker.call("register_data", dataset="chats", source=data_source(source=str(path), template="chat"))
    row, real = worker.session.dataset("chats").row(0), engine.generate
    assert policy.tokenizer.decode(row.response, skip_special_tokens=True) == "so: ab\n"

    def perfect(*arguments: Any) -> Any:
        drawn = real(*arguments)
        drawn.tokens[:], drawn.ended[:] = [row.response], [True]
        return drawn

    monkeypatch.setattr(engine, "generate", perfect)
    metrics = ["exact_match", "bleu"]
    result = worker.call("evaluate", **evaluate_args(dataset="chats", rows=[0], metrics=metrics, texts=1))
    assert result["scores"] == {"exact_match": [100.0]}
    assert result["statistics"]["bleu"] == [bleu_statistics("ab", ["ab"])]
    assert result["texts"][0]["text"] == "so: ab"
    policy.tokenizer.chat_template = None


def test_metrics_of_all_rows_together_come_as_statistics_of_each(worker: LocalWorker) -> None:
    metrics = ["bleu", "exact_match"]
    whole = worker.call("evaluate", **evaluate_args(metrics=metrics, texts=12))
    assert list(whole["scores"]) == ["exact_match"]
    assert whole["statistics"] == {
        "bleu": [bleu_statistics(text["text"], text["references"]) for text in whole["texts"]]
    }
    some = worker.call("evaluate", **evaluate_args(metrics=metrics, rows=[7, 2]))
    assert some["statistics"]["bleu"] == [whole["statistics"]["bleu"][row] for row in (7, 2)]
    assert worker.call("evaluate", **evaluate_args())["statistics"] == {}


def test_seeds_and_greedy_decoding(worker: LocalWorker) -> None:
    first, second = (worker.call("evaluate", **evaluate_args(seed=seed, texts=12)) for seed in (10, 20))
    assert first["texts"] != second["texts"]
    greedy = {**SAMPLING, "temperature": 0.0}
    first, second = (
        worker.call("evaluate", **evaluate_args(seed=seed, texts=12, sampling=greedy)) for seed in (10, 20)
    )
    assert first == second


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"metrics": ["bleurt"]}, "invalid_argument", "rouge_l"),
        ({"metrics": ["bleurt"]}, "invalid_argument", "bleu"),
        ({"rows": [ROWS]}, "invalid_argument", f"no row {ROWS}"),
        ({"dataset": "x"}, "not_loaded", "train"),
    ],
)
def test_what_cannot_be_evaluated(worker: LocalWorker, changes: Any, code: str, words: str) -> None:
    error = worker.error("evaluate", **evaluate_args(**changes))
    assert error["code"] == code
    assert words in error["message"]


def test_rows_without_references_have_no_score(worker: LocalWorker, tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"instruction": "say a", "output": []}\n')
    worker.call("register_data", dataset="bare", source=data_source(source=str(path)))
    args = evaluate_args(dataset="bare", rows=[0])
    assert "row 0 of 'bare' has no reference" in worker.error("evaluate", **args)["message"]
    assert worker.call("evaluate", **{**args, "metrics": [], "texts": 1})["texts"][0]["references"] == []


def test_references_that_state_no_answer_are_told_before_anything_is_drawn(
    worker: LocalWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mute.jsonl"
    path.write_text('{"instruction": "say a", "output": ["So the answer is yes.", "So the answer is"]}\n')
    worker.call("register_data", dataset="mute", source=data_source(source=str(path)))
    monkeypatch.setattr(evaluate, "draw_that_fits", lambda *_: pytest.fail("something was drawn"))
    error = worker.error("evaluate", **evaluate_args(dataset="mute", rows=[0], metrics=["accuracy"]))
    assert "row 0 of 'mute' has a reference that states no answer" in error["message"]


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


def one_off(row: Any) -> list[int]:
    return [*row[1:], row[0]]


def without_eos(row: Any) -> list[int]:
    return list(row[:-1])


@pytest.mark.parametrize(("wrong", "check"), [(one_off, "labels"), (without_eos, "eos_labels")])
def test_preflight_notices_wrong_labels(
    worker: LocalWorker, monkeypatch: pytest.MonkeyPatch, wrong: Any, check: str
) -> None:
    collate, changes = policies.collate, iter([wrong])

    def first_wrong(rows: Any, **options: Any) -> Any:
        change = next(changes, list)
        return collate(rows=[change(row) for row in rows], **options)

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


def test_an_exported_model_is_the_student(worker: LocalWorker, tmp_path: Path) -> None:
    run_step(worker, 0)
    folder = tmp_path / "new" / "student"
    files = worker.call("export", role="student", dir=str(folder))["files"]
    assert {file["name"] for file in files} == {p.name for p in folder.iterdir()}
    loaded = AutoModelForCausalLM.from_pretrained(folder).to(DEVICE)
    policy = worker.session.role("student").policy
    tokens = torch.arange(3, 20, device=DEVICE)[None]
    with torch.no_grad():
        assert torch.equal(loaded(tokens).logits, policy.module(tokens).logits)
    assert AutoTokenizer.from_pretrained(folder).decode([40, 41]) == policy.tokenizer.decode([40, 41])
    (folder / ".export-killed").mkdir()
    worker.call("export", role="student", dir=str(folder))
    assert {file["name"] for file in files} == {p.name for p in folder.iterdir()}
    worker.call("reset")
    spec = {**model(0), "source": str(folder), "init": "pretrained"}
    del spec["arch"]
    worker.call("load_role", role="student", model=spec, gradient_checkpointing=False)
    with torch.no_grad():
        again = worker.session.role("student").policy.module(tokens).logits
    assert torch.equal(again, loaded(tokens).logits.detach())


def test_a_folder_that_cannot_be_written_is_told(worker: LocalWorker, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    error = worker.error("export", role="student", dir=str(blocked / "student"))
    assert error["code"] == "model_error"
    assert str(blocked) in error["message"]
    assert worker.error("export", role="teacher", dir=str(blocked))["code"] == "model_error"


def test_every_operation_of_the_contract_is_there() -> None:
    for name in OPERATIONS:
        assert callable(ops.find(name)), name


def test_an_export_to_a_full_disk_says_so(worker: LocalWorker, tmp_path: Path) -> None:
    with full_disk():
        error = worker.error("export", role="student", dir=str(tmp_path))
    assert (error["code"], error["applied"]) == ("model_error", False)
    assert "free some space" in error["message"]
    assert list(tmp_path.iterdir()) == []
    worker.call("export", role="student", dir=str(tmp_path))
