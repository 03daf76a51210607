"""Batches of token sequences, and the flattened positions that predict their responses.

Masks come from lengths, never from comparing ids: the pad id may equal EOS, and EOS is a token to learn.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from py_worker.data.errors import DataError
from py_worker.data.row import LogProbs, Row


@dataclass(frozen=True)
class ResponsePositions:
    """The positions of a batch that predict a response token, row after row (`N` of them in all).

    With right padding and causal attention, the hidden state at `time` has seen exactly the tokens up to and
    including `time`, whatever the padding.

    Attributes:
        row: [N] int64, row of the batch.
        time: [N] int64, index t whose hidden state predicts `tokens[row, t + 1]`.
        target: [N] int64, `tokens[row, t + 1]`.
        step: [N] int64, index of the target within its response, from 0.
        log_prob: [N], log-probability of each target under the distribution that drew it, nan in rows that
            were not drawn; None for a batch without any.
        counts: response tokens of each row, on the host.
    """

    row: Tensor
    time: Tensor
    target: Tensor
    step: Tensor
    log_prob: Tensor | None
    counts: tuple[int, ...]


@dataclass(frozen=True)
class TokenBatch:
    """Sequences padded on the right: prompt, response, and EOS where the response ended by itself.

    Attributes:
        tokens: [B, T] int64, on the device.
        prompt_lengths: tokens of each row's prompt (at least 1), on the host.
        lengths: tokens of prompt and response of each row (EOS included where there is one), on the host.
        parts: name of the part of the optimizer step that each row belongs to ("off", "on", ...).
        sample_ids: identity of each row's sample.
        log_probs: for each row, on the host, those of its response tokens under the distribution that drew
            them, or None where nothing drew them (a dataset's row); None for a batch without any.
        micro_rows: rows of each micro-batch, which are neighbours; None where all go through the models
            together.
        packed: the rows of a micro-batch go through the models end to end, without padding.
        apart: prompts and responses go through the models apart, each padded by itself (an encoder reads
            prompts).
    """

    tokens: Tensor
    prompt_lengths: tuple[int, ...]
    lengths: tuple[int, ...]
    parts: tuple[str, ...]
    sample_ids: tuple[int, ...]
    log_probs: tuple[LogProbs | None, ...] | None = None
    micro_rows: tuple[int, ...] | None = None
    packed: bool = False
    apart: bool = False

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def response_counts(self) -> tuple[int, ...]:
        """Response tokens of each row, from the host: asking takes nothing of a device that is full."""
        return tuple(
            length - prompt for length, prompt in zip(self.lengths, self.prompt_lengths, strict=True)
        )

    def positions(self) -> ResponsePositions:
        """Positions t with `prompt_length - 1 <= t < length - 1`, computed once from the lengths."""
        return self._positions

    @cached_property
    def _positions(self) -> ResponsePositions:
        prompts = np.asarray(self.prompt_lengths, dtype=np.int64)
        counts = np.asarray(self.response_counts, dtype=np.int64)
        row = np.repeat(np.arange(len(counts)), counts)
        step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        time = np.repeat(prompts - 1, counts) + step
        # One transfer for the three index vectors.
        on_device = to_device(torch.from_numpy(np.stack([row, time, step])), self.tokens.device)
        row_t, time_t, step_t = on_device.unbind(0)
        return ResponsePositions(
            row=row_t,
            time=time_t,
            target=self.tokens[row_t, time_t + 1],
            step=step_t,
            log_prob=self._log_prob(counts.tolist()),
            counts=self.response_counts,
        )

    def _log_prob(self, counts: list[int]) -> Tensor | None:
        if self.log_probs is None:
            return None
        rows = [
            np.full(count, np.nan, dtype=np.float32) if row is None else row
            for row, count in zip(self.log_probs, counts, strict=True)
        ]
        return to_device(torch.from_numpy(np.concatenate(rows)), self.tokens.device)

    @property
    def micro_batch_count(self) -> int:
        """How many there are."""
        return 1 if self.micro_rows is None else len(self.micro_rows)

    @property
    def padded_tokens(self) -> int:
        """Tokens that go through a model: rows times the longest of each micro-batch, unless packed."""
        if self.packed:
            return sum(self.lengths)
        return sum((stop - start) * self._width(start, stop) for start, stop in self._ranges())

    def _width(self, start: int, stop: int) -> int:
        lengths, prompts = self.lengths[start:stop], self.prompt_lengths[start:stop]
        if not self.apart:
            return max(lengths)
        return max(prompts) + max(length - prompt for prompt, length in zip(prompts, lengths, strict=True))

    @property
    def padding(self) -> float:
        """Share of `padded_tokens` that means nothing."""
        return 1.0 - sum(self.lengths) / self.padded_tokens

    def micro_batches(self) -> "list[TokenBatch]":
        """Batches of neighbouring rows that go through the models one after the other, in order.

        Each is as wide as its own longest row.
        """
        return [self] if self.micro_rows is None else [self._rows(*rows) for rows in self._ranges()]

    def halved(self) -> "TokenBatch | None":
        """The same rows with each micro-batch cut in two; None where each has one row already."""
        sizes = [stop - start for start, stop in self._ranges()]
        if max(sizes) == 1:
            return None
        halved = (half for size in sizes for half in ((size + 1) // 2, size // 2) if half)
        return dataclasses.replace(self, micro_rows=tuple(halved))

    def _ranges(self) -> list[tuple[int, int]]:
        """First row of each micro-batch, and the one after its last."""
        stops = list(itertools.accumulate(self.micro_rows or [len(self)]))
        return list(zip([0, *stops], stops, strict=False))

    def _rows(self, start: int, stop: int) -> "TokenBatch":
        """A view of some rows."""
        lengths = self.lengths[start:stop]
        return TokenBatch(
            tokens=self.tokens[start:stop, : max(lengths)],
            prompt_lengths=self.prompt_lengths[start:stop],
            lengths=lengths,
            parts=self.parts[start:stop],
            sample_ids=self.sample_ids[start:stop],
            log_probs=None if self.log_probs is None else self.log_probs[start:stop],
            packed=self.packed,
            apart=self.apart,
        )


def collate(
    rows: Sequence[Row],
    *,
    pad_id: int,
    device: torch.device | str,
    micro_rows: Sequence[int] | None = None,
    packed: bool = False,
    apart: bool = False,
) -> TokenBatch:
    """Pads rows on the right into one batch.

    Args:
        rows: at least one.
        pad_id: fills the rows; may equal EOS.
        device: where the tokens go.
        micro_rows: rows of each micro-batch, in order; one for all rows by default.
        packed: lay the rows of a micro-batch end to end for the models.
        apart: prompts and responses are padded apart.

    Raises:
        DataError: no rows, or micro-batches of another number of rows.
    """
    if not rows:
        raise DataError("collate: no rows; a batch needs at least one")
    if micro_rows is not None and (sum(micro_rows) != len(rows) or min(micro_rows) < 1):
        raise DataError(f"collate: micro-batches of {list(micro_rows)} rows for {len(rows)} rows")
    lengths = tuple(map(len, rows))
    padded = np.full((len(rows), max(lengths)), pad_id, dtype=np.int64)
    for tokens, row in zip(padded, rows, strict=True):
        prompt = len(row.prompt)
        tokens[:prompt], tokens[prompt : len(row)] = row.prompt, row.response
    drawn = any(row.log_probs is not None for row in rows)
    return TokenBatch(
        tokens=to_device(torch.from_numpy(padded), torch.device(device)),
        prompt_lengths=tuple(len(row.prompt) for row in rows),
        lengths=lengths,
        parts=tuple(row.part for row in rows),
        sample_ids=tuple(row.sample_id for row in rows),
        log_probs=tuple(row.log_probs for row in rows) if drawn else None,
        micro_rows=None if micro_rows is None or len(micro_rows) == 1 else tuple(micro_rows),
        packed=packed,
        apart=apart,
    )


def to_device(host: Tensor, device: torch.device) -> Tensor:
    """Copies without waiting for the device: only pinned host memory allows an asynchronous copy."""
    if device.type == "cuda":
        return host.pin_memory().to(device, non_blocking=True)
    return host.to(device)
