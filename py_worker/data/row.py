"""One sequence that models read: a prompt and a response to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from py_worker.data.errors import DataError

Ids = Sequence[int] | npt.NDArray[np.integer]
LogProbs = npt.NDArray[np.floating]
"""Log-probability of each token of one response, float32 (a wider type is kept)."""


@dataclass(frozen=True, eq=False)
class Row:
    """Prompt and response, and what is known of them; two rows are equal only if they are one.

    Attributes:
        prompt: ids, at least one.
        response: ids, EOS included where the response ended by itself; none is allowed.
        sample_id: identity of the sample.
        part: name of the part of the optimizer step that it belongs to ("off", "on", ...).
        log_probs: of the response's tokens under the distribution that drew them, or None where nothing did.

    Raises:
        DataError: the prompt is empty, or there is another number of log-probabilities than of response
            tokens.
    """

    prompt: Ids
    response: Ids
    sample_id: int
    part: str
    log_probs: LogProbs | None = None

    def __post_init__(self) -> None:
        if len(self.prompt) == 0:
            raise DataError(
                f"sample {self.sample_id} has an empty prompt; it needs at least one token, because a prompt "
                "predicts the first response token"
            )
        if self.log_probs is not None and len(self.log_probs) != len(self.response):
            raise DataError(
                f"sample {self.sample_id} has {len(self.log_probs)} log-probabilities and "
                f"{len(self.response)} response tokens; there must be one per token"
            )

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)
