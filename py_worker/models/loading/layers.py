"""A smaller model from some layers of a larger one."""

import copy
import re
from collections.abc import Sequence
from types import NoneType
from typing import Any, Final

import torch
from torch import nn

from py_worker.models.errors import ModelError, UnsupportedModelError
from py_worker.models.loading.precision import cast

_SETTINGS: Final = (bool, int, float, str, NoneType)


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
        UnsupportedModelError: an encoder-decoder, an architecture whose layers are not one list, or a layer
            that would be another one at its new place.
    """
    if module.config.is_encoder_decoder:
        raise UnsupportedModelError(f"{name}: layers of an encoder-decoder cannot be dropped; take all of it")
    count = int(module.config.get_text_config().num_hidden_layers)
    outside = [index for index in layers if not 0 <= index < count]
    if not layers or outside:
        raise ModelError(f"{name}: layers {outside or '[]'} of a model with layers 0 to {count - 1}")
    prefix = _layer_list(module, count, name)
    try:
        with torch.random.fork_rng(devices=[]):
            small = cast(type(module)(_config_of(module, layers)), module.dtype)
        small.load_state_dict(_renumbered(module.state_dict(), prefix, layers), strict=True)
        for place, index in enumerate(layers):
            old, new = (m.get_submodule(f"{prefix}.{i}") for m, i in ((module, index), (small, place)))
            _require_same(old, new, index, place)
    except torch.OutOfMemoryError:
        raise
    except (AttributeError, IndexError, KeyError, RuntimeError, ValueError) as error:
        kind, reason = type(module).__name__, " ".join(str(error).split())[:300]
        raise UnsupportedModelError(
            f"{name}: {kind} cannot be built from layers {list(layers)}: {reason}; choose others"
        ) from error
    small.generation_config = copy.deepcopy(module.generation_config)
    return small


def _config_of(module: Any, layers: Sequence[int]) -> Any:
    """The module's configuration with each list that has an entry per layer cut to those layers.

    Not one of all their indices, such as Llama 4's of the layers with experts.
    """
    config = copy.deepcopy(module.config)
    text = config.get_text_config()
    every = list(range(text.num_hidden_layers))
    for key, value in list(vars(text).items()):
        if not isinstance(value, list | tuple) or key.endswith("_token_id") or list(value) == every:
            continue
        if len(value) == len(every):
            setattr(text, key, type(value)(value[index] for index in layers))
    # GPT-Neo expands them again into a list when its configuration is read.
    if hasattr(text, "attention_types"):
        text.attention_types = [[text.attention_layers, 1]]
    text.num_hidden_layers = len(layers)
    return config


def _require_same(old: nn.Module, new: nn.Module, index: int, place: int) -> None:
    """Compares what a layer and its parts were set to; their own index may differ.

    Raises:
        ValueError: layer `index` is another one at its new place.
    """
    for (part, before), (_, after) in zip(old.named_modules(), new.named_modules(), strict=True):
        for key, value in vars(before).items():
            if key.startswith("_") or key == "training" or not isinstance(value, _SETTINGS):
                continue
            found = vars(after).get(key)
            if found != value and not (type(value) is int and found == value + place - index):
                setting = f"{part}.{key}".lstrip(".")
                raise ValueError(
                    f"layer {index} has {setting} {value}, and {found} where it would be layer {place}"
                )


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
