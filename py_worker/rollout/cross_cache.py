"""Keys and values that an encoder made of each row's prompt, and attention of one token per row over them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from py_worker.rollout.kv_cache import MASK_ALIGNMENT, CacheShape


class CrossCache:
    """Filled once for each row; the shape's `capacity` is the longest prompt, and one query is to a key head.

    Scores are not scaled, for T5's are not. On a CPU in float32 and float64 attention is two batched
    products, as in `kv_cache`.
    """

    def __init__(self, shape: CacheShape, dtype: torch.dtype, device: torch.device) -> None:
        self.shape = shape
        heads, columns, size = shape.kv_heads, shape.capacity, shape.head_dim
        full = (shape.layers, shape.slots, heads, columns, size)
        self._keys, self._values = (torch.zeros(full, dtype=dtype, device=device) for _ in range(2))
        self._columns = torch.arange(columns, device=device)
        self._as_products = device.type == "cpu" and dtype in (torch.float32, torch.float64)
        width = columns if self._as_products else -(-columns // MASK_ALIGNMENT) * MASK_ALIGNMENT
        mask = torch.zeros(shape.slots, heads, 1, width, dtype=dtype, device=device)
        self._mask = mask[..., :columns]
        # Views made once: a decode step of few rows is dispatch.
        flat = (shape.slots * heads, columns, size)
        self._flat_keys = [layer.view(flat) for layer in self._keys]
        self._flat_values = [layer.view(flat) for layer in self._values]
        self._flat_mask = mask.view(flat[0], 1, width)

    def admit(self, first: int, lengths: Tensor) -> None:
        """Opens slots from `first` for rows whose prompts have `lengths` ([k] int64) tokens."""
        mask = self._mask[first : first + len(lengths)]
        mask.zero_().masked_fill_(self._columns >= lengths[:, None, None, None], float("-inf"))

    def store(self, layer: int, first: int, keys: Tensor, values: Tensor) -> None:
        """Keeps keys and values [k, P, K, D] of prompts in the slots from `first`.

        What is kept of padding is masked.
        """
        rows, columns = keys.shape[:2]
        for kept, new in ((self._keys, keys), (self._values, values)):
            kept[layer, first : first + rows, :, :columns] = new.transpose(1, 2)

    def attend(self, layer: int, first: int, queries: Tensor) -> Tensor:
        """Attention of `queries` [B, K * D] of the slots from `first` over their prompts; [B, K * D]."""
        rows, heads, size = len(queries), self.shape.kv_heads, self.shape.head_dim
        if not self._as_products:
            here = slice(first, first + rows)
            seen = F.scaled_dot_product_attention(
                queries.view(rows, heads, 1, size),
                self._keys[layer, here],
                self._values[layer, here],
                attn_mask=self._mask[here],
                scale=1.0,
            )
            return seen.reshape(rows, heads * size)
        begin, flat = first * heads, rows * heads
        keys, values = (each[layer].narrow(0, begin, flat) for each in (self._flat_keys, self._flat_values))
        mask = self._flat_mask.narrow(0, begin, flat)
        scores = torch.baddbmm(mask, queries.view(flat, 1, size), keys.transpose(1, 2))
        return torch.bmm(scores.softmax(-1), values).view(rows, heads * size)

    def move(self, source: Tensor, target: Tensor) -> None:
        """Copies slots `source` to slots `target` ([m] int64)."""
        for buffer in (self._keys, self._values):
            buffer.index_copy_(1, target, buffer.index_select(1, source))
        self._mask.index_copy_(0, target, self._mask.index_select(0, source))
