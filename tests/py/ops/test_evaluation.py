"""Scores of the responses that a role draws."""

from pathlib import Path
from typing import Any

import pytest

from py_worker.metrics import bleu_statistics
from py_worker.ops.support.fitted_draw import FittedDraw
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import (
    ROWS,
    SAMPLING,
    data_source,
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
    monkeypatch.setattr(FittedDraw, "draw", lambda *_: pytest.fail("something was drawn"))
    error = worker.error("evaluate", **evaluate_args(dataset="mute", rows=[0], metrics=["accuracy"]))
    assert "row 0 of 'mute' has a reference that states no answer" in error["message"]
