"""The gradient of one term, sequence by sequence without padding, and the batch it is compared with.

The model runs over one sequence at a time; the gradient with respect to the logits comes from the formulas of
`oracle.py`; returns and baselines are written out as loops.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from py_worker.data.batch import TokenBatch, collate
from py_worker.data.row import Row
from py_worker.losses.driver import student_backward
from py_worker.losses.objectives import Chunk
from py_worker.losses.returns import Returns
from py_worker.losses.scored import score_batch
from py_worker.losses.terms import Term
from py_worker.models.critics.critic import build_critic
from py_worker.models.spec import CriticSpec
from tests.py.losses.oracle import REFERENCES, exact, pair_of
from tests.py.tiny_models import EOS, PAD, cut, tiny_policy

Pair = tuple[list[int], list[int]]
"""Prompt and response."""

# The second and the last were cut at a limit, the third has no response, the fourth nothing but EOS.
ROWS: Sequence[Pair] = (
    ([2, 3, 4], [5, 6, 7, EOS]),
    ([5], [9, 3, 3, 8, 12, 4]),
    ([4, 4, 9, 11, 10], []),
    ([7, 8], [EOS]),
    ([12, 2], [3, 10, EOS]),
    ([6, 11, 3], [2, 2]),
)
PARTS = ("on", "off", "on", "on", "off", "on")


def batch_of(rows: Sequence[Pair], filler: int = PAD) -> TokenBatch:
    made = [Row(*row, index, part) for index, (row, part) in enumerate(zip(rows, PARTS, strict=False))]
    return collate(made, pad_id=filler, device="cpu")


class Setting:
    """Teacher, student and a critic on the features of each, in float64."""

    def __init__(self) -> None:
        self.teacher, self.student = (tiny_policy(seed, dtype=torch.float64) for seed in (1, 2))
        self.teacher.freeze()
        self.critics = {
            name: build_critic(CriticSpec(seed=3, hidden_size=8, features=name), policy).double()
            for name, policy in (("teacher", self.teacher), ("student", self.student))
        }

    def gradient(self, term: Term, batch: TokenBatch, *, micro_batch: int = 0, **options: Any) -> Tensor:
        """The driver's, flat."""
        scored = score_batch(cut(batch, micro_batch), teacher=self.teacher, student=self.student)
        critics = self.critics
        student_backward(self.student, scored, [term], teacher=self.teacher, critics=critics, **options)
        return self.take()

    def take(self) -> Tensor:
        """What has accumulated on the student, flat; then there is none."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for _, p in self.student.trainable()]
        self.student.module.zero_grad(set_to_none=True)
        return torch.cat([gradient.flatten() for gradient in gradients])

    def alone(self, row: Pair, critic: str | None) -> tuple[Chunk, Tensor]:
        """What a loss sees of one sequence, and the student's logits with their graph."""
        prompt, response = row
        tokens, where = torch.tensor([prompt + response]), slice(len(prompt) - 1, -1)
        logits = self.student.module(input_ids=tokens).logits[0, where]
        with torch.no_grad():
            teacher = self.teacher.module(input_ids=tokens).logits[0, where]
            owner = self.student if critic == "student" else self.teacher
            states = owner.body(input_ids=tokens).last_hidden_state[0, where]
            values = self.critics[critic or "teacher"].values(states)
        return Chunk(logits.detach(), teacher, torch.tensor(response), values), logits


def row_by_row(setting: Setting, term: Term) -> Tensor:
    """The term's gradient over ROWS, each by itself: `∂L/∂logits` by formula, then the model's backward."""
    rows = [row for row, part in zip(ROWS, PARTS, strict=True) if term.part in ("all", part) and row[1]]
    count = sum(len(response) for _, response in rows)
    seen = [setting.alone(row, term.critic) for row in rows]
    returns = term.returns
    losses = [_costs(chunk, term, sampled=False) for chunk, _ in seen]
    costs = [_costs(chunk, term, sampled=returns.sampled) for chunk, _ in seen] if returns else losses
    for row, (chunk, logits) in enumerate(seen):
        _, gradient = exact(term.objective, chunk, term.params)
        if returns is not None:
            # ∂ log q(y)/∂logits = e_y − q, at temperature 1 whatever the objective's.
            q = pair_of(chunk).q
            score = torch.zeros_like(q).scatter(-1, chunk.targets[:, None], 1.0) - q
            found = advantages(costs, losses, row, term.gamma, returns)
            advantage = torch.tensor(found, dtype=torch.float64)
            own = 0.0 if returns.gradient == "reinforce" else gradient
            gradient = own + advantage[:, None] * score
        steps = torch.arange(len(gradient), dtype=torch.float64)[:, None]
        logits.backward(term.weight / count * term.gamma**steps * gradient)
    return setting.take()


def _costs(chunk: Chunk, term: Term, *, sampled: bool) -> list[float]:
    reference = REFERENCES[term.objective]
    pair = pair_of(chunk, term.params.get("temperature", 1.0))
    cost = reference.sample if sampled and reference.sample is not None else reference.value
    return cost(pair, term.params).tolist()


def advantages(
    costs: list[list[float]], losses: list[list[float]], row: int, gamma: float, returns: Returns
) -> list[float]:
    """`A_t` of one row by definition: its costs to go less the mean of the other rows' at that position."""

    def to_go(of: int, t: int) -> float:
        if t >= len(costs[of]):
            return 0.0  # a response that has ended
        total = sum(gamma ** (u - t) * costs[of][u] for u in range(t + 1, len(costs[of])))
        if returns.gradient == "reinforce":
            total += costs[of][t]
        elif returns.norm == "length":
            total += losses[of][t]
        return total / (len(costs[of]) - t) if returns.norm == "length" else total

    others = [of for of in range(len(costs)) if of != row]
    result = []
    for t in range(len(costs[row])):
        mean = sum(to_go(of, t) for of in others) / max(len(others), 1)
        result.append(to_go(row, t) - (mean if returns.baseline == "leave_one_out" else 0.0))
    return result
