"""What generation asks of an architecture: its blocks over tokens, around an attention of ours.

Of a decode step `N` is the rows, a token each; of a prefill the prompts, padded to one length, end to end.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from py_worker.rollout.kv_cache import CacheShape

# attention(layer, qkv [N, K, G + 2, D]) -> [N, K * G * D]
Attention = Callable[[int, Tensor], Tensor]


class Decoder(Protocol):
    """A snapshot of how to compute with a module's weights; make a new one after every weight update.

    Attributes:
        dtype: of matrix products and cache; the residual stream keeps the weights' own dtype.
    """

    dtype: torch.dtype

    def __init__(
        self, module: Any, *, capacity: int, max_new_tokens: int, compute_dtype: torch.dtype | None = None
    ) -> None:
        """
        Args:
            module: one that `refusal` has nothing against.
            capacity: positions that will be needed.
            max_new_tokens: decides whether copying the weights pays.
            compute_dtype: dtype of matrix products where it is not the weights' (as under autocast).
        """
        ...

    @staticmethod
    def architectures() -> tuple[type, ...]:
        """Classes of transformers whose modules it computes; subclasses may compute something else."""
        ...

    @staticmethod
    def refusal(module: Any) -> str | None:
        """Why a module of these architectures cannot run here ("it has ..."), or None."""
        ...

    def cache_shape(self, slots: int, capacity: int) -> CacheShape:
        """Shape of a cache for its blocks."""
        ...

    def hidden(
        self, tokens: Tensor, positions: Tensor, attention: Attention, keep: Tensor | None = None
    ) -> Tensor:
        """Runs embedding, blocks and last norm.

        Args:
            tokens: [N] int64.
            positions: [N] int64, of each token in its row, below the capacity.
            attention: what a layer's queries see.
            keep: [k] int64, tokens whose result is wanted; None is all. The last block's output and
                feed-forward part are computed for these alone (a fifth of a prefill with four layers).

        Returns:
            [k or N, H] last hidden states.
        """
        ...
