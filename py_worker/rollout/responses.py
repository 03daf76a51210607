"""What every engine returns, and how rows of tokens are cut to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from py_worker.rollout.request import TokenArray


@dataclass(frozen=True)
class Responses:
    """What an engine drew: one response per prompt, in their order.

    Attributes:
        tokens: response ids of each row, int32, with its EOS where it ended by itself.
        ended: whether each row ended with EOS; False where it was cut at `max_new_tokens`.
        log_probs: of each response token, float32, under the distribution it was drawn from: mixture,
            temperature, truncation and bans included.
        decoded_rows: rows that went through the decoder one token at a time, summed over steps. Divided by
            the number of tokens it says how much work finished rows still cost; 1 is the ideal.
    """

    tokens: list[TokenArray]
    ended: list[bool]
    log_probs: list[npt.NDArray[np.float32]]
    decoded_rows: int

    @property
    def token_count(self) -> int:
        """Tokens of all responses, EOS included."""
        return sum(len(row) for row in self.tokens)


def collect(
    tokens: npt.NDArray[np.int64],
    log_probs: npt.NDArray[np.float32],
    eos_ids: Sequence[int],
    decoded_rows: int,
) -> Responses:
    """Cuts each row after its first EOS.

    Args:
        tokens: [N, T] as drawn; what follows the first EOS of a row is ignored.
        log_probs: [N, T] of those tokens.
        eos_ids: ids that end a response.
        decoded_rows: see `Responses`.
    """
    is_eos = np.isin(tokens, eos_ids)
    ended: npt.NDArray[np.bool_] = np.asarray(is_eos.any(axis=1))
    lengths = np.where(ended, is_eos.argmax(axis=1) + 1, tokens.shape[1])
    return Responses(
        tokens=[row[:n].astype(np.int32) for row, n in zip(tokens, lengths, strict=True)],
        ended=[bool(e) for e in ended],
        log_probs=[row[:n].copy() for row, n in zip(log_probs, lengths, strict=True)],
        decoded_rows=decoded_rows,
    )
