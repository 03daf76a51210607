"""Rows times a frozen table, in the table's precision, for gradients too small for float16."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_SUM = 256.0
"""Sum of the magnitudes of a scaled row. Elements of a table below 255 then cannot overflow a product, and
250,000 equal elements are 1e-3 each, well above float16's 6e-5."""


def table_product(rows: Tensor, table: Tensor) -> Tensor:
    """`rows · tableᵀ`, `[N, V]` in the dtype of the rows `[N, H]`, computed in that of the table `[V, H]`.

    A gradient in the values of a critic is a difference of probabilities over the tokens of a step: 1e-9
    where the student is near its teacher, and 0 in float16. Both the product and its gradient therefore take
    a float16 table's rows at a fixed size, and have the scale taken out after it. Other dtypes have float32's
    range and need none of it.
    """
    if table.dtype != torch.float16:
        return F.linear(rows.to(table.dtype), table).to(rows.dtype)
    return _ScaledProduct.apply(rows, table)  # type: ignore[no-any-return, no-untyped-call]


class _ScaledProduct(torch.autograd.Function):
    """Its gradient is itself, with the table transposed, and so is that one's."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(table)
        scale = _SUM / rows.abs().sum(-1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny * _SUM)
        return F.linear((rows * scale).to(table.dtype), table).to(rows.dtype).div_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (table,) = ctx.saved_tensors
        return _ScaledProduct.apply(gradients[0], table.t()), None  # type: ignore[no-untyped-call]
