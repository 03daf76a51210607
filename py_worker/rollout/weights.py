"""Matrices arranged for generation: a snapshot made at the start of every call.

On a CPU they are copied as [in, out] where that pays (see `pays_to_copy`); elsewhere they are the module's
own storage.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

_COPY_BYTES = 2 << 30
_COPY_STEPS = 8


def pays_to_copy(parameters: Iterable[Tensor], max_new_tokens: int) -> bool:
    """Whether to copy the matrices as [in, out] for the length of one generation.

    On one CPU core in float32 such a product takes 3/4 of the time for 64 rows and 64 to 192 features, and
    half of it for 8 rows and 576 to 1536 features; the copy costs what 4 to 6 decode steps win. Above 2 GiB
    the memory is worth more.

    Args:
        parameters: of the blocks.
        max_new_tokens: decode steps at most.
    """
    if max_new_tokens < _COPY_STEPS:
        return False
    each = list(parameters)
    on_cpu = all(parameter.device.type == "cpu" for parameter in each)
    return on_cpu and sum(parameter.nbytes for parameter in each) <= _COPY_BYTES


@dataclass(frozen=True)
class Linear:
    """y = x @ weight + bias; weight [in, out], in the dtype of the products."""

    weight: Tensor
    bias: Tensor | None

    @staticmethod
    def of(weight: Tensor, bias: Tensor | None, dtype: torch.dtype, *, copy: bool) -> "Linear":
        """Takes over a matrix [in, out] and a bias [out].

        Args:
            weight: as stored, perhaps transposed.
            bias: or None.
            dtype: of the products.
            copy: whether the matrix is brought into the order of its dimensions in memory.
        """
        weight = weight.to(dtype)
        return Linear(weight.contiguous() if copy else weight, None if bias is None else bias.to(dtype))

    def __call__(self, x: Tensor) -> Tensor:
        """[B, in] to [B, out] in the weight's dtype."""
        x = x.to(self.weight.dtype)
        return torch.mm(x, self.weight) if self.bias is None else torch.addmm(self.bias, x, self.weight)

    def add_to(self, residual: Tensor, x: Tensor) -> None:
        """residual += y, in place; the residual may be wider than the products."""
        if self.bias is None and residual.dtype == self.weight.dtype:
            residual.addmm_(x, self.weight)
        else:
            residual += self(x)
