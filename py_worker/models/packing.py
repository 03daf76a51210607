"""Sequences in a row of a batch: one, or several packed into it where the model keeps them apart.

When imported, it replaces a function of transformers, `masking_utils.find_packed_sequence_indices`, for the
whole process. Outside of `sequences` that does what it did. The function is there from 5.8, the oldest
version that `requirements/runtime.in` takes, to 5.23, the newest that was tried.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from torch import Tensor
from transformers import masking_utils

from py_worker.data.packing import PackedRows

_UNTOLD = object()
_told: ContextVar[Any] = ContextVar("sequences of the forward pass that runs in this thread", default=_UNTOLD)


@contextlib.contextmanager
def sequences(of_position: Tensor | None) -> Iterator[None]:
    """Says which sequence each position of `[B, T]` belongs to; None: each row is one.

    Without a mask transformers finds that out from where position ids restart, and reads it back from the
    device: a wait of the host in each forward pass for what is known here. A thread tells only its own
    passes, since rollouts may be drawn beside a step.
    """
    token = _told.set(of_position)
    try:
        yield
    finally:
        _told.reset(token)


def _find(position_ids: Tensor) -> Tensor | None:
    told: Tensor | None = _told.get()
    return _find_in_positions(position_ids) if told is _UNTOLD else told


_find_in_positions = masking_utils.find_packed_sequence_indices
masking_utils.find_packed_sequence_indices = _find


def packed_inputs(rows: PackedRows, attention: str) -> dict[str, Any]:
    """What the body of a model takes for packed rows, besides `sequences`.

    Flash attention takes no mask but the bounds of the rows; it, too, would read them off the positions.
    """
    inputs: dict[str, Any] = {"input_ids": rows.tokens, "position_ids": rows.position_ids}
    if attention.startswith("flash_attention"):
        inputs |= {f"cu_seq_lens_{side}": rows.starts for side in ("q", "k")}
        inputs |= {f"max_length_{side}": rows.longest for side in ("q", "k")}
    return inputs
