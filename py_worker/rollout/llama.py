"""The Llama family's arithmetic for generation, on the weights that are being trained.

Covers Llama (SmolLM2 too), Mistral, Qwen2 and Qwen3 without sliding window: grouped-query attention, biases,
and the per-head norms of Qwen3.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM

from py_worker.models.lora import is_adapted
from py_worker.rollout.decoder import Attention
from py_worker.rollout.kv_cache import CacheShape
from py_worker.rollout.llama_weights import Arrangement, rope_pairs
from py_worker.rollout.rms_norm import RmsNorm
from py_worker.rollout.weights import pays_to_copy

_FAMILY = (LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM)
# These recompute their frequencies from the length of the sequence seen last.
_LENGTH_DEPENDENT_ROPE = ("dynamic", "longrope")


class LlamaDecoder:
    """See `Decoder`."""

    def __init__(
        self, module: Any, *, capacity: int, max_new_tokens: int, compute_dtype: torch.dtype | None = None
    ) -> None:
        model, config = module.model, module.config
        self._kv_heads: int = config.num_key_value_heads
        self._queries: int = config.num_attention_heads // self._kv_heads
        self._head_dim: int = model.layers[0].self_attn.head_dim
        self.dtype: torch.dtype = compute_dtype or module.dtype
        self._embedding: Tensor = model.embed_tokens.weight
        arrangement = Arrangement(
            self._kv_heads,
            self._queries,
            self._head_dim,
            self.dtype,
            pays_to_copy(model.layers.parameters(), max_new_tokens),
            rope_pairs(self._head_dim, module.device),
        )
        self._layers = [arrangement.layer(layer) for layer in model.layers]
        self._norm = RmsNorm.of(model.norm)
        self._rotation = self._rotations(model.rotary_emb, capacity)

    @staticmethod
    def architectures() -> tuple[type, ...]:
        """See `Decoder`."""
        return _FAMILY

    @staticmethod
    def refusal(module: Any) -> str | None:
        """Adapters are served; replaced and quantized layers are not."""
        config = module.config
        rope_type = config.rope_parameters["rope_type"]
        if rope_type in _LENGTH_DEPENDENT_ROPE:
            return f"its RoPE scaling '{rope_type}' depends on the sequence length"
        kinds = set(getattr(config, "layer_types", None) or ("full_attention",))
        if kinds != {"full_attention"} or (
            isinstance(module, MistralForCausalLM) and config.sliding_window is not None
        ):
            return "it has sliding-window attention"
        if module.model.rotary_emb.inv_freq.numel() * 2 != module.model.layers[0].self_attn.head_dim:
            return "its RoPE rotates a part of each head only"
        for name, layer in module.model.named_modules():
            if name.endswith("_proj") and type(layer) is not nn.Linear and not is_adapted(layer):
                return f"its layer model.{name} is a {type(layer).__name__}, not a plain linear layer"
        return None

    def cache_shape(self, slots: int, capacity: int) -> CacheShape:
        """See `Decoder`."""
        return CacheShape(len(self._layers), slots, self._kv_heads, self._queries, capacity, self._head_dim)

    def hidden(
        self, tokens: Tensor, positions: Tensor, attention: Attention, keep: Tensor | None = None
    ) -> Tensor:
        """See `Decoder`."""
        x = F.embedding(tokens, self._embedding)
        rotations = self._rotation.index_select(0, positions)
        heads = (-1, self._kv_heads, self._queries + 2, self._head_dim)
        for index, layer in enumerate(self._layers):
            qkv = layer.qkv(layer.attention_norm(x)).view(heads)
            if layer.query_norm is not None and layer.key_norm is not None:
                queries, keys = qkv[:, :, : self._queries], qkv[:, :, self._queries]
                queries.copy_(layer.query_norm(queries))
                keys.copy_(layer.key_norm(keys))
            _rotate(qkv.narrow(2, 0, self._queries + 1), rotations)
            seen = attention(index, qkv)
            if keep is not None and index == len(self._layers) - 1:
                x, seen = x[keep], seen[keep]
            layer.out.add_to(x, seen)
            normed = layer.mlp_norm(x)
            layer.down.add_to(x, layer.activation(layer.gate(normed)).mul_(layer.up(normed)))
        return self._norm(x)

    def _rotations(self, rotary: Any, capacity: int) -> Tensor:
        """[capacity, 1, 1, D / 2] complex, from the model's own rotary module, so that scaling is its own."""
        device, dtype = self._embedding.device, self._embedding.dtype
        # In the model's dtype first: training rounds cosine and sine to it too.
        like = torch.empty(0, dtype=dtype, device=device)
        cos, sin = rotary(like, torch.arange(capacity, device=device)[None])
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        half = self._head_dim // 2
        cos, sin = (part[0, :, None, None, :half].to(wide) for part in (cos, sin))
        return torch.complex(cos, sin)


def _rotate(heads: Tensor, rotations: Tensor) -> None:
    """Rotates neighbouring pairs of the last dimension in place; complex numbers need float32 or float64."""
    wide = heads if heads.dtype in (torch.float32, torch.float64) else heads.float()
    torch.view_as_complex(wide.view(*wide.shape[:-1], -1, 2)).mul_(rotations)
    if wide is not heads:
        heads.copy_(wide)
