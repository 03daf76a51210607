"""One optimizer step in different layouts: the same gradients, the same returns and baselines."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from py_worker.data.batch import TokenBatch, collate
from py_worker.data.layout import MicroBatchLimits, lay_out
from py_worker.losses.advantages import step_advantages
from py_worker.losses.ascent import critic_backward
from py_worker.losses.driver import student_backward
from py_worker.losses.returns import Returns
from py_worker.losses.scored import score_batch
from py_worker.losses.terms import Term, bind
from py_worker.models.critics.critic import Critic, build_critic
from py_worker.models.policy import Policy
from py_worker.models.spec import CriticSpec
from tests.py.rows import rows_of
from tests.py.tiny_models import tiny_policy, tiny_rows

torch.set_num_threads(1)

PARTS = ("off", "on", "on", "off", "on", "off", "on", "on", "off")
TERMS = (
    Term("on", "moment", "on", 0.5, critic="c", returns=Returns(norm="length", baseline="leave_one_out")),
    Term("drawn", "reverse_kl", "on", 0.3, returns=Returns("reinforce", importance="token", clip=0.2)),
    Term("kd", "forward_kl", "off", 0.4, gamma=0.9),
    Term("lm", "cross_entropy", "all", 0.2),
)
LAYOUTS = [
    MicroBatchLimits(rows=1),
    MicroBatchLimits(rows=4),
    MicroBatchLimits(tokens=20),
    MicroBatchLimits(rows=5, tokens=40),
    MicroBatchLimits(halvings=2),
    MicroBatchLimits(rows=4, halvings=1),
]


def laid_out(limits: MicroBatchLimits, policy: Policy) -> TokenBatch:
    rows, prompts = tiny_rows(3, len(PARTS))
    lengths = [(prompt, len(row) - prompt) for row, prompt in zip(rows, prompts, strict=True)]
    layout = lay_out(lengths, PARTS, limits)
    order = [row for micro_batch in layout for row in micro_batch]
    drawn = [
        np.random.default_rng(row).normal(-2.0, 0.3, len(rows[row]) - prompts[row])
        if PARTS[row] == "on"
        else None
        for row in range(len(rows))
    ]
    all_rows = rows_of(rows, prompts, PARTS, log_probs=drawn)
    return collate(
        [all_rows[row] for row in order],
        pad_id=policy.pad_id,
        device="cpu",
        micro_rows=[len(micro_batch) for micro_batch in layout],
    )


@pytest.fixture(scope="module")
def models() -> tuple[Policy, Policy, Critic]:
    teacher, student = (tiny_policy(seed, dtype=torch.float64) for seed in (1, 2))
    teacher.freeze()
    return teacher, student, build_critic(CriticSpec(seed=3, hidden_size=8), teacher).double()


def gradient_in(limits: MicroBatchLimits, models: tuple[Policy, Policy, Critic]) -> dict[str, Tensor]:
    """Of student and critic, flat, and the metrics."""
    teacher, student, critic = models
    scored = score_batch(laid_out(limits, student), teacher=teacher, student=student)
    metrics = student_backward(
        student, scored, TERMS, teacher=teacher, critics={"c": critic}, chunk_size=5, diagnostics=True
    )
    found = {"student": torch.cat([p.grad.flatten() for _, p in student.trainable()])}
    student.module.zero_grad(set_to_none=True)
    ascent = critic_backward(critic, scored, "on", student=student, teacher=teacher, chunk_size=5)
    found["critic"] = torch.cat([p.grad.flatten() for p in critic.parameters() if p.grad is not None])
    critic.zero_grad(set_to_none=True)
    return found | metrics | {f"critic_{name}": value for name, value in ascent.items()}


@pytest.mark.parametrize("limits", LAYOUTS, ids=str)
def test_gradients_and_metrics_do_not_depend_on_the_layout(
    limits: MicroBatchLimits, models: tuple[Policy, Policy, Critic]
) -> None:
    expected, found = gradient_in(MicroBatchLimits(), models), gradient_in(limits, models)
    assert found.keys() == expected.keys()
    for name in ("student", "critic"):
        assert (found[name] - expected[name]).norm() <= 1e-10 * expected[name].norm()
        assert expected[name].norm() > 1e-3
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-12)


def test_in_single_precision_they_agree_to_a_millionth() -> None:
    single = tuple(tiny_policy(seed) for seed in (1, 2))
    single[0].freeze()
    critic = build_critic(CriticSpec(seed=3, hidden_size=8), single[0])
    whole = gradient_in(MicroBatchLimits(), (*single, critic))["student"]
    for limits in LAYOUTS:
        found = gradient_in(limits, (*single, critic))["student"]
        assert (found - whole).norm() <= 1e-6 * whole.norm()


@pytest.mark.parametrize("limits", LAYOUTS, ids=str)
def test_advantages_follow_their_tokens(
    limits: MicroBatchLimits, models: tuple[Policy, Policy, Critic]
) -> None:
    """Returns and leave-one-out baselines of a response are the same wherever its row lies."""
    teacher, student, critic = models

    def by_sample(limits: MicroBatchLimits) -> dict[tuple[int, int], tuple[float, ...]]:
        scored = score_batch(laid_out(limits, student), teacher=teacher, student=student)
        counts = scored.token_counts()
        terms = [bind(term, scored, teacher, {"c": critic}, counts[term.part]) for term in TERMS]
        advantages, _ = step_advantages(
            terms, scored, student=student, teacher=teacher, chunk_size=4, tick=lambda: None
        )
        positions = scored.batch.positions()
        values = torch.stack([advantages[name].advantage for name in ("on", "drawn")]).T.tolist()
        samples = [scored.batch.sample_ids[row] for row in positions.row.tolist()]
        keys = zip(samples, positions.step.tolist(), strict=True)
        return {key: tuple(value) for key, value in zip(keys, values, strict=True)}

    expected, found = by_sample(MicroBatchLimits()), by_sample(limits)
    assert found.keys() == expected.keys()
    assert any(any(value) for value in expected.values())
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_halving_a_batch_changes_nothing(models: tuple[Policy, Policy, Critic]) -> None:
    """What happens to a batch that has been scored when memory runs out."""
    teacher, student, critic = models
    batch = laid_out(MicroBatchLimits(rows=4), student)
    scored = score_batch(batch, teacher=teacher, student=student)

    def gradient(of: TokenBatch) -> Tensor:
        student_backward(
            student,
            dataclasses.replace(scored, batch=of),
            TERMS,
            teacher=teacher,
            critics={"c": critic},
            chunk_size=5,
        )
        found = torch.cat([p.grad.flatten() for _, p in student.trainable()])
        student.module.zero_grad(set_to_none=True)
        return found

    expected, of = gradient(batch), batch.halved()
    while of is not None:
        assert (gradient(of) - expected).norm() <= 1e-10 * expected.norm()
        of = of.halved()
