"""Models that are made from a shape: nothing to download, for trials and tests."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from py_worker.models.errors import ModelError
from py_worker.models.loading.precision import cast
from py_worker.models.spec import ArchSpec


def _llama(arch: ArchSpec, tokenizer: Any) -> Any:
    if arch.hidden_size % arch.heads or arch.heads % arch.kv_heads:
        raise ModelError(
            f"builtin:llama: hidden_size {arch.hidden_size} must be a multiple of heads {arch.heads}, and "
            f"heads of kv_heads {arch.kv_heads}"
        )
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=arch.hidden_size,
        intermediate_size=arch.intermediate_size,
        num_hidden_layers=arch.layers,
        num_attention_heads=arch.heads,
        num_key_value_heads=arch.kv_heads,
        max_position_embeddings=arch.max_positions,
        tie_word_embeddings=arch.tie_embeddings,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def _t5(arch: ArchSpec, tokenizer: Any) -> Any:
    """A model like T5 v1.1 but for the head, which is T5's: tied and scaled. `layers` on each side."""
    if arch.hidden_size % arch.heads or arch.heads != arch.kv_heads or not arch.tie_embeddings:
        raise ModelError(
            f"builtin:t5: hidden_size {arch.hidden_size} must be a multiple of heads {arch.heads}, kv_heads "
            f"({arch.kv_heads}) equal to heads, and tie_embeddings true"
        )
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=arch.hidden_size,
        d_kv=arch.hidden_size // arch.heads,
        d_ff=arch.intermediate_size,
        num_layers=arch.layers,
        num_heads=arch.heads,
        feed_forward_proj="gated-gelu",
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    return T5ForConditionalGeneration(config)


BUILTIN: Mapping[str, Callable[[ArchSpec, Any], Any]] = {"builtin:llama": _llama, "builtin:t5": _t5}
"""Models by their source, made from a shape and a tokenizer."""

ENCODER_DECODERS: Final = ("builtin:t5",)


def builtin_model(source: str, arch: ArchSpec, tokenizer: Any, seed: int, dtype: torch.dtype) -> Any:
    """A model of the given shape for the tokenizer, with weights drawn from `seed`.

    Args:
        source: a key of `BUILTIN`.
        arch: shape.
        tokenizer: its tokenizer.
        seed: of the weights.
        dtype: of the weights.

    Raises:
        ModelError: sizes that do not divide, or a shape that the architecture does not have.
    """
    build = BUILTIN[source]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cast(build(arch, tokenizer), dtype)
