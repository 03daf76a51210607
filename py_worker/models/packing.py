"""Sequences in a row of a batch: one, or several packed into it where the model keeps them apart."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from transformers import masking_utils

from py_worker.data.batch import collate
from py_worker.data.packing import PackedRows, pack
from py_worker.models.errors import UnsupportedModelError

if TYPE_CHECKING:
    from py_worker.models.decoder import DecoderPolicy

_REMEDY = "set training.packing to false"
_LEAK: Final = 1e-4
"""Of the largest hidden state: what a row may change by where another one does."""


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


@torch.no_grad()
def check_packing(policy: "DecoderPolicy") -> None:
    """Compares a few packed rows with each by itself, and with other rows beside them.

    So an architecture is never trained wrongly. Half precision rounds by more than some leak from row to row,
    which the second comparison sees: there the row before the changed one tells what rounding alone does.

    Right are those that place tokens by their position ids and ask transformers for their mask, a sliding
    window included: within a row, distances are the same. Recurrent ones carry their state from row to row,
    and some count positions from the start of the sequence.

    Raises:
        UnsupportedModelError: they differ, or the model takes no position ids.
    """
    refusal = f"{policy.name}: {type(policy.module).__name__} cannot take packed rows"
    if getattr(policy.module.config.get_text_config(), "attention_chunk_size", None):
        raise UnsupportedModelError(f"{refusal}: its attention is in chunks of the sequence; {_REMEDY}")
    lengths = [min(length, policy.max_positions or length) for length in (5, 2, 7)]
    rows = [_row(policy, length, 7 * length) for length in lengths]
    others = [rows[0], _row(policy, lengths[1], 7 * lengths[1] + 3), rows[2]]
    alone = [policy.forward_hidden(torch.tensor([row], device=policy.device))[0] for row in rows]
    try:
        packed, beside = (policy.forward_packed(_packed(policy, each)).float() for each in (rows, others))
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        raise UnsupportedModelError(f"{refusal}: {error}; {_REMEDY}") from error
    tolerance = 1e-3 if policy.compute_dtype is None and policy.dtype.itemsize >= 4 else 5e-2
    expected = torch.cat(alone).float()
    size = expected.abs().max().clamp(min=1e-3)
    difference = float((packed - expected).abs().max() / size)
    before, _, after = (float(part.abs().max() / size) for part in torch.split(packed - beside, lengths))
    if not (difference <= tolerance and after <= max(_LEAK, 4 * before)):
        raise UnsupportedModelError(
            f"{refusal}: its hidden states then differ by {max(difference, after):.2g} of their size, so "
            f"that rows see each other or lose their places; {_REMEDY}"
        )


def _row(policy: "DecoderPolicy", length: int, start: int) -> list[int]:
    return [(start + place) % policy.vocab_size for place in range(length)]


def _packed(policy: "DecoderPolicy", rows: list[list[int]]) -> PackedRows:
    return pack(collate(rows, [1] * 3, ["all"] * 3, range(3), policy.pad_id, policy.device))
