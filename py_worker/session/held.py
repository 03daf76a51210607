"""What handles hold: rollouts and batches, with their sizes in bytes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from py_worker.data.batch import TokenBatch
from py_worker.losses.scored import ScoredBatch
from py_worker.session.errors import ArgumentError

INDEX_VECTORS = 4
"""int64 per response position that a batch computes on first use: row, time, target, step."""


@dataclass(frozen=True)
class Rollout:
    """Responses that a policy drew, with their prompts, so that it outlives changes of datasets.

    Attributes:
        sample_ids: identity of each row's sample.
        prompts: int32 ids.
        tokens: int32 ids of the responses, EOS included where they ended by themselves.
        ended: whether they did.
        log_probs: float32, of each response token under the distribution that it was drawn from: mixture,
            temperature, truncation and bans included.
        policy_version: version of that policy's weights; the student's in a mixture.
    """

    sample_ids: tuple[int, ...]
    prompts: tuple[npt.NDArray[np.int32], ...]
    tokens: tuple[npt.NDArray[np.int32], ...]
    ended: tuple[bool, ...]
    log_probs: tuple[npt.NDArray[np.float32], ...]
    policy_version: int

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def bytes(self) -> int:
        return sum(array.nbytes for array in (*self.prompts, *self.tokens, *self.log_probs))


def batch_bytes(batch: TokenBatch) -> int:
    """Tokens, index vectors, and the log-probabilities that the rows were drawn with."""
    positions = batch.positions()
    drawn = 0 if positions.log_prob is None else positions.log_prob.nbytes
    return batch.tokens.nbytes + INDEX_VECTORS * 8 * sum(positions.counts) + drawn


def scored_bytes(scored: ScoredBatch) -> int:
    """The batch and its hidden states; the activations of a graph are not counted."""
    hidden = (h.nbytes for h in (scored.teacher_hidden, scored.student_hidden) if h is not None)
    return batch_bytes(scored.batch) + sum(hidden)


def require_part(batch: TokenBatch, part: str, what: str) -> None:
    """Checks that a batch has rows of a part.

    Raises:
        ArgumentError: it has none, so that `what` would be a mean over nothing.
    """
    if part != "all" and part not in batch.parts:
        parts = ", ".join(dict.fromkeys(batch.parts))
        raise ArgumentError(f"{what} is over part {part!r}, and the batch has {parts}")
