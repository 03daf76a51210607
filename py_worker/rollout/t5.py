"""The arithmetic of T5's decoder for generation, on the weights that are being trained.

Covers `T5ForConditionalGeneration` and `MT5ForConditionalGeneration` with either perceptron. The encoder,
which runs once for each prompt, is the module's own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import MT5ForConditionalGeneration, T5ForConditionalGeneration

from py_worker.models.lora import effective_weight, is_adapted
from py_worker.rollout.activation import activation
from py_worker.rollout.decoder import Attention
from py_worker.rollout.kv_cache import CacheShape
from py_worker.rollout.rms_norm import RmsNorm
from py_worker.rollout.weights import Linear, arranged, pays_to_copy

# crossing(layer, queries [B, K * D]) -> [B, K * D]
Crossing = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class _Block:
    """One block of the decoder."""

    attention_norm: RmsNorm
    qkv: Linear
    out: Linear
    crossing_norm: RmsNorm
    crossing_query: Linear
    crossing_out: Linear
    mlp_norm: RmsNorm
    gate: Linear | None
    up: Linear
    down: Linear
    activation: Callable[[Tensor], Tensor]


class T5Decoder:
    """A snapshot of how to compute with a module's weights; make a new one after every weight update.

    Attributes:
        dtype: of matrix products and caches; the residual stream keeps the weights' own dtype.
    """

    def __init__(
        self, module: Any, *, capacity: int, max_new_tokens: int, compute_dtype: torch.dtype | None = None
    ) -> None:
        """See `Decoder`."""
        stack, config = module.get_decoder(), module.config
        self.dtype: torch.dtype = compute_dtype or module.dtype
        self._heads: int = config.num_heads
        self._head_dim: int = config.d_kv
        self._copy = pays_to_copy(stack.block.parameters(), max_new_tokens)
        self._embedding: Tensor = stack.embed_tokens.weight
        self._crossings = [block.layer[1].EncDecAttention for block in stack.block]
        self._blocks = [self._block(block) for block in stack.block]
        self._norm = RmsNorm.of(stack.final_layer_norm)
        self._bias = self._bias_by_distance(stack.block[0].layer[0].SelfAttention, capacity)

    @staticmethod
    def architectures() -> tuple[type, ...]:
        """See `Decoder`."""
        return (T5ForConditionalGeneration, MT5ForConditionalGeneration)

    @staticmethod
    def refusal(module: Any) -> str | None:
        """Adapters are served; replaced and quantized layers, and weights in float16, are not."""
        if module.dtype == torch.float16:
            return "its weights are in float16, in which T5 limits its hidden states"
        for name, layer in module.get_decoder().block.named_modules():
            part = name.rpartition(".")[2]
            expected = part in ("q", "k", "v", "o") or part.startswith(("wi", "wo"))
            if expected and type(layer) is not nn.Linear and not is_adapted(layer):
                return f"its layer decoder.block.{name} is a {type(layer).__name__}, not a plain linear layer"
        return None

    def cache_shape(self, slots: int, columns: int) -> CacheShape:
        """Shape of a cache for its blocks: for what it has said, and for what the encoder made of prompts."""
        return CacheShape(len(self._blocks), slots, self._heads, 1, columns, self._head_dim)

    def crossed(self, layer: int, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [k, P, K, D] of a layer for the encoder's states [k, P, H]."""
        attention, states = self._crossings[layer], encoded.to(self.dtype)
        keys, values = (
            F.linear(states, effective_weight(part).to(self.dtype)).view(
                *states.shape[:2], self._heads, self._head_dim
            )
            for part in (attention.k, attention.v)
        )
        return keys, values

    def position_bias(self, lengths: Tensor, width: int) -> Tensor:
        """[B, K, width] of a new token after `lengths` [B] others, over the columns before and its own.

        Columns beyond have any value.
        """
        columns = torch.arange(width, device=lengths.device)
        distance = (lengths[:, None] - columns).clamp_(min=0)
        return F.embedding(distance, self._bias).transpose(1, 2)

    def hidden(self, tokens: Tensor, attention: Attention, crossing: Crossing) -> Tensor:
        """Last hidden states [B, H] behind tokens [B]."""
        x = F.embedding(tokens, self._embedding)
        heads = (-1, self._heads, 3, self._head_dim)
        for index, block in enumerate(self._blocks):
            block.out.add_to(x, attention(index, block.qkv(block.attention_norm(x)).view(heads)))
            queries = block.crossing_query(block.crossing_norm(x))
            block.crossing_out.add_to(x, crossing(index, queries))
            normed = block.mlp_norm(x)
            raised = block.up(normed)
            if block.gate is None:
                raised = block.activation(raised)
            else:
                raised = block.activation(block.gate(normed)).mul_(raised)
            block.down.add_to(x, raised)
        return self._norm(x)

    def _block(self, block: Any) -> _Block:
        own, crossing, last = block.layer
        mlp = last.DenseReluDense
        gated = hasattr(mlp, "wi_0")
        return _Block(
            attention_norm=RmsNorm.of(own.layer_norm),
            qkv=self._fused(own.SelfAttention),
            out=self._projection(own.SelfAttention.o),
            crossing_norm=RmsNorm.of(crossing.layer_norm),
            crossing_query=self._projection(crossing.EncDecAttention.q),
            crossing_out=self._projection(crossing.EncDecAttention.o),
            mlp_norm=RmsNorm.of(last.layer_norm),
            gate=self._projection(mlp.wi_0) if gated else None,
            up=self._projection(mlp.wi_1 if gated else mlp.wi),
            down=self._projection(mlp.wo),
            activation=activation(mlp.act),
        )

    def _projection(self, layer: Any) -> Linear:
        return arranged(effective_weight(layer).t(), None, self.dtype, copy=self._copy)

    def _fused(self, attention: Any) -> Linear:
        """Query, key and value of each head in one matrix.

        The cache divides scores by √D, which T5 does not: its queries are that much larger.
        """
        query, key, value = (
            effective_weight(part).view(self._heads, self._head_dim, -1)
            for part in (attention.q, attention.k, attention.v)
        )
        weight = torch.stack((query * self._head_dim**0.5, key, value), dim=1).flatten(0, 2)
        return arranged(weight.t(), None, self.dtype, copy=self._copy)

    def _bias_by_distance(self, attention: Any, capacity: int) -> Tensor:
        """[capacity, K], what is added to the scores of a key so many tokens back; all layers share it."""
        table: Tensor = attention.relative_attention_bias.weight
        buckets = attention._relative_position_bucket(
            -torch.arange(capacity, device=table.device),
            bidirectional=False,
            num_buckets=attention.relative_attention_num_buckets,
            max_distance=attention.relative_attention_max_distance,
        )
        return table[buckets].to(self.dtype)
