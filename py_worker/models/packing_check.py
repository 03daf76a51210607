"""Whether a model keeps packed rows apart, found by comparing a few."""

from typing import Any, Final, Protocol

import torch
from torch import Tensor

from py_worker.data.batch import collate
from py_worker.data.packing import PackedRows, pack
from py_worker.data.row import Row
from py_worker.models.errors import UnsupportedModelError

_REMEDY = "set training.packing to false"
_LEAK: Final = 1e-4
"""Share of the largest hidden state that a row may change by where another one does."""


class PackingPolicy(Protocol):
    """What is asked of a policy that may take packed rows; see `DecoderPolicy`."""

    name: str
    module: Any
    compute_dtype: torch.dtype | None
    pad_id: int

    @property
    def vocab_size(self) -> int: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def max_positions(self) -> int | None: ...

    def forward_hidden(self, tokens: Tensor) -> Tensor: ...

    def forward_packed(self, rows: PackedRows) -> Tensor: ...


@torch.no_grad()
def check_packing(policy: PackingPolicy) -> None:
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


def _row(policy: PackingPolicy, length: int, start: int) -> list[int]:
    return [(start + place) % policy.vocab_size for place in range(length)]


def _packed(policy: PackingPolicy, rows: list[list[int]]) -> PackedRows:
    pairs = [Row(row[:1], row[1:], index, "all") for index, row in enumerate(rows)]
    return pack(collate(pairs, pad_id=policy.pad_id, device=policy.device))
