"""A smaller model from some layers of a larger one."""

import copy
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from py_worker.models.errors import ModelError, UnsupportedModelError


def keep_layers(module: Any, layers: Sequence[int], name: str) -> Any:
    """A new model with the given layers of `module`, in that order, and its embeddings, final norm and head.

    It is built from a changed configuration and filled by name, so that whatever else a layer keeps (its
    index, its attention type) is right.

    Args:
        module: a Hugging Face causal language model.
        layers: 0-based indices into its layers; one may be used more than once.
        name: for messages.

    Raises:
        ModelError: no layer is named, or one is out of range.
        UnsupportedModelError: the architecture's layers are not one list.
    """
    config = copy.deepcopy(module.config)
    text = config.get_text_config()
    count = int(text.num_hidden_layers)
    outside = [index for index in layers if not 0 <= index < count]
    if not layers or outside:
        raise ModelError(f"{name}: layers {outside or '[]'} of a model with layers 0 to {count - 1}")
    prefix = _layer_list(module, count, name)
    text.num_hidden_layers = len(layers)
    if getattr(text, "layer_types", None):
        text.layer_types = [text.layer_types[index] for index in layers]
    with torch.random.fork_rng(devices=[]):
        small = type(module)(config).to(module.dtype)
    small.load_state_dict(_renumbered(module.state_dict(), prefix, layers), strict=True)
    small.generation_config = copy.deepcopy(module.generation_config)
    return small


def _layer_list(module: Any, count: int, name: str) -> str:
    lists = [n for n, m in module.named_modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    outermost = [n for n in lists if not any(n.startswith(f"{other}.") for other in lists)]
    if len(outermost) != 1:
        kind = type(module).__name__
        raise UnsupportedModelError(
            f"{name}: no single list of {count} layers in {kind}, so none can be dropped"
        )
    return str(outermost[0])


def _renumbered(state: dict[str, Any], prefix: str, layers: Sequence[int]) -> dict[str, Any]:
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.(.*)")
    kept: dict[str, Any] = {}
    for key, value in state.items():
        match = pattern.fullmatch(key)
        if match is None:
            kept[key] = value
            continue
        source, rest = int(match[1]), match[2]
        for position, index in enumerate(layers):
            if index == source:
                kept[f"{prefix}.{position}.{rest}"] = value
    return kept
