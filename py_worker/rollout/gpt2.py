"""GPT-2's arithmetic for generation, on the weights that are being trained.

Covers `GPT2LMHeadModel` with every activation function and scaling of attention, without cross-attention.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GPT2LMHeadModel
from transformers.pytorch_utils import Conv1D

from py_worker.models.lora import effective_weight, is_adapted
from py_worker.rollout.activation import activation
from py_worker.rollout.decoder import Attention
from py_worker.rollout.kv_cache import CacheShape
from py_worker.rollout.weights import Linear, arranged, pays_to_copy


@dataclass(frozen=True)
class LayerNorm:
    """(x - mean) / sqrt(variance + eps) · weight + bias over the last dimension."""

    weight: Tensor
    bias: Tensor | None
    eps: float

    @staticmethod
    def of(norm: Any) -> "LayerNorm":
        """The weights of one norm of the module."""
        return LayerNorm(norm.weight, norm.bias, norm.eps)

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class BlockWeights:
    """One block."""

    attention_norm: LayerNorm
    qkv: Linear
    out: Linear
    mlp_norm: LayerNorm
    up: Linear
    down: Linear
    activation: Callable[[Tensor], Tensor]


class Gpt2Decoder:
    """See `Decoder`."""

    def __init__(
        self, module: Any, *, capacity: int, max_new_tokens: int, compute_dtype: torch.dtype | None = None
    ) -> None:
        model, config = module.transformer, module.config
        self._heads: int = config.num_attention_heads
        self._head_dim: int = config.hidden_size // self._heads
        self.dtype: torch.dtype = compute_dtype or module.dtype
        self._copy = pays_to_copy(model.h.parameters(), max_new_tokens)
        self._tokens: Tensor = model.wte.weight
        self._positions: Tensor = model.wpe.weight[:capacity]
        self._blocks = [self._block(block) for block in model.h]
        self._norm = LayerNorm.of(model.ln_f)

    @staticmethod
    def architectures() -> tuple[type, ...]:
        """See `Decoder`."""
        return (GPT2LMHeadModel,)

    @staticmethod
    def refusal(module: Any) -> str | None:
        """Adapters are served; replaced and quantized layers are not."""
        if module.config.add_cross_attention:
            return "it has cross-attention (add_cross_attention)"
        expected = {"c_attn": Conv1D, "c_proj": Conv1D, "c_fc": Conv1D}
        expected |= {"ln_1": nn.LayerNorm, "ln_2": nn.LayerNorm}
        for name, layer in module.transformer.h.named_modules():
            kind = expected.get(name.rpartition(".")[2])
            if kind is not None and type(layer) is not kind and not is_adapted(layer):
                return f"its layer transformer.h.{name} is a {type(layer).__name__}, not a {kind.__name__}"
        return None

    def cache_shape(self, slots: int, capacity: int) -> CacheShape:
        """See `Decoder`."""
        return CacheShape(len(self._blocks), slots, self._heads, 1, capacity, self._head_dim)

    def hidden(
        self, tokens: Tensor, positions: Tensor, attention: Attention, keep: Tensor | None = None
    ) -> Tensor:
        """See `Decoder`."""
        x = F.embedding(tokens, self._tokens).add_(F.embedding(positions, self._positions))
        heads = (-1, self._heads, 3, self._head_dim)
        for index, block in enumerate(self._blocks):
            seen = attention(index, block.qkv(block.attention_norm(x)).view(heads))
            if keep is not None and index == len(self._blocks) - 1:
                x, seen = x[keep], seen[keep]
            block.out.add_to(x, seen)
            block.down.add_to(x, block.activation(block.up(block.mlp_norm(x))))
        return self._norm(x)

    def _block(self, block: Any) -> BlockWeights:
        return BlockWeights(
            attention_norm=LayerNorm.of(block.ln_1),
            qkv=self._fused(block.attn),
            out=self._linear(effective_weight(block.attn.c_proj), block.attn.c_proj.bias),
            mlp_norm=LayerNorm.of(block.ln_2),
            up=self._linear(effective_weight(block.mlp.c_fc), block.mlp.c_fc.bias),
            down=self._linear(effective_weight(block.mlp.c_proj), block.mlp.c_proj.bias),
            activation=activation(block.mlp.act),
        )

    def _linear(self, weight: Tensor, bias: Tensor) -> Linear:
        """Layer of a Conv1D's matrix, which is [in, out] already."""
        return arranged(weight, bias, self.dtype, copy=self._copy)

    def _fused(self, attention: Any) -> Linear:
        """[in, H] queries | keys | values to [in, heads · 3 · D], each head's query, key and value together.

        The cache divides scores by √D; what else a model scales them by goes into its queries, in the
        weights' own dtype.
        """
        weight, bias = (
            part.view(-1, 3, self._heads, self._head_dim).transpose(1, 2)
            for part in (effective_weight(attention.c_attn), attention.c_attn.bias)
        )
        factor = attention.scaling / self._head_dim**-0.5
        if factor != 1.0:
            scale = torch.tensor([factor, 1.0, 1.0], dtype=weight.dtype, device=weight.device)[:, None]
            weight, bias = weight * scale, bias * scale
        return self._linear(weight.flatten(1), bias.flatten())
