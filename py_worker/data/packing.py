"""Rows laid end to end, so that no padding goes through a model."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from py_worker.data.batch import TokenBatch, to_device


@dataclass(frozen=True)
class PackedRows:
    """The rows of a batch as one sequence of `N` tokens; attention must stay within each row.

    Attributes:
        tokens: [1, N] int64.
        position_ids: [1, N] int64, from 0 in each row.
        row: [1, N] int64, of the batch.
        starts: [B + 1] int32, where each row begins, and `N`.
        longest: tokens of the longest row, on the host.
        response: index in `N` of each of `batch.positions()`.
    """

    tokens: Tensor
    position_ids: Tensor
    row: Tensor
    starts: Tensor
    longest: int
    response: Tensor


def pack(batch: TokenBatch) -> PackedRows:
    """Lays the rows of a batch end to end, in order."""
    lengths = np.asarray(batch.lengths, dtype=np.int64)
    ends = np.cumsum(lengths)
    row = np.repeat(np.arange(len(lengths)), lengths)
    position = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    device = batch.tokens.device
    # One transfer for the two index vectors.
    rows, positions = to_device(torch.from_numpy(np.stack([row, position])), device).unbind(0)
    starts = to_device(torch.from_numpy(np.concatenate([[0], ends]).astype(np.int32)), device)
    at = batch.positions()
    return PackedRows(
        tokens=batch.tokens[rows, positions][None],
        position_ids=positions[None],
        row=rows[None],
        starts=starts,
        longest=int(lengths.max()),
        response=starts[at.row] + at.time,
    )
