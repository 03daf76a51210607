"""What generation asks of a policy and its head: any that has this can be drawn from."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor


class GenerationHead(Protocol):
    """From last hidden states to logits: `finish(hidden @ rows.T)`."""

    @property
    def rows(self) -> Tensor:
        """[V, H], cut to the policy's `vocab_size`."""
        ...

    def finish(self, projected: Tensor) -> Tensor:
        """Projections [..., V] to logits in float32 or wider: scale, bias and cap."""
        ...


class GenerationPolicy(Protocol):
    """The part of a policy that generation needs."""

    @property
    def name(self) -> str:
        """Source of the model, for messages."""
        ...

    @property
    def module(self) -> Any:
        """A language model of transformers."""
        ...

    @property
    def vocab_size(self) -> int: ...

    @property
    def eos_ids(self) -> tuple[int, ...]: ...

    @property
    def pad_id(self) -> int: ...

    @property
    def compute_dtype(self) -> torch.dtype | None:
        """Dtype of matrix products (autocast) where it differs from the weights'."""
        ...

    @property
    def max_positions(self) -> int | None:
        """Longest sequence in tokens, or None where the model names none."""
        ...

    @property
    def head(self) -> GenerationHead: ...

    def resident(self) -> AbstractContextManager[None]:
        """Within, all weights are on the device; some policies keep them elsewhere in between."""
        ...
