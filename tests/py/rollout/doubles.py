"""Tiny random models behind the interface that generation needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaConfig

from py_worker.rollout import native
from py_worker.rollout.engine import Engine, Rollouts
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.sampling import Sampling

torch.set_num_threads(1)

VOCAB = 23
# The norms of transformers are computed in float32 whatever the model.
TOLERANCE = 1e-5


@dataclass
class ModulePolicy:
    """A policy around a causal language model with a plain head."""

    module: Any
    eos_ids: tuple[int, ...] = (2,)
    pad_id: int = 0
    vocab_size: int = VOCAB
    compute_dtype: torch.dtype | None = None

    def logits(self, hidden: Tensor) -> Tensor:
        head = self.module.get_output_embeddings()
        with torch.autocast("cpu", self.compute_dtype, enabled=self.compute_dtype is not None):
            logits = F.linear(hidden, head.weight, head.bias)[..., : self.vocab_size]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))


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
        rows.append(out[0, len(prompt) :].tolist())
    return rows


@torch.no_grad()
def teacher_forced_log_probs(
    policy: ModulePolicy, prompts: Sequence[np.ndarray], responses: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Log-probabilities of the responses from one forward pass over each whole sequence."""
    rows = []
    for prompt, response in zip(prompts, responses, strict=True):
        ids = torch.from_numpy(np.concatenate([prompt, response]).astype(np.int64))[None]
        logits = policy.module(input_ids=ids, use_cache=False).logits[0, :, : policy.vocab_size]
        scores = logits[len(prompt) - 1 : -1].double().log_softmax(-1)
        rows.append(scores.gather(1, ids[0, len(prompt) :, None]).squeeze(1).numpy())
    return rows


def limited(**changes: int) -> NativeEngine:
    return NativeEngine(replace(native.LIMITS["cpu"], **changes))


def generate(
    engine: Engine, policy: ModulePolicy, prompts: list[np.ndarray], sampling: Sampling, ids: Any = None
) -> Rollouts:
    return engine.generate(policy, prompts, ids or range(len(prompts)), sampling, 17, silent)
