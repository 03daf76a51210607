"""Keys and values of the rows being generated, and the attention of one new token per row over them.

Each slot has its own length; attention sees columns below it through an additive mask. Slots are reused, so
columns beyond a length hold values of earlier rows, never uninitialised memory: NaN + -inf is NaN. (So a row
that is itself NaN spoils the rows that follow it in its slot; its log-probabilities say so.)

Attention is computed in one of two ways, chosen by device and dtype alone:
- `GemmCache` by two batched matrix products. On one CPU core (64 rows, 4 query and 2 key heads of size 16, 40
  columns) a decode step's attention takes 0.12 ms against 0.17 ms with SDPA, whose kernel handles one head of
  one row at a time; for 64 prompts of 30 tokens 0.74 ms against 1.45 ms.
- `SdpaCache` by SDPA, which accumulates in float32 whatever the dtype.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from py_worker.models.attention import has_grouped_kernel

# Longest prompt whose attention is computed as whole matrices; at 256 columns SDPA is faster by a quarter.
_SHORT_PROMPT = 64
# On a GPU a mask whose rows do not begin at multiples of this is padded anew on every layer of every step.
MASK_ALIGNMENT = 8


@dataclass(frozen=True)
class CacheShape:
    """Sizes of a cache: `kv_heads` is K, `queries` per key head G, `capacity` T, `head_dim` D."""

    layers: int
    slots: int
    kv_heads: int
    queries: int
    capacity: int
    head_dim: int

    def bytes(self, dtype: torch.dtype) -> int:
        """Memory of keys and values."""
        return 2 * self.layers * self.slots * self.kv_heads * self.capacity * self.head_dim * dtype.itemsize


class KeyValueCache(ABC):
    """Cache of all layers.

    `qkv` below has [K, G + 2, D] as its last dimensions: per key head its queries, the key, the value.
    """

    def __init__(
        self,
        shape: CacheShape,
        dtype: torch.dtype,
        device: torch.device,
        *,
        masks_per_slot: int,
        columns: int,
    ) -> None:
        """`columns` of a mask, of which the first T are used."""
        self.shape = shape
        s, t = shape.slots, shape.capacity
        self._mask = torch.full((s, masks_per_slot, columns), float("-inf"), dtype=dtype, device=device)
        self._mask_start = (torch.arange(s * masks_per_slot, device=device) * columns).view(s, masks_per_slot)
        self._columns = torch.arange(columns, device=device)
        full = (shape.layers, s, shape.kv_heads, t, shape.head_dim)
        self._keys, self._values = (torch.zeros(full, dtype=dtype, device=device) for _ in range(2))
        # Views made once: a decode step of few rows is dispatch, and indexing by layer costs two operations.
        rows = (-1, shape.head_dim)
        self._key_rows = [layer.view(rows) for layer in self._keys]
        self._value_rows = [layer.view(rows) for layer in self._values]
        self._starts = (torch.arange(s * shape.kv_heads, device=device) * t).view(s, shape.kv_heads)

    def admit(self, first: int, lengths: Tensor) -> None:
        """Opens slots from `first` for rows with prompts of `lengths` ([k] int64) tokens."""
        mask = self._mask[first : first + len(lengths)]
        mask.fill_(float("-inf"))
        mask.masked_fill_(self._columns < lengths[:, None, None], 0.0)

    def prefill(self, layer: int, first: int, qkv: Tensor) -> Tensor:
        """Stores prompts [B, P, K, G + 2, D] in the slots from `first`, and attends causally.

        Returns:
            [B * P, K * G * D]. Padding on the right is harmless: it comes later than every real token, and
            its keys are masked, then overwritten as the row grows.
        """
        rows, columns = qkv.shape[:2]
        queries, keys, values = _split(qkv)
        self._keys[layer, first : first + rows, :, :columns] = keys
        self._values[layer, first : first + rows, :, :columns] = values
        return self._attend_prompts(queries, keys, values)

    def begin_step(self, lengths: Tensor, width: int, position_bias: Tensor | None = None) -> None:
        """Prepares one decode step of the first slots.

        Args:
            lengths: [B] int64, columns used so far; the new token goes to column `lengths`.
            width: the largest length after this step.
            position_bias: [B, K, `bias_columns(width)`] in the cache's dtype, added to the scores of each
                layer, for G = 1; of columns beyond the width nothing is seen.
        """
        rows = len(lengths)
        open_columns = self._mask_start[:rows] + lengths[:, None]
        self._mask.view(-1).index_fill_(0, open_columns.view(-1), 0.0)
        self._index = (self._starts[:rows] + lengths[:, None]).view(-1)
        self._bias = self._bias_of(rows, width)
        if position_bias is not None:
            mask = self._bias_of(rows, position_bias.shape[-1])
            biased = mask + position_bias.reshape(mask.shape[0], -1, *mask.shape[2:])
            self._bias = biased[..., :width]

    def bias_columns(self, width: int) -> int:
        """Columns that a position bias must have, so that its rows begin where attention wants them."""
        return width

    @abstractmethod
    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        """Appends the keys and values of `qkv` [B, K, G + 2, D], and attends. Returns [B, K * G * D]."""

    @abstractmethod
    def _attend_prompts(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Causal attention of queries [B, K, G, P, D] over keys and values [B, K, P, D]."""

    @abstractmethod
    def _bias_of(self, rows: int, width: int) -> Tensor:
        """What is added to the scores: a view of the mask."""

    def _append(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """[B * K, D] each."""
        self._key_rows[layer].index_copy_(0, self._index, keys)
        self._value_rows[layer].index_copy_(0, self._index, values)

    def move(self, source: Tensor, target: Tensor) -> None:
        """Copies slots `source` to slots `target` ([m] int64)."""
        for buffer in (self._keys, self._values):
            buffer.index_copy_(1, target, buffer.index_select(1, source))
        self._mask.index_copy_(0, target, self._mask.index_select(0, source))


def _split(qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[B, P, K, G + 2, D] to queries [B, K, G, P, D], keys and values [B, K, P, D] (all views)."""
    heads = qkv.permute(0, 2, 3, 1, 4)
    return heads[:, :, :-2], heads[:, :, -2], heads[:, :, -1]


def _joined(out: Tensor) -> Tensor:
    """[B, K, G, P, D] to [B * P, K * G * D]."""
    return out.permute(0, 3, 1, 2, 4).flatten(2).flatten(0, 1)


def _causal_sdpa(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    group = queries.shape[2]
    if group > 1 and not has_grouped_kernel(keys):
        keys, values = (part.repeat_interleave(group, 1) for part in (keys, values))
        group = 1
    out = F.scaled_dot_product_attention(
        queries.flatten(1, 2), keys, values, is_causal=True, enable_gqa=group > 1
    )
    return _joined(out.view(queries.shape))


class GemmCache(KeyValueCache):
    """Attention as two batched matrix products."""

    def __init__(self, shape: CacheShape, dtype: torch.dtype, device: torch.device) -> None:
        # A mask per query: baddbmm takes twice as long with a bias that it must broadcast.
        masks = shape.kv_heads * shape.queries
        super().__init__(shape, dtype, device, masks_per_slot=masks, columns=shape.capacity)
        groups = (shape.slots * shape.kv_heads, shape.capacity, shape.head_dim)
        self._keys_3d = [layer.view(groups) for layer in self._keys]
        self._values_3d = [layer.view(groups) for layer in self._values]
        self._mask_3d = self._mask.view(groups[0], shape.queries, shape.capacity)
        self._scale = shape.head_dim**-0.5

    def _attend_prompts(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        rows, kv_heads, group, columns, head_dim = queries.shape
        if columns > _SHORT_PROMPT:
            return _causal_sdpa(queries, keys, values)
        batch = (rows * kv_heads, group * columns)
        future = torch.full((columns, columns), float("-inf"), dtype=keys.dtype, device=keys.device).triu(1)
        bias = future.repeat(group, 1).expand(*batch, columns)
        keys, values = (part.reshape(batch[0], columns, head_dim) for part in (keys, values))
        flat = queries.reshape(*batch, head_dim)
        scores = torch.baddbmm(bias, flat, keys.transpose(1, 2), alpha=self._scale)
        return _joined(torch.bmm(scores.softmax(-1), values).view(queries.shape))

    def _bias_of(self, rows: int, width: int) -> Tensor:
        return self._mask_3d[: rows * self.shape.kv_heads, :, :width]

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        rows, heads, _, head_dim = qkv.shape
        batch, group, width = self._bias.shape
        # `narrow` and `select` cost half of what indexing does.
        qkv = qkv.view(batch, group + 2, head_dim)
        self._append(layer, qkv.select(1, group), qkv.select(1, group + 1))
        queries = qkv.narrow(1, 0, group)
        keys = self._keys_3d[layer].narrow(0, 0, batch).narrow(1, 0, width)
        values = self._values_3d[layer].narrow(0, 0, batch).narrow(1, 0, width)
        scores = torch.baddbmm(self._bias, queries, keys.transpose(1, 2), alpha=self._scale)
        return torch.bmm(scores.softmax(-1), values).view(rows, heads * group * head_dim)


class SdpaCache(KeyValueCache):
    """Attention by `scaled_dot_product_attention`; the queries of a key head stand in for query positions."""

    def __init__(self, shape: CacheShape, dtype: torch.dtype, device: torch.device) -> None:
        columns = -(-shape.capacity // MASK_ALIGNMENT) * MASK_ALIGNMENT
        super().__init__(shape, dtype, device, masks_per_slot=1, columns=columns)

    def _attend_prompts(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return _causal_sdpa(queries, keys, values)

    def _bias_of(self, rows: int, width: int) -> Tensor:
        return self._mask[:rows, None, :, :width]

    def bias_columns(self, width: int) -> int:
        """See `KeyValueCache`; no more than the mask has."""
        return -(-width // MASK_ALIGNMENT) * MASK_ALIGNMENT

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        rows, heads, _, head_dim = qkv.shape
        group, width = self.shape.queries, self._bias.shape[-1]
        new = (qkv[:, :, group + offset].reshape(-1, head_dim) for offset in (0, 1))
        self._append(layer, *new)
        keys, values = self._keys[layer, :rows, :, :width], self._values[layer, :rows, :, :width]
        out = F.scaled_dot_product_attention(qkv[:, :, :group], keys, values, attn_mask=self._bias)
        return out.reshape(rows, heads * group * head_dim)


def make_cache(shape: CacheShape, dtype: torch.dtype, device: torch.device) -> KeyValueCache:
    """The layout for this device and dtype (from the table above, never from a timing)."""
    exact = dtype in (torch.float32, torch.float64)
    return (
        GemmCache(shape, dtype, device) if device.type == "cpu" and exact else SdpaCache(shape, dtype, device)
    )
