"""Keys and values of the rows being generated, and the attention of one new token per row over them.

Each slot has its own length; attention sees columns below it through an additive mask. Slots are reused, so
columns beyond a length hold values of earlier rows, never uninitialised memory: NaN + -inf is NaN. (So a row
that is itself NaN spoils the rows that follow it in its slot; its log-probabilities say so.)

Two layouts, chosen by device and dtype alone:
- `GemmCache` keeps keys transposed, [slot, head, D, T], so that both products of a decode step are plain
  batched matrix products on contiguous operands. On one CPU core (64 rows, 4 query and 2 key heads of size
  16, 40 columns) attention takes 55 us against 104 to 120 us with SDPA, whose kernel handles one head of
  one row at a time; for 64 prompts of 30 tokens 0.74 ms against 1.45 ms.
- `SdpaCache` keeps [slot, head, T, D] for SDPA, which accumulates in float32 whatever the dtype.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Longest prompt whose attention is computed as whole matrices; at 256 columns SDPA is faster by a quarter.
_SHORT_PROMPT = 64


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

    _keys: Tensor

    def __init__(
        self, shape: CacheShape, dtype: torch.dtype, device: torch.device, *, masks_per_slot: int
    ) -> None:
        self.shape = shape
        s, t = shape.slots, shape.capacity
        self._mask = torch.full((s, masks_per_slot, t), float("-inf"), dtype=dtype, device=device)
        self._mask_start = (torch.arange(s * masks_per_slot, device=device) * t).view(s, masks_per_slot)
        self._columns = torch.arange(t, device=device)
        values = (shape.layers, s, shape.kv_heads, t, shape.head_dim)
        self._values = torch.zeros(values, dtype=dtype, device=device)

    def admit(self, first: int, lengths: Tensor) -> None:
        """Opens slots from `first` for rows with prompts of `lengths` ([k] int64) tokens."""
        mask = self._mask[first : first + len(lengths)]
        mask.fill_(float("-inf"))
        mask.masked_fill_(self._columns < lengths[:, None, None], 0.0)

    @abstractmethod
    def prefill(self, layer: int, first: int, qkv: Tensor) -> Tensor:
        """Stores prompts [B, P, K, G + 2, D] in the slots from `first`, and attends causally.

        Returns:
            [B * P, K * G * D]. Padding on the right is harmless: it comes later than every real token, and
            its keys are masked, then overwritten as the row grows.
        """

    @abstractmethod
    def begin_step(self, lengths: Tensor, width: int) -> None:
        """Prepares one decode step of the first slots.

        Args:
            lengths: [B] int64, columns used so far; the new token goes to column `lengths`.
            width: the largest length after this step.
        """

    @abstractmethod
    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        """Appends the keys and values of `qkv` [B, K, G + 2, D], and attends. Returns [B, K * G * D]."""

    def move(self, source: Tensor, target: Tensor) -> None:
        """Copies slots `source` to slots `target` ([m] int64)."""
        for buffer in (self._keys, self._values):
            buffer.index_copy_(1, target, buffer.index_select(1, source))
        self._mask.index_copy_(0, target, self._mask.index_select(0, source))

    def _open_column(self, lengths: Tensor) -> None:
        index = self._mask_start[: len(lengths)] + lengths[:, None]
        self._mask.view(-1).index_fill_(0, index.view(-1), 0.0)


def _split(qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[B, P, K, G + 2, D] to queries [B, K, G, P, D], keys and values [B, K, P, D] (all views)."""
    heads = qkv.permute(0, 2, 3, 1, 4)
    return heads[:, :, :-2], heads[:, :, -2], heads[:, :, -1]


def _joined(out: Tensor) -> Tensor:
    """[B, K, G, P, D] to [B * P, K * G * D]."""
    return out.permute(0, 3, 1, 2, 4).flatten(2).flatten(0, 1)


