"""A sum of costs pays for ending early: the collapse, and its cure, in a student that is trained."""

import contextlib
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from py_worker.data.batch import TokenBatch, collate
from py_worker.data.row import Row
from py_worker.losses.driver import student_backward
from py_worker.losses.returns import Returns
from py_worker.losses.scored import score_batch
from py_worker.losses.terms import Term
from py_worker.models.head import OutputHead

torch.set_num_threads(1)

EOS, LIMIT, ROWS, STEPS = 0, 12, 32, 60
TEACHER_LENGTH = sum(0.95**t for t in range(LIMIT))  # 9.2 tokens


class Periodic:
    """A policy whose logits depend on the position alone, with a period."""

    device = torch.device("cpu")
    compute_dtype = None

    def __init__(self, probabilities: list[list[float]]):
        weight = torch.tensor(probabilities, dtype=torch.float64).log().T.contiguous()
        self.vocab_size, self.period = weight.shape
        self.head = OutputHead(weight, None, self.vocab_size)

    def resident(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def response_hidden(self, batch: TokenBatch) -> Tensor:
        return F.one_hot(batch.positions().step % self.period, self.period).to(self.head.weight.dtype)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.head.logits(hidden)

    def draw(self, rows: int, generator: torch.Generator) -> list[list[int]]:
        """Responses up to EOS or the limit."""
        places = torch.arange(LIMIT) % self.period
        probabilities = self.head.weight.detach().T[places].softmax(-1)
        tokens = torch.multinomial(probabilities, rows, True, generator=generator).T.tolist()
        return [row[: row.index(EOS) + 1] if EOS in row else row for row in tokens]


def length_after_training(objective: str, returns: Returns | None) -> float:
    """Mean length of the student's responses in the last ten steps.

    The teacher alternates between two tokens and the student, with one state, cannot: each position costs
    something, whatever it learns. Both end with probability 0.05 at first.
    """
    teacher = Periodic([[0.05, 0.76, 0.095, 0.095], [0.05, 0.095, 0.76, 0.095]])
    student = Periodic([[0.05, 0.95 / 3, 0.95 / 3, 0.95 / 3]])
    student.head.weight.requires_grad_()
    optimizer = torch.optim.SGD([student.head.weight], lr=1.0)
    generator = torch.Generator().manual_seed(0)
    lengths = []
    for _ in range(STEPS):
        responses = student.draw(ROWS, generator)
        lengths.append(sum(map(len, responses)) / ROWS)
        rows = [Row([1], response, index, "on") for index, response in enumerate(responses)]
        batch = collate(rows, pad_id=EOS, device="cpu")
        scored = score_batch(batch, teacher=teacher, student=student)
        term = Term("on", objective, "on", returns=returns)
        student_backward(student, scored, [term], teacher=teacher)
        optimizer.step()
        optimizer.zero_grad()
    return sum(lengths[-10:]) / 10


MOMENT, REVERSE_KL = "exact_moment_tanh", "reverse_kl"
MINILLM = Returns(costs="sampled", norm="length", baseline="whiten")


@pytest.mark.parametrize(
    ("objective", "returns"),
    [
        (MOMENT, Returns()),
        (MOMENT, Returns(baseline="leave_one_out")),
        (MOMENT, Returns(baseline="whiten")),
        (MOMENT, Returns("reinforce")),
        (REVERSE_KL, Returns(baseline="leave_one_out")),
        (REVERSE_KL, replace(MINILLM, norm="none")),
    ],
)
def test_sums_of_costs_teach_to_stop_early(objective, returns):
    assert length_after_training(objective, returns) < 2 / 3 * TEACHER_LENGTH


@pytest.mark.parametrize(
    ("objective", "returns"),
    [
        (MOMENT, None),
        (MOMENT, Returns(norm="length", baseline="leave_one_out")),
        (MOMENT, Returns(norm="length", baseline="whiten")),
        (MOMENT, MINILLM),
        (REVERSE_KL, None),
        (REVERSE_KL, Returns(norm="length", baseline="leave_one_out")),
        (REVERSE_KL, MINILLM),
    ],
)
def test_means_of_costs_do_not(objective, returns):
    """Nor does the loss at the states alone, after which the reverse divergence leaves 8 tokens of 9."""
    assert abs(length_after_training(objective, returns) - TEACHER_LENGTH) < 1.5
