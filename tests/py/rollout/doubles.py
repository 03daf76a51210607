"""Tiny random models behind the interface that generation needs."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from transformers import GPT2Config, LlamaConfig, T5Config

from py_worker.models.head import OutputHead
from py_worker.rollout import native
from py_worker.rollout.engine import Engine, Responses
from py_worker.rollout.mixture import Mixture
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.request import Tick
from py_worker.rollout.sampling import Sampling

torch.set_num_threads(1)

VOCAB = 23
# The norms of transformers are computed in float32 whatever the model.
TOLERANCE = 1e-5


@dataclass
class ModulePolicy:
    """A policy around a language model."""

    module: Any
    eos_ids: tuple[int, ...] = (2,)
    pad_id: int = 0
    vocab_size: int = VOCAB
    compute_dtype: torch.dtype | None = None
    name: str = "double"

    @property
    def max_positions(self) -> int | None:
        return getattr(self.module.config, "max_position_embeddings", None)

    @property
    def head(self) -> OutputHead:
        return OutputHead.of(self.module, self.vocab_size, "double")

    def resident(self) -> AbstractContextManager[None]:
        return nullcontext()


def seeded(make: Callable[[], Any], dtype: torch.dtype = torch.float64) -> Any:
    """A module whose random weights depend on nothing but this call."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return make().to(dtype).eval()


def llama_config(**changes: Any) -> LlamaConfig:
    """Two layers, 4 query heads on 2 key heads; weights large enough for decided predictions."""
    settings: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "vocab_size": VOCAB,
        "max_position_embeddings": 256,
        "initializer_range": 0.25,
        "eos_token_id": 2,
        "bos_token_id": 1,
        "pad_token_id": 0,
    }
    return LlamaConfig(**{**settings, **changes})


def gpt2_config(**changes: Any) -> GPT2Config:
    """Two layers, 4 heads; weights large enough for decided predictions."""
    settings: dict[str, Any] = {
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 64,
        "vocab_size": VOCAB,
        "initializer_range": 0.25,
        "eos_token_id": 2,
        "bos_token_id": 1,
        "pad_token_id": 0,
    }
    return GPT2Config(**{**settings, **changes})


def t5_config(kind: type = T5Config, **changes: Any) -> Any:
    """Two layers a side, 4 heads; its own initialization is large."""
    settings: dict[str, Any] = {
        "vocab_size": VOCAB,
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 48,
        "num_layers": 2,
        "num_heads": 4,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
    }
    return kind(**{**settings, **changes})


def randomize_norms_and_biases(module: Any) -> None:
    """Fresh models have unit norms and zero biases, which would hide that they are left out."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in module.named_parameters():
        if "norm" in name or ".ln_" in name or name.endswith("bias"):
            offset = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.data += 0.3 * offset


def silent() -> None:
    """A tick that nobody listens to."""


def as_lists(rows: Sequence[np.ndarray]) -> list[list[int]]:
    return [row.tolist() for row in rows]


def hugging_face_greedy(
    policy: ModulePolicy, prompts: Sequence[np.ndarray], max_new_tokens: int
) -> list[list[int]]:
    """`model.generate` on one prompt at a time: no padding at all."""
    rows = []
    for prompt in prompts:
        ids = torch.from_numpy(prompt.astype(np.int64))[None]
        out = policy.module.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=list(policy.eos_ids),
            pad_token_id=policy.pad_id,
        )
        drawn_from = 1 if policy.module.config.is_encoder_decoder else len(prompt)
        rows.append(out[0, drawn_from:].tolist())
    return rows


def limited(**changes: int) -> NativeEngine:
    return NativeEngine(replace(native.LIMITS["cpu"], **changes))


def generate(
    engine: Engine,
    source: ModulePolicy | Mixture,
    prompts: list[np.ndarray],
    sampling: Sampling,
    ids: Sequence[int] | None = None,
    seed: int = 17,
    tick: Tick = silent,
) -> Responses:
    """From one policy or a mixture; sample ids count from 0 unless they are given."""
    mixture = source if isinstance(source, Mixture) else Mixture.of(source)
    keys = range(len(prompts)) if ids is None else ids
    return engine.generate(mixture, prompts, keys, sampling, seed, tick)


@torch.no_grad()
def reference_log_probs(
    source: ModulePolicy | Mixture,
    prompts: Sequence[np.ndarray],
    responses: Sequence[np.ndarray],
    sampling: Sampling,
) -> list[np.ndarray]:
    """What each token was drawn with, from the formula: plain forward passes, then float64 throughout."""
    mixture = source if isinstance(source, Mixture) else Mixture.of(source)
    rows = []
    for prompt, response in zip(prompts, responses, strict=True):
        # An encoder-decoder has the prompt apart, and its start token before the response.
        encoded = mixture.policies[0].module.config.is_encoder_decoder
        before = np.array([0]) if encoded else prompt
        text = np.concatenate([before, response]).astype(np.int64)
        ids = torch.from_numpy(text)[None]
        inputs = {"input_ids": ids}
        if encoded:
            inputs = {"input_ids": torch.from_numpy(prompt.astype(np.int64))[None], "decoder_input_ids": ids}
        passes = [p.module(**inputs, use_cache=False).logits[0].double().numpy() for p in mixture.policies]
        row = []
        for at in range(len(before), len(text)):
            logits = [each[at - 1, : mixture.vocab_size] for each in passes]
            behaviour = _behaviour(mixture, logits, text[:at].tolist(), sampling)
            row.append(math.log(behaviour[text[at]]))
        rows.append(np.array(row))
    return rows


def _behaviour(mixture: Mixture, logits: list[np.ndarray], text: list[int], sampling: Sampling) -> np.ndarray:
    """[V] probabilities of the next token."""
    probabilities = np.zeros(mixture.vocab_size)
    for weight, each in zip(mixture.weights, logits, strict=True):
        scaled = np.exp((each - each.max()) / (sampling.temperature or 1.0))
        probabilities += weight * scaled / scaled.sum()
    if sampling.suppress_eos:
        probabilities[list(mixture.eos_ids)] = 0.0
    if size := sampling.no_repeat_ngram_size:
        grams = [text[i : i + size] for i in range(len(text) - size + 1)]
        banned = [gram[-1] for gram in grams if gram[:-1] == text[len(text) - size + 1 :]]
        probabilities[banned] = 0.0
    if sampling.temperature == 0.0:
        return (np.arange(mixture.vocab_size) == probabilities.argmax()).astype(np.float64)
    if sampling.top_k:
        probabilities[probabilities < np.sort(probabilities)[-sampling.top_k]] = 0.0
    if sampling.top_p < 1.0:
        order = np.argsort(-probabilities, kind="stable")
        before = np.cumsum(probabilities[order]) - probabilities[order]
        probabilities[order[before >= sampling.top_p * probabilities.sum()]] = 0.0
    return probabilities / probabilities.sum()
