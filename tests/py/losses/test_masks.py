"""Masks on ragged batches whose pad id is EOS: every objective through the driver, against each row alone."""

from typing import Any

import pytest
import torch
from torch import Tensor

from py_worker.data.batch import TokenBatch, collate
from py_worker.data.encoding import Limits, encode
from py_worker.data.records import Record
from py_worker.data.templates import bound_template
from py_worker.losses.driver import student_backward
from py_worker.losses.objectives import OBJECTIVES, Chunk
from py_worker.losses.returns import Returns
from py_worker.losses.scored import score_batch
from py_worker.losses.terms import Term
from tests.py.losses.oracle import REFERENCES, exact
from tests.py.losses.row_by_row import ROWS, Setting, batch_of, row_by_row
from tests.py.rows import rows_of
from tests.py.tiny_models import EOS, PAD, tiny_tokenizer

torch.set_num_threads(1)

OPTIONS: tuple[dict[str, Any], ...] = ({}, {"micro_batch": 2, "chunk_size": 3}, {"micro_batch": 1})
RETURNS = (
    Returns("return"),
    Returns("return", norm="length", baseline="leave_one_out"),
    Returns("return", costs="sampled"),
    Returns("return", costs="sampled", norm="length", baseline="leave_one_out"),
    Returns("reinforce", norm="length", baseline="leave_one_out"),
)


def term(name: str, part: str = "all", returns: Returns | None = None, **options: Any) -> Term:
    """An objective with parameters away from their end points."""
    params = dict(REFERENCES[name].params[-2:][0])
    if "temperature" in OBJECTIVES[name].defaults:
        params["temperature"] = 1.0 if returns and returns.sampled else 1.5
    return Term("t", name, part, 0.7, params=params, gamma=0.9, returns=returns, **options)


def over_the_registry() -> list[Any]:
    """Every objective, with a critic on the features of either model where it needs one."""
    return [
        pytest.param(name, critic, id=f"{name}-{critic}" if critic else name)
        for name, objective in sorted(OBJECTIVES.items())
        for critic in (("teacher", "student") if objective.needs_critic else (None,))
    ]


every_objective = pytest.mark.parametrize(("name", "critic"), over_the_registry())


def allowed_returns() -> list[Any]:
    return [
        pytest.param(*setting.values, returns, id=f"{setting.id}-{index}")
        for setting in over_the_registry()
        for index, returns in enumerate(RETURNS)
        if not OBJECTIVES[setting.values[0]].reads_target
        and (OBJECTIVES[setting.values[0]].sample or not returns.sampled)
    ]


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert expected.norm() > 1e-3
    assert (found - expected).norm() <= 1e-9 * expected.norm()


@every_objective
@pytest.mark.parametrize("part", ["all", "on"])
def test_the_gradient_is_that_of_each_sequence_alone(name, critic, part):
    setting, mine = Setting(), term(name, part, critic=critic)
    expected = row_by_row(setting, mine)
    for options in OPTIONS:
        assert_same(setting.gradient(mine, batch_of(ROWS), **options), expected)


@pytest.mark.parametrize(("name", "critic", "returns"), allowed_returns())
def test_the_gradient_of_returns_is_that_of_each_sequence_alone(name, critic, returns):
    setting, mine = Setting(), term(name, "on", returns, critic=critic)
    expected = row_by_row(setting, mine)
    for options in OPTIONS:
        assert_same(setting.gradient(mine, batch_of(ROWS), **options), expected)


@every_objective
def test_rows_without_a_response_give_nothing_and_no_nan(name, critic):
    setting = Setting()
    batch = collate(rows_of([[2, 3, 4], [5]], [3, 1]), pad_id=PAD, device="cpu")
    metrics = student_backward(
        setting.student,
        score_batch(batch, teacher=setting.teacher, student=setting.student),
        [term(name, critic=critic)],
        teacher=setting.teacher,
        critics=setting.critics,
        diagnostics=True,
    )
    assert metrics == {"loss": 0.0}
    assert not setting.take().any()


@every_objective
def test_padding_to_the_left_gives_the_same(name, critic):
    """Our batches cannot be padded on the left; computed the way others do, the gradient is the same."""
    setting = Setting()
    rows = [row for row in ROWS if row[1]]
    inputs = left_padded([prompt + response for prompt, response in rows])
    logits = setting.student.module(**inputs).logits
    with torch.no_grad():
        teacher = setting.teacher.module(**inputs).logits
        values = torch.zeros_like(logits)
        if critic:
            owner = setting.teacher if critic == "teacher" else setting.student
            states = owner.body(**inputs).last_hidden_state
            values = setting.critics[critic].values(states.flatten(0, 1)).view(logits.shape)
    gradient = torch.zeros_like(logits)
    mine = term(name, critic=critic)
    for row, (_, response) in enumerate(rows):
        where = slice(-len(response) - 1, -1)
        chunk = Chunk(logits[row, where], teacher[row, where], torch.tensor(response), values[row, where])
        steps = torch.arange(len(response), dtype=torch.float64)[:, None]
        gradient[row, where] = mine.gamma**steps * exact(name, chunk, mine.params)[1]
    logits.backward(mine.weight * gradient / sum(len(response) for _, response in rows))
    expected = setting.take()
    assert_same(setting.gradient(mine, batch_of(ROWS)), expected)


def left_padded(rows: list[list[int]]) -> dict[str, Tensor]:
    """What Hugging Face models want for it."""
    width = max(len(row) for row in rows)
    tokens = torch.tensor([[PAD] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    return {"input_ids": tokens, "attention_mask": mask, "position_ids": positions}


@every_objective
def test_what_fills_a_row_makes_no_difference(name, critic):
    setting, mine = Setting(), term(name, critic=critic)
    expected = setting.gradient(mine, batch_of(ROWS))
    for filler in (0, 5):
        batch = batch_of(ROWS, filler)
        wider = torch.cat([batch.tokens, torch.full((len(ROWS), 3), filler)], 1)
        same = (batch.prompt_lengths, batch.lengths, batch.parts, batch.sample_ids)
        assert_same(setting.gradient(mine, TokenBatch(wider, *same)), expected)


def test_a_student_learns_to_stop_where_responses_end_and_not_where_they_were_cut():
    records = [Record("abc", "", ("de",)), Record("abc", "", ("fghijk",))]
    ended, cut = encode(
        records, bound_template("plain", tiny_tokenizer()), Limits(max_prompt_tokens=4, max_tokens=8)
    )
    assert ended.has_eos and ended.response[-1] == EOS == PAD
    assert not cut.has_eos and EOS not in cut.response
    setting, rows = Setting(), [(ended.prompt, ended.response), (cut.prompt, cut.response)]
    states = (ended.prompt + ended.response[:-1], cut.prompt + cut.response)
    parameters = [p for _, p in setting.student.trainable()]

    def stopping() -> list[float]:
        with torch.no_grad():
            logits = [setting.student.module(input_ids=torch.tensor([ids])).logits[0, -1] for ids in states]
        return [float(row.softmax(-1)[EOS]) for row in logits]

    before = stopping()
    for _ in range(60):
        gradient = setting.gradient(Term("lm", "cross_entropy", "all"), batch_of(rows))
        changes = gradient.split([p.numel() for p in parameters])
        with torch.no_grad():
            for parameter, change in zip(parameters, changes, strict=True):
                parameter -= 0.5 * change.view_as(parameter)
    after = stopping()
    assert before[0] < 0.2 and after[0] > 0.8
    assert after[1] < 0.5  # nothing is said about what follows the cut