def _causal_sdpa(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    out = F.scaled_dot_product_attention(
        queries.flatten(1, 2), keys, values, is_causal=True, enable_gqa=queries.shape[2] > 1
    )
    return _joined(out.view(queries.shape))


class GemmCache(KeyValueCache):
    """Transposed keys; attention as two batched matrix products."""

    def __init__(self, shape: CacheShape, dtype: torch.dtype, device: torch.device) -> None:
        # A mask per query: baddbmm takes twice as long with a bias that it must broadcast.
        super().__init__(shape, dtype, device, masks_per_slot=shape.kv_heads * shape.queries)
        s, k, t, d = shape.slots, shape.kv_heads, shape.capacity, shape.head_dim
        self._keys = torch.zeros((shape.layers, s, k, d, t), dtype=dtype, device=device)
        # Views made once: a decode step at this size is dispatch, and indexing by layer costs two operations.
        self._keys_flat = [layer.view(-1) for layer in self._keys]
        self._keys_3d = [layer.view(s * k, d, t) for layer in self._keys]
        self._values_2d = [layer.view(s * k * t, d) for layer in self._values]
        self._values_3d = [layer.view(s * k, t, d) for layer in self._values]
        self._mask_3d = self._mask.view(s * k, shape.queries, t)
        self._key_start = (torch.arange(s * k * d, device=device) * t).view(s, k * d)
        self._value_start = (torch.arange(s * k, device=device) * t).view(s, k)
        self._scale = d**-0.5

    def prefill(self, layer: int, first: int, qkv: Tensor) -> Tensor:
        rows, columns, kv_heads, _, head_dim = qkv.shape
        queries, keys, values = _split(qkv)
        self._keys[layer, first : first + rows, :, :, :columns] = keys.transpose(2, 3)
        self._values[layer, first : first + rows, :, :columns] = values
        if columns > _SHORT_PROMPT:
            return _causal_sdpa(queries, keys, values)
        groups = slice(first * kv_heads, (first + rows) * kv_heads)
        batch = (rows * kv_heads, self.shape.queries * columns)
        future = torch.full((columns, columns), float("-inf"), dtype=qkv.dtype, device=qkv.device).triu(1)
        bias = future.repeat(self.shape.queries, 1).expand(*batch, columns)
        scores = torch.baddbmm(
            bias,
            queries.reshape(*batch, head_dim),
            self._keys_3d[layer][groups, :, :columns],
            alpha=self._scale,
        )
        out = torch.bmm(scores.softmax(-1), self._values_3d[layer][groups, :columns])
        return _joined(out.view(queries.shape))

    def begin_step(self, lengths: Tensor, width: int) -> None:
        rows = len(lengths)
        self._open_column(lengths)
        self._key_index = self._key_start[:rows] + lengths[:, None]
        self._value_index = (self._value_start[:rows] + lengths[:, None]).view(-1)
        self._bias = self._mask_3d[: rows * self.shape.kv_heads, :, :width]

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        rows, heads, _, head_dim = qkv.shape
        batch, queries, width = self._bias.shape
        # `narrow` and `select` cost half of what indexing does.
        qkv = qkv.view(batch, queries + 2, head_dim)
        self._keys_flat[layer].put_(self._key_index, qkv.select(1, queries))
        self._values_2d[layer].index_copy_(0, self._value_index, qkv.select(1, queries + 1))
        keys = self._keys_3d[layer].narrow(0, 0, batch).narrow(2, 0, width)
        values = self._values_3d[layer].narrow(0, 0, batch).narrow(1, 0, width)
        scores = torch.baddbmm(self._bias, qkv.narrow(1, 0, queries), keys, alpha=self._scale)
        return torch.bmm(scores.softmax(-1), values).view(rows, heads * queries * head_dim)


class SdpaCache(KeyValueCache):
    """Attention by `scaled_dot_product_attention`; the queries of a key head stand in for query positions."""

    def __init__(self, shape: CacheShape, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(shape, dtype, device, masks_per_slot=1)
        self._keys = torch.zeros_like(self._values)
        rows = shape.slots * shape.kv_heads * shape.capacity
        self._keys_2d = [layer.view(rows, shape.head_dim) for layer in self._keys]
        self._values_2d = [layer.view(rows, shape.head_dim) for layer in self._values]
        starts = torch.arange(shape.slots * shape.kv_heads, device=device) * shape.capacity
        self._start = starts.view(shape.slots, shape.kv_heads)

    def prefill(self, layer: int, first: int, qkv: Tensor) -> Tensor:
        rows, columns = qkv.shape[:2]
        queries, keys, values = _split(qkv)
        self._keys[layer, first : first + rows, :, :columns] = keys
        self._values[layer, first : first + rows, :, :columns] = values
        return _causal_sdpa(queries, keys, values)

    def begin_step(self, lengths: Tensor, width: int) -> None:
        rows = len(lengths)
        self._open_column(lengths)
        self._index = (self._start[:rows] + lengths[:, None]).view(-1)
        self._bias = self._mask[:rows, None, :, :width]

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        rows, heads, _, head_dim = qkv.shape
        queries, width = self.shape.queries, self._bias.shape[-1]
        self._keys_2d[layer].index_copy_(0, self._index, qkv[:, :, queries].reshape(-1, head_dim))
        self._values_2d[layer].index_copy_(0, self._index, qkv[:, :, queries + 1].reshape(-1, head_dim))
        keys, values = self._keys[layer, :rows, :, :width], self._values[layer, :rows, :, :width]
        out = F.scaled_dot_product_attention(qkv[:, :, :queries], keys, values, attn_mask=self._bias)
        return out.reshape(rows, heads * queries * head_dim)


def make_cache(shape: CacheShape, dtype: torch.dtype, device: torch.device) -> KeyValueCache:
    """The layout for this device and dtype (from the table above, never from a timing)."""
    exact = dtype in (torch.float32, torch.float64)
    return (
        GemmCache(shape, dtype, device) if device.type == "cpu" and exact else SdpaCache(shape, dtype, device)
    )
