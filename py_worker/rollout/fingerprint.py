"""What responses depend on, as one hash: the name of the place where they are kept."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

import torch
from torch import Tensor

from py_worker.models.state import module_state
from py_worker.rollout.policy import GenerationPolicy
from py_worker.rollout.request import Tick
from py_worker.rollout.sampling import Sampling

FORMAT: Final = 1
"""Raised when the meaning of a kept response changes: what is drawn, or what is noted of it."""
_CHUNK: Final = 1 << 26
"""Bytes copied to the host and hashed at a time."""
_UNRELATED: Final = ("_name_or_path", "transformers_version", "architectures", "dtype")
"""Fields of a configuration that say where a model came from and who wrote it, or are said otherwise here."""


@torch.no_grad()
def weights_hash(module: torch.nn.Module, tick: Tick) -> str:
    """SHA-256 (hex) of names, shapes, dtypes and bytes of all weights, tied ones once.

    Reads every byte of the model: 1.8 GB/s on one core with SHA instructions, so 8 s for 7 billion weights in
    16 bits, and their copy to the host where they are elsewhere.

    Args:
        module: the model.
        tick: called for every 64 MiB.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(module_state(module).items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        for chunk in _bytes(tensor):
            digest.update(chunk.cpu().numpy().data)
            tick()
    return digest.hexdigest()


def store_key(policy: GenerationPolicy, weights: str, sampling: Sampling, seed: int) -> str:
    """SHA-256 (hex) of all that decides a response besides its prompt and sample id.

    Engine and device are left out: they change rounding alone.

    Args:
        policy: what draws.
        weights: its `weights_hash`.
        sampling: settings.
        seed: root of the random numbers.
    """
    config = policy.module.config.to_dict()
    identity = {
        "format": FORMAT,
        "architecture": type(policy.module).__name__,
        "config": {name: value for name, value in config.items() if name not in _UNRELATED},
        "weights": weights,
        "vocabulary": policy.vocab_size,
        "compute_dtype": str(policy.compute_dtype),
        "eos_ids": policy.eos_ids,
        "sampling": asdict(sampling),
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()


def _bytes(tensor: Tensor) -> Iterator[Tensor]:
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return (flat[start : start + _CHUNK] for start in range(0, len(flat), _CHUNK))
