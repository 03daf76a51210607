"""The Llama family's arithmetic for generation, on the weights that are being trained.

Covers Llama (SmolLM2 too), Mistral, Qwen2 and Qwen3 without sliding window: grouped-query attention, biases,
and the per-head norms of Qwen3. Every other architecture is refused by `refusal`, with the reason.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM

from py_worker.models.lora import is_adapted
from py_worker.rollout.kv_cache import CacheShape
from py_worker.rollout.llama_weights import Arrangement, pays_to_transpose, rope_pairs

_FAMILY = (LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM)
# These recompute their frequencies from the length of the sequence seen last.
_LENGTH_DEPENDENT_ROPE = ("dynamic", "longrope")

# attention(layer, qkv [B, K, G + 2, D]) -> [B, K * G * D]
Attention = Callable[[int, Tensor], Tensor]


def refusal(module: Any) -> str | None:
    """Why this module cannot run here, or None.

    Subclasses and quantized layers are refused too: they may compute something else. Adapters are served.
    """
    if type(module) not in _FAMILY:
        covered = ", ".join(sorted(m.__name__ for m in _FAMILY))
        return f"its architecture is {type(module).__name__}; covered: {covered}"
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


class LlamaDecoder:
    """A snapshot of how to compute with a module's weights; make a new one after every weight update.

    Attributes:
        queries: `G`, query heads per key head.
        kv_heads: `K`.
        head_dim: `D`.
        dtype: of matrix products and cache; the residual stream keeps the weights' own dtype.
    """

    def __init__(
        self, module: Any, *, capacity: int, max_new_tokens: int, compute_dtype: torch.dtype | None = None
    ) -> None:
        """
        Args:
            module: one for which `refusal` gives None.
            capacity: positions that will be needed.
            max_new_tokens: decides whether copying the weights pays.
            compute_dtype: dtype of matrix products where it is not the weights' (as under autocast).
        """
        model, config = module.model, module.config
        self.kv_heads: int = config.num_key_value_heads
        self.queries: int = config.num_attention_heads // self.kv_heads
        self.head_dim: int = model.layers[0].self_attn.head_dim
        self.dtype: torch.dtype = compute_dtype or module.dtype
        self._embedding: Tensor = model.embed_tokens.weight
        arrangement = Arrangement(
            self.kv_heads,
            self.queries,
            self.head_dim,
            self.dtype,
            pays_to_transpose(module, max_new_tokens),
            rope_pairs(self.head_dim, module.device),
        )
        self._layers = [arrangement.layer(layer) for layer in model.layers]
        self.norm = arrangement.norm(model.norm)
        self._rotation = self._rotations(model.rotary_emb, capacity)

    @property
    def layer_count(self) -> int:
        """Blocks."""
        return len(self._layers)

    def cache_shape(self, slots: int, capacity: int) -> CacheShape:
        """Of a cache for these blocks."""
        return CacheShape(self.layer_count, slots, self.kv_heads, self.queries, capacity, self.head_dim)

    def rotations(self, positions: Tensor) -> Tensor:
        """[B] int64 positions to [B, 1, 1, D / 2] complex rotations."""
        return self._rotation.index_select(0, positions)

    def embed(self, tokens: Tensor) -> Tensor:
        """[B] int64 ids to [B, H], a new tensor."""
        return F.embedding(tokens, self._embedding)

    def blocks(
        self, x: Tensor, rotations: Tensor, attention: Attention, keep: Tensor | None = None
    ) -> Tensor:
        """Runs all blocks.

        Args:
            x: [B, H] embeddings; overwritten.
            rotations: [B, 1, 1, D / 2], of each row's position.
            attention: what a layer's queries see.
            keep: [k] int64, rows whose result is wanted; None is all. The last block's output and
                feed-forward part are computed for these alone (a fifth of a prefill with four layers).

        Returns:
            [k or B, H] hidden states before the last norm.
        """
        heads = (-1, self.kv_heads, self.queries + 2, self.head_dim)
        for index, layer in enumerate(self._layers):
            qkv = layer.qkv(layer.attention_norm(x)).view(heads)
            if layer.query_norm is not None and layer.key_norm is not None:
                queries, keys = qkv[:, :, : self.queries], qkv[:, :, self.queries]
                queries.copy_(layer.query_norm(queries))
                keys.copy_(layer.key_norm(keys))
            _rotate(qkv.narrow(2, 0, self.queries + 1), rotations)
            seen = attention(index, qkv)
            if keep is not None and index == self.layer_count - 1:
                x, seen = x[keep], seen[keep]
            layer.out.add_to(x, seen)
            normed = layer.mlp_norm(x)
            layer.down.add_to(x, layer.activation(layer.gate(normed)).mul_(layer.up(normed)))
        return x

    def _rotations(self, rotary: Any, capacity: int) -> Tensor:
        """[capacity, 1, 1, D / 2] complex, from the model's own rotary module, so that scaling is its own."""
        device, dtype = self._embedding.device, self._embedding.dtype
        # In the model's dtype first: training rounds cosine and sine to it too.
        like = torch.empty(0, dtype=dtype, device=device)
        cos, sin = rotary(like, torch.arange(capacity, device=device)[None])
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        half = self.head_dim // 2
        cos, sin = (part[0, :, None, None, :half].to(wide) for part in (cos, sin))
        return torch.complex(cos, sin)


def _rotate(heads: Tensor, rotations: Tensor) -> None:
    """Rotates neighbouring pairs of the last dimension in place; complex numbers need float32 or float64."""
    wide = heads if heads.dtype in (torch.float32, torch.float64) else heads.float()
    torch.view_as_complex(wide.view(*wide.shape[:-1], -1, 2)).mul_(rotations)
    if wide is not heads:
        heads.copy_(wide)
