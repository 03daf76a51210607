"""Activations that are computed again in backward instead of being kept."""

from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from py_worker.models.errors import UnsupportedModelError


def recompute_layers(module: Any, name: str) -> None:
    """Keeps of each layer only what goes into it, where gradients are wanted.

    The library does so in training mode alone, in which layers that ask for their mode (OPT's, Falcon's) drop
    out; here the layers that it can recompute are wrapped and stay in evaluation mode.

    Args:
        module: a Hugging Face language model; changed in place.
        name: of the model, for messages.

    Raises:
        UnsupportedModelError: the architecture cannot.
    """
    layers: list[Any] = [part for part in module.modules() if isinstance(part, GradientCheckpointingLayer)]
    if not module.supports_gradient_checkpointing or not layers:
        kind = type(module).__name__
        raise UnsupportedModelError(f"{name}: {kind} does not support gradient checkpointing")
    for layer in layers:
        layer.forward = partial(_recomputed, layer.forward)


def _recomputed(forward: Any, *args: Any, **options: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **options)
    return checkpoint(forward, *args, use_reentrant=False, **options)
