"""A rollout that is gone through for what it allocates, on tensors without numbers."""

import contextlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from py_worker.models.allocations import AllocationCounter, MemoryItem, fake_tensors
from py_worker.rollout.engine import Engine, Mixture, Sampling

CACHE_DIMENSIONS: Final = 5
"""Dimensions of an engine's keys and values of all layers; other tensors have fewer before a model runs."""

_PACK: Final = "_reorder_linear_weight"
"""oneDNN's operator that copies a matrix into an order of its own; torch has no fake of it."""
if hasattr(torch.ops.mkldnn, _PACK):
    with contextlib.suppress(RuntimeError):  # a later torch may have one

        @torch.library.register_fake(f"mkldnn::{_PACK}")  # type: ignore[untyped-decorator]
        def _packed(weight: Tensor, batch_size: int | None = None) -> Tensor:  # noqa: ARG001
            return torch.empty_like(weight)


def rehearse_rollout(
    engine: Engine,
    mixture: Mixture,
    prompt_lengths: Sequence[int],
    sampling: Sampling,
    rows: int | None = None,
) -> dict[MemoryItem, int]:
    """Bytes at the peak beyond what is there before, by item.

    Args:
        engine: that would draw.
        mixture: what from.
        prompt_lengths: tokens of each prompt.
        sampling: how.
        rows: prompts at work at the same time, if fewer than the engine's own number.
    """
    prompts = [np.zeros(length, dtype=np.int32) for length in prompt_lengths]
    at_work = False

    def tick() -> None:
        nonlocal at_work
        at_work = True

    def label(tensor: Tensor) -> MemoryItem:
        if tensor.dim() > 1 and tensor.shape[-1] == mixture.vocab_size and at_work:
            return "logits"
        if tensor.dim() == CACHE_DIMENSIONS and not at_work:
            return "kv_cache"
        return "activations" if at_work else "arranged_weights"

    with mixture.resident():
        modules = [policy.module for policy in mixture.policies]
        weights = [t for module in modules for t in (*module.parameters(), *module.buffers())]
        with fake_tensors(weights) as known, AllocationCounter(label, known) as counter:
            engine.rehearse(mixture, prompts, sampling, tick, rows)
    return dict(counter.peak)
