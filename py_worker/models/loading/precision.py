"""The dtype of a model's numbers."""

import copy
from typing import Any

import torch
from transformers.modeling_utils import local_torch_dtype


def cast(module: Any, dtype: torch.dtype) -> Any:
    """The model in a dtype, as the library reads it: what it keeps in float32 is not rounded.

    Such are the frequencies of rotary positions, which in half precision turn later positions. Which buffers
    they are is seen in a model of the same configuration without memory.

    Args:
        module: a Hugging Face language model; changed in place.
        dtype: that its parameters get.
    """
    if module.dtype == dtype:
        return module
    with torch.device("meta"), local_torch_dtype(dtype, type(module).__name__):
        built = dict(type(module)(copy.deepcopy(module.config)).named_buffers())
    for parameter in module.parameters():
        parameter.data = parameter.data.to(dtype)
    for name, buffer in module.named_buffers():
        if name in built:
            buffer.data = buffer.data.to(built[name].dtype)
    return module
