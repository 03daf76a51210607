"""Matrices arranged for generation: a snapshot made at the start of every call.

On a CPU they are copied into the order in which a product of few rows reads them best, where that pays (see
`pays_to_copy`); elsewhere they are the module's own storage.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

_COPY_BYTES = 2 << 30
_COPY_STEPS = 12
_PACKED_SIZE = {torch.float32: 1 << 19, torch.bfloat16: 1 << 16}
"""Elements of the smallest matrix that is packed, by the dtypes that can be: a packed product costs 15 us
before its first number, and what it wins comes with the size."""


def pays_to_copy(parameters: Iterable[Tensor], max_new_tokens: int) -> bool:
    """Whether to copy matrices for the length of one generation.

    The copy costs what 4 to 11 decode steps win. Above 2 GiB the memory is worth more.

    Args:
        parameters: what would be copied.
        max_new_tokens: decode steps at most.
    """
    if max_new_tokens < _COPY_STEPS:
        return False
    each = list(parameters)
    on_cpu = all(parameter.device.type == "cpu" for parameter in each)
    return on_cpu and sum(parameter.nbytes for parameter in each) <= _COPY_BYTES


class Linear(Protocol):
    """y = x @ weight + bias, computed in the weight's dtype."""

    def __call__(self, x: Tensor) -> Tensor:
        """[B, in] in any dtype to [B, out] in the weight's."""
        ...

    def add_to(self, residual: Tensor, x: Tensor) -> None:
        """residual += y, in place; the residual may be wider than the products."""
        ...


def arranged(weight: Tensor, bias: Tensor | None, dtype: torch.dtype, *, copy: bool) -> Linear:
    """Takes over a matrix [in, out] (a view of another order, perhaps) and a bias [out].

    Large matrices are packed for oneDNN, small ones in float32 and float64 stored as [in, out]. Times of one
    product of 4 to 32 rows in float32, against that with a matrix stored as [out, in], one and two cores: 256
    to 256 features, packed 1.2 to 2.3, [in, out] 0.75 to 0.95; 576 to 576, 0.9 to 1.1 and 0.8 to 1.05; 576 to
    3,072, packed 0.6 to 0.9; to 49,152, 0.4 to 0.8. In bfloat16 packed 0.2 to 0.8 from 2^16 elements on;
    [in, out] wins nothing there.

    Args:
        weight: as the module has it.
        bias: or None.
        dtype: of the products.
        copy: whether the matrix may be copied.
    """
    weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)
    if not copy:
        return DenseLinear(weight, bias)
    if _can_pack(dtype) and weight.numel() >= _PACKED_SIZE[dtype]:
        return PackedLinear(weight, bias)
    return DenseLinear(weight.contiguous() if dtype.itemsize >= 4 else weight, bias)


def _can_pack(dtype: torch.dtype) -> bool:
    operators = torch.ops.mkldnn
    if not hasattr(operators, "_linear_pointwise"):  # a torch without oneDNN
        return False
    return dtype in _PACKED_SIZE and (dtype != torch.bfloat16 or bool(operators._is_mkldnn_bf16_supported()))


@dataclass(frozen=True)
class DenseLinear:
    """See `Linear`; weight [in, out]."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        x = x.to(self.weight.dtype)
        return torch.mm(x, self.weight) if self.bias is None else torch.addmm(self.bias, x, self.weight)

    def add_to(self, residual: Tensor, x: Tensor) -> None:
        if self.bias is None and residual.dtype == self.weight.dtype:
            residual.addmm_(x, self.weight)
        else:
            residual += self(x)


class PackedLinear:
    """See `Linear`; blocked by oneDNN, through the operators that `torch.compile` freezes weights with."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """Packs a copy of `weight` [in, out]."""
        self._packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.t())
        self._bias, self._dtype = bias, weight.dtype

    def __call__(self, x: Tensor) -> Tensor:
        x = x.to(self._dtype)
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")
        return y

    def add_to(self, residual: Tensor, x: Tensor) -> None:
        residual += self(x)
