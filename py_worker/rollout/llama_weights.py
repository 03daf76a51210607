"""The Llama family's weights arranged for generation: a snapshot made at the start of every call.

- Queries, keys and values come from one matrix, ordered by key head (its queries, the key, the value), and
  the rows of queries and keys are ordered so that the two numbers that RoPE rotates together are
  neighbours. Rotation is then one complex multiplication in place (8 us against 23 us for 64 rows of 6
  heads of size 16); attention is unchanged, for queries and keys are permuted alike.
- Adapters are added into the matrix that they adapt.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from py_worker.models.lora import effective_weight
from py_worker.rollout.rms_norm import RmsNorm
from py_worker.rollout.weights import Linear, arranged


def rope_pairs(head_dim: int, device: torch.device) -> Tensor:
    """[D] int64: 0, D/2, 1, D/2 + 1, ...: RoPE rotates number i of a head together with number i + D/2."""
    return torch.arange(head_dim, device=device).view(2, head_dim // 2).t().reshape(-1)


@dataclass(frozen=True)
class LayerWeights:
    """One block."""

    attention_norm: RmsNorm
    qkv: Linear
    query_norm: RmsNorm | None
    key_norm: RmsNorm | None
    out: Linear
    mlp_norm: RmsNorm
    gate: Linear
    up: Linear
    down: Linear
    activation: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Arrangement:
    """How weights are taken over.

    Attributes:
        kv_heads: `K`.
        queries: `G`, query heads per key head.
        head_dim: `D`.
        dtype: of the matrix products.
        copy: whether matrices are copied, see `weights.pays_to_copy`.
        pairs: [D] int64, see `rope_pairs`.
    """

    kv_heads: int
    queries: int
    head_dim: int
    dtype: torch.dtype
    copy: bool
    pairs: Tensor

    def layer(self, layer: Any) -> LayerWeights:
        """The weights of one decoder layer of transformers."""
        attention, mlp = layer.self_attn, layer.mlp
        normed_heads = hasattr(attention, "q_norm")
        return LayerWeights(
            attention_norm=RmsNorm.of(layer.input_layernorm),
            qkv=self._fused(attention),
            query_norm=RmsNorm.of(attention.q_norm, self.pairs) if normed_heads else None,
            key_norm=RmsNorm.of(attention.k_norm, self.pairs) if normed_heads else None,
            out=self._projection(attention.o_proj),
            mlp_norm=RmsNorm.of(layer.post_attention_layernorm),
            gate=self._projection(mlp.gate_proj),
            up=self._projection(mlp.up_proj),
            down=self._projection(mlp.down_proj),
            activation=mlp.act_fn,
        )

    def _projection(self, layer: Any) -> Linear:
        return self._linear(effective_weight(layer), layer.bias)

    def _linear(self, weight: Tensor, bias: Tensor | None) -> Linear:
        return arranged(weight.t(), bias, self.dtype, copy=self.copy)

    def _fused(self, attention: Any) -> Linear:
        """Queries, key and value of each key head in one matrix, RoPE pairs adjacent."""
        projections: tuple[Any, ...] = (attention.q_proj, attention.k_proj, attention.v_proj)
        biased = projections[0].bias is not None
        weight = self._grouped(*(effective_weight(p) for p in projections))
        return self._linear(
            weight, self._grouped(*(p.bias for p in projections)).squeeze(1) if biased else None
        )

    def _grouped(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """[K·G·D, ...], [K·D, ...], [K·D, ...] to [K·(G + 2)·D, -1]."""
        queries, keys, values = (
            part.view(self.kv_heads, heads, self.head_dim, -1)
            for part, heads in ((query, self.queries), (key, 1), (value, 1))
        )
        return torch.cat((queries[:, :, self.pairs], keys[:, :, self.pairs], values), dim=1).flatten(0, 2)
