"""Loading a policy from its specification."""

from typing import Any

import torch

from py_worker.data.char_tokenizer import char_tokenizer
from py_worker.models.attention import use_attention
from py_worker.models.decoder import DecoderPolicy
from py_worker.models.encoder_decoder import EncoderDecoderPolicy
from py_worker.models.errors import ModelError
from py_worker.models.loading import sources
from py_worker.models.loading.builtin import BUILTIN, builtin_model
from py_worker.models.loading.layers import keep_layers
from py_worker.models.loading.pairing import require_same_kind
from py_worker.models.lora import add_adapters
from py_worker.models.policy import Policy
from py_worker.models.spec import ModelSpec
from py_worker.models.vocabulary import shared_vocabulary

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_policy(spec: ModelSpec, *, device: torch.device | str, teacher: Policy | None = None) -> Policy:
    """Loads a teacher or, given its teacher, a student.

    With a teacher, the new head is cut to the part of the vocabulary that both mean the same by. The teacher
    stays as it is: whoever takes the two as a pair cuts its head to the new one's.

    Args:
        spec: what to load.
        device: where the weights go.
        teacher: the policy that the new one will learn from.

    Raises:
        ModelError: it cannot be found, read or built as specified.
        UnsupportedModelError: an architecture that is refused by name.
        VocabularyError: the tokenizers of teacher and student do not agree.
    """
    module, tokenizer = _build(spec)
    if spec.lora is not None:
        add_adapters(module, spec.lora, spec.source)
    kind = EncoderDecoderPolicy if module.config.is_encoder_decoder else DecoderPolicy
    policy = kind(
        module.to(device),
        tokenizer,
        name=spec.source,
        compute_dtype=_dtype(spec.compute_dtype) if spec.compute_dtype else None,
        base=sources.absolute(spec.source) if spec.init == "pretrained" else None,
    )
    if spec.attention is not None:
        use_attention(policy, spec.attention)
    if spec.gradient_checkpointing:
        policy.checkpoint_activations()
    if teacher is not None:
        require_same_kind(policy.name, policy.has_encoder, teacher.name, teacher.has_encoder)
        shared = shared_vocabulary(tokenizer, teacher.tokenizer, spec.source, teacher.name)
        policy.limit_vocabulary(min(shared, teacher.vocab_size))
    return policy


def _build(spec: ModelSpec) -> tuple[Any, Any]:
    dtype = _dtype(spec.dtype)
    if spec.source.startswith("builtin:"):
        return _builtin(spec, dtype)
    location = sources.locate(spec.source)
    options: dict[str, Any] = {"trust_remote_code": spec.trust_remote_code, "source": spec.source}
    tokenizer = sources.read_tokenizer(location, **options)
    if spec.init == "random":
        return sources.random_model(location, dtype=dtype, seed=spec.seed, **options), tokenizer
    module = sources.read_model(location, dtype=dtype, **options)
    if spec.init == "layers":
        module = keep_layers(module, spec.layers, spec.source)
    return module, tokenizer


def _builtin(spec: ModelSpec, dtype: torch.dtype) -> tuple[Any, Any]:
    if spec.source not in BUILTIN:
        raise ModelError(f"{spec.source}: the builtin models are {', '.join(BUILTIN)}")
    if spec.init != "random":
        raise ModelError(f"{spec.source}: a builtin model has no weights of its own; set init to random")
    if spec.arch is None:
        raise ModelError(f"{spec.source}: give its shape in arch (hidden_size, layers, heads, ...)")
    tokenizer = char_tokenizer()
    return builtin_model(spec.source, spec.arch, tokenizer, spec.seed, dtype), tokenizer


def _dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise ModelError(f"unknown dtype {name!r}: use one of {', '.join(DTYPES)}")
    return DTYPES[name]
