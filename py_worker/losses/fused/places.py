"""Which positions of `[B, T]` count, and what belongs to them as `[N, …]`."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Places:
    """The positions that count, among `[B, T]`.

    Attributes:
        shape: (B, T).
        index: [N] int64, counted along rows.
    """

    shape: torch.Size
    index: Tensor

    @staticmethod
    def of(mask: Tensor, index: Tensor | None) -> "Places":
        """Places of a mask; with `index` the device is not asked for them."""
        if mask.dim() != 2:
            raise ValueError(f"mask {tuple(mask.shape)}: must be [B, T]")
        if index is None:
            index = mask.flatten().nonzero().squeeze(1)
        return Places(mask.shape, index)

    def take(self, tensor: Tensor, name: str) -> Tensor:
        """`[N, …]` of `[B, T, …]`.

        Raises:
            ValueError: another B or T.
        """
        if tensor.shape[:2] != self.shape:
            wanted = tuple(self.shape)
            raise ValueError(f"{name} {tuple(tensor.shape)}: must be [B, T, …] with the mask's {wanted}")
        return tensor.flatten(0, 1).index_select(0, self.index)

    def spread(self, values: Tensor) -> Tensor:
        """`[B, T]` of `[N]`, 0 elsewhere."""
        return values.new_zeros(self.shape.numel()).index_copy_(0, self.index, values).view(self.shape)

    def common(self, upstream: Tensor) -> Tensor | None:
        """The number that `upstream [B, T]` is everywhere, where the device need not be waited for."""
        expanded = all(n == 1 or s == 0 for n, s in zip(upstream.shape, upstream.stride(), strict=True))
        if expanded and upstream.numel():
            return upstream[0, 0]
        if upstream.device.type != "cpu":
            return None
        kept = upstream.flatten()[self.index]
        first = kept[0] if len(kept) else upstream.new_zeros(())
        return first if bool((kept == first).all()) else None
