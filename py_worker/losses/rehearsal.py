"""A training step that is gone through for what it allocates, and leaves nothing behind.

It runs the functions that a step runs, so that no second description of a step's memory can go stale. On fake
tensors, which have shapes and no numbers, it takes seconds whatever the sizes, and cannot run out of memory.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from torch import Tensor, nn

from py_worker.data.batch import TokenBatch, collate
from py_worker.data.row import Row
from py_worker.losses.ascent import critic_backward
from py_worker.losses.driver import student_backward
from py_worker.losses.errors import LossError
from py_worker.losses.head_pass import positions_at_once
from py_worker.losses.loss_form import LossForm
from py_worker.losses.scored import ScoredBatch, score_batch
from py_worker.losses.terms import Term
from py_worker.models.allocations import AllocationCounter, Labels, MemoryItem, Sizes, fake_tensors
from py_worker.models.critics.critic import Critic
from py_worker.models.lora import adapter_dropout
from py_worker.models.policy import Policy


class _Phases(Protocol):
    def __call__(self, name: str) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class RowLengths:
    """Lengths of one sequence in tokens, and the part it belongs to.

    Attributes:
        drawn: a policy drew the response, so that its log-probabilities are known.
    """

    part: str
    prompt: int
    response: int
    drawn: bool = False

    @property
    def length(self) -> int:
        return self.prompt + self.response


MicroBatches = Sequence[Sequence[RowLengths]]


@dataclass(frozen=True)
class Rehearsal:
    """What a step is made of.

    Attributes:
        student: the policy that is trained.
        teacher: the one it learns from, or None.
        terms: the student's objective.
        constants: by the names that terms use, critics that it takes values from.
        ascents: critics that are trained, and the part that each sees.
        score_teacher: it runs over the batch before anything else.
        score_student: so does the student; with its graph, kept for its step where there is one micro-batch.
        diagnostics: as in a step whose diagnostics are due, which take most.
        chunk_size: positions whose logits exist at a time; None is the losses' own table.
        form: how the student's losses are computed. What one kernel does is done in tiles here: it
            takes no more.
        loss_scale: of float16, or None.
        dropout: that of adapters is on.
    """

    student: Policy
    teacher: Policy | None
    terms: Sequence[Term]
    constants: Mapping[str, Critic]
    ascents: Sequence[tuple[Critic, str]]
    score_teacher: bool
    score_student: Literal["none", "values", "graph"]
    diagnostics: bool
    chunk_size: int | None
    form: LossForm
    loss_scale: Tensor | None
    dropout: bool

    @property
    def positions_at_once(self) -> int:
        """Positions whose logits exist at a time."""
        return positions_at_once(self.student, self.chunk_size)

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """All that has weights."""
        policies = [policy.module for policy in (self.student, self.teacher) if policy is not None]
        return (*policies, *self.constants.values(), *(critic for critic, _ in self.ascents))

    def run(self, batch: TokenBatch, phase: _Phases) -> None:
        """Scores, then every critic's gradient, then the student's. Afterwards no gradient is left."""
        try:
            with phase("scoring"):
                scored = self._scored(batch)
            with phase("critics"):
                for critic, part in self.ascents:
                    self._ascend(critic, part, scored)
            _discard_gradients(critic for critic, _ in self.ascents)
            with phase("student"):
                self._descend(scored)
        finally:
            _discard_gradients(self.modules)

    def _scored(self, batch: TokenBatch) -> ScoredBatch:
        teacher = self.teacher if self.score_teacher else None
        student = None if self.score_student == "none" else self.student
        return score_batch(
            batch, teacher=teacher, student=student, student_graph=self.score_student == "graph"
        )

    def _ascend(self, critic: Critic, part: str, scored: ScoredBatch) -> None:
        if self.teacher is None:
            raise LossError("a critic's step needs a teacher")
        critic_backward(
            critic,
            scored,
            part,
            student=self.student,
            teacher=self.teacher,
            chunk_size=self.chunk_size,
            diagnostics=self.diagnostics,
        )

    def _descend(self, scored: ScoredBatch) -> None:
        hidden = scored.student_hidden
        with adapter_dropout(self.student.module, 0) if self.dropout else nullcontext():
            student_backward(
                self.student,
                scored,
                self.terms,
                teacher=self.teacher,
                critics=self.constants,
                reuse_graph=hidden is not None and hidden.requires_grad,
                chunk_size=self.chunk_size,
                form="fused" if self.form in ("compiled", "triton") else self.form,
                diagnostics=self.diagnostics,
                loss_scale=self.loss_scale,
            )


def _discard_gradients(modules: Iterable[nn.Module]) -> None:
    for module in modules:
        for parameter in module.parameters():
            parameter.grad = None


def rehearse(
    step: Rehearsal, micro_batches: MicroBatches, *, packed: bool = False, fake: bool = True
) -> dict[str, Sizes]:
    """Bytes that are allocated beyond what is there before, at the peak of each phase, by item.

    Args:
        step: what is done.
        micro_batches: the largest first.
        packed: rows are laid end to end.
        fake: on fake tensors; otherwise in earnest, for models whose operations depend on numbers.
    """
    peaks: dict[str, Sizes] = {}
    batch = _batch(step, micro_batches, packed)
    left_out = _hidden_left_out(step, micro_batches, batch)
    weights = [t for module in step.modules for t in (*module.parameters(), *module.buffers())]
    tensors = fake_tensors(weights) if fake else nullcontext(())
    with tensors as known, AllocationCounter(_labels(step, batch), known) as counter:

        @contextmanager
        def phase(name: str) -> Iterator[None]:
            with counter.phase():
                yield
            hidden = counter.peak["hidden_states"] + left_out[name]
            peaks[name] = {**counter.peak, "hidden_states": hidden}

        step.run(batch, phase)
    return peaks


def go_through(step: Rehearsal, micro_batches: MicroBatches, *, packed: bool = False) -> None:
    """The same in earnest, for whoever measures it from outside."""
    step.run(_batch(step, micro_batches, packed), lambda _: nullcontext())


def _batch(step: Rehearsal, micro_batches: MicroBatches, packed: bool) -> TokenBatch:
    """A batch that takes a step through all that its micro-batches take most memory for.

    That is the first two: the gradients of the second are added to those that are there by then. They are as
    wide as they are, with a chunk of logits of each part and a little; more would add only hidden states. For
    an encoder-decoder that would make prompts longer, which are not read with the responses.
    """
    most = math.inf if step.student.has_encoder else step.positions_at_once + 1
    chosen = [_shortened(rows, most) for rows in micro_batches[:2]]
    pad_id = step.student.pad_id
    return collate(
        [_padding(row, pad_id, index) for index, row in enumerate(itertools.chain(*chosen))],
        pad_id=pad_id,
        device=step.student.device,
        micro_rows=[len(micro) for micro in chosen],
        packed=packed,
    )


def _padding(row: RowLengths, pad_id: int, sample_id: int) -> Row:
    """A row of these lengths, of nothing but padding."""
    prompt, response = (np.full(length, pad_id) for length in (row.prompt, row.response))
    log_probs = np.zeros(row.response, dtype=np.float32) if row.drawn else None
    return Row(prompt, response, sample_id, row.part, log_probs)


def _shortened(rows: Sequence[RowLengths], positions: float) -> list[RowLengths]:
    """The same lengths with at most so many response positions in each part."""
    left: Counter[str] = Counter()
    shortened = []
    for row in rows:
        response = int(min(row.response, positions - left[row.part]))
        left[row.part] += response
        shortened.append(RowLengths(row.part, row.length - response, response, row.drawn))
    return shortened


def kept_hidden_bytes(step: Rehearsal, positions: int) -> int:
    """Hidden states of the scored policies at so many positions."""
    teacher = step.teacher if step.score_teacher else None
    student = None if step.score_student == "none" else step.student
    return positions * sum(_state_bytes(policy) for policy in (teacher, student) if policy is not None)


def _state_bytes(policy: Policy) -> int:
    return policy.hidden_size * policy.dtype.itemsize


def _hidden_left_out(step: Rehearsal, micro_batches: MicroBatches, batch: TokenBatch) -> dict[str, int]:
    """Bytes of hidden states, by phase, at the positions that the batch does without."""
    first, *others = ScoredBatch(batch).micro_batches()
    here = [sum(micro.batch.positions().counts) for micro in (first, *others)]
    all_of = [sum(row.response for row in rows) for rows in micro_batches]
    kept = kept_hidden_bytes(step, sum(all_of) - sum(here))
    # The states of a micro-batch and their gradient; with the graph the states are those that were scored.
    own = _state_bytes(step.student) * (1 if step.score_student == "graph" else 2) * (all_of[0] - here[0])
    return {"scoring": kept, "critics": kept, "student": kept + own}


def _labels(step: Rehearsal, batch: TokenBatch) -> Labels:
    """What a tensor is for, from its shape alone: gradients have the shapes of weights, logits end in V."""
    trained = {tuple(p.shape) for p in step.student.module.parameters() if p.requires_grad}
    critics = {tuple(p.shape) for critic, _ in step.ascents for p in critic.parameters()}
    micro_batches = ScoredBatch(batch).micro_batches()
    positions = {sum(one.batch.positions().counts) for one in micro_batches}
    positions.add(sum(batch.positions().counts))
    widths = {policy.hidden_size for policy in (step.student, step.teacher) if policy is not None}

    def label(tensor: Tensor) -> MemoryItem:
        shape = tuple(tensor.shape)
        if shape in trained:
            return "gradients"
        if shape in critics:
            return "critic_gradients"
        if len(shape) > 1 and shape[-1] == step.student.vocab_size:
            return "logits"
        if len(shape) == 2 and shape[0] in positions and shape[1] in widths:
            return "hidden_states"
        return "activations"

    return label
