"""A decision process small enough to enumerate, with policies and a critic over its states, in float64.

A response is tokens up to EOS, or to the horizon. A policy offers of `Policy` what the driver asks for; body
and head have parameters, so that both backward passes are seen.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from py_worker.data.batch import TokenBatch, collate
from py_worker.data.row import Row
from py_worker.losses.driver import student_backward
from py_worker.losses.scored import score_batch
from py_worker.losses.terms import Term
from py_worker.models.head import OutputHead

VOCABULARY = 3
EOS = 0
PROMPT = 2


@dataclass(frozen=True)
class Process:
    """Responses over `VOCABULARY` tokens, of at most `horizon`."""

    horizon: int

    @property
    def states(self) -> list[tuple[int, ...]]:
        """Every prefix that still has an action."""
        tokens = range(1, VOCABULARY)
        return [s for n in range(self.horizon) for s in itertools.product(tokens, repeat=n)]

    def responses(self, prefix: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
        for action in range(VOCABULARY):
            response = (*prefix, action)
            if action == EOS or len(response) == self.horizon:
                yield response
            else:
                yield from self.responses(response)


class TinyPolicy:
    """Logits `head · embedding[state]`, with a free embedding for each state."""

    device = torch.device("cpu")
    vocab_size = VOCABULARY
    compute_dtype = None

    def __init__(self, process: Process, seed: int):
        generator = torch.Generator().manual_seed(seed)
        self.index = {state: number for number, state in enumerate(process.states)}
        self.embedding = torch.randn(len(self.index), 4, generator=generator, dtype=torch.float64)
        weight = torch.randn(VOCABULARY, 4, generator=generator, dtype=torch.float64)
        self.head = OutputHead(weight, None, VOCABULARY)

    def trained(self) -> "TinyPolicy":
        self.embedding.requires_grad_()
        self.head.weight.requires_grad_()
        return self

    def resident(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def response_hidden(self, batch: TokenBatch) -> Tensor:
        positions = batch.positions()
        rows = zip(positions.row.tolist(), positions.time.tolist(), strict=True)
        prefixes = [tuple(batch.tokens[row, 1 : time + 1].tolist()) for row, time in rows]
        return self.embedding[[self.index[prefix] for prefix in prefixes]]

    def logits(self, hidden: Tensor) -> Tensor:
        return self.head.logits(hidden)

    def log_probs(self) -> dict[tuple[int, ...], Tensor]:
        table = self.logits(self.embedding).log_softmax(-1)
        return {state: table[number] for state, number in self.index.items()}

    def take_gradient(self) -> Tensor:
        """What has accumulated, flat; then there is none."""
        found = torch.cat([self.embedding.grad.flatten(), self.head.weight.grad.flatten()])
        self.embedding.grad = self.head.weight.grad = None
        return found


class TinyCritic:
    """A fixed table of values, read from the teacher's states."""

    spec = SimpleNamespace(features="teacher")

    def __init__(self, seed: int):
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(4, VOCABULARY, generator=generator, dtype=torch.float64)

    def raw(self, hidden: Tensor) -> Tensor:
        return hidden @ self.weight

    def values_of(self, raw: Tensor, _teacher_logits: Tensor | None) -> Tensor:
        return raw.tanh()

    def values(self, hidden: Tensor, teacher_logits: Tensor | None = None) -> Tensor:
        return self.values_of(self.raw(hidden), teacher_logits)


def along(table: dict[tuple[int, ...], Tensor], response: tuple[int, ...]) -> Tensor:
    """Log-probability of each token of a response."""
    return torch.stack([table[response[:t]][action] for t, action in enumerate(response)])


@dataclass(frozen=True)
class Game:
    """A process with both policies and a critic."""

    process: Process
    student: TinyPolicy
    teacher: TinyPolicy
    critic: TinyCritic

    def exact_gradient(self, cost: Callable[[Tensor, Tensor, Tensor], Tensor], gamma: float) -> Tensor:
        """`∇ Σ_s P(s)·γ^t·c(s)` by automatic differentiation, the probability of the states included."""
        student, teacher = self.student.log_probs(), self.teacher.log_probs()
        values = self.critic.values(self.teacher.embedding)
        total = torch.zeros((), dtype=torch.float64)
        for number, state in enumerate(self.process.states):
            reached = along(student, state).sum().exp() if state else 1.0
            total = total + reached * gamma ** len(state) * cost(
                teacher[state], student[state], values[number]
            )
        total.backward()
        return self.student.take_gradient()

    def gradient(
        self,
        term: Term,
        responses: list[tuple[int, ...]],
        behaviour: dict[tuple[int, ...], Tensor] | None = None,
        **options: Any,
    ) -> Tensor:
        """The driver's gradient of a term's sum (not mean) over the positions of responses, in one batch."""
        rows = []
        for index, response in enumerate(responses):
            drawn = None if behaviour is None else along(behaviour, response).detach().numpy()
            rows.append(Row([PROMPT], response, index, "on", drawn))
        batch = collate(rows, pad_id=EOS, device="cpu")
        teacher, student = self.teacher, self.student
        scored = score_batch(batch, teacher=teacher, student=student)  # type: ignore[arg-type]
        student_backward(
            student,  # type: ignore[arg-type]
            scored,
            [term],
            teacher=teacher,  # type: ignore[arg-type]
            critics={"f": self.critic},  # type: ignore[dict-item]
            token_counts={"on": 1},
            **options,
        )
        return student.take_gradient()


def game(horizon: int, seed: int = 0) -> Game:
    process = Process(horizon)
    student, teacher = TinyPolicy(process, seed).trained(), TinyPolicy(process, seed + 1)
    return Game(process, student, teacher, TinyCritic(seed + 2))
