"""How a model computes attention, where the user wants a say in it."""

from importlib.util import find_spec

import torch
from torch import Tensor
from transformers.integrations import sdpa_attention

from py_worker.models.errors import UnsupportedModelError
from py_worker.models.policy import Policy

_REMEDY = "use sdpa or eager, or leave attention out"
_groups_heads = sdpa_attention.use_gqa_in_sdpa


def leave_out_cudnn() -> None:
    """Keeps `scaled_dot_product_attention` from cuDNN, for the whole process.

    With the cuDNN that comes with torch 2.11 it is preferred on Hopper for halves, and it builds a plan for
    each new shape (0.44 s forward, 0.55 s backward on a B200: modelscope/FunASR, issue 3704; not measured
    here). Responses and generation always have new ones.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


def has_grouped_kernel(keys: Tensor) -> bool:
    """Whether `scaled_dot_product_attention` takes fewer heads of keys `[B, K, T, D]` than of queries.

    On CUDA only flash attention does, for halves and heads of 256 at most, from compute capability 8.0 on.
    For others torch falls back to the formula, and keeps all scores `[B, heads, T, T]` for backward (torch's
    sdp_utils.cpp, which has more exceptions for heads over 192 on some cards).
    """
    if not keys.is_cuda:
        return True
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else keys.dtype
    fits = dtype.itemsize == 2 and keys.shape[-1] <= 256
    return fits and torch.cuda.get_device_capability(keys.device) >= (8, 0)


def repeat_heads_where_needed() -> None:
    """Has transformers repeat grouped heads where no kernel of CUDA's takes them, for the whole process."""
    sdpa_attention.use_gqa_in_sdpa = _groups_where_a_kernel_does


def _groups_where_a_kernel_does(mask: Tensor | None, key: Tensor, *more: Tensor) -> bool:
    return has_grouped_kernel(key) and bool(_groups_heads(mask, key, *more))


def use_attention(policy: Policy, implementation: str) -> None:
    """Sets the implementation of attention by its name in transformers: eager, sdpa or flash_attention_2.

    Raises:
        UnsupportedModelError: the architecture, device, dtype or environment does not allow it. The library
            by itself falls back to another one, or to one that it downloads.
    """
    refusal = f"{policy.name}: attention {implementation} cannot be used"
    if implementation == "flash_attention_2":
        _check_flash_attention(policy, refusal)
    try:
        policy.module.set_attn_implementation(implementation)
    except (ImportError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UnsupportedModelError(f"{refusal}: {reason} ({_REMEDY})") from error
    found = policy.module.config.get_text_config()._attn_implementation
    if found != implementation:
        kind = type(policy.module).__name__
        raise UnsupportedModelError(f"{refusal}: {kind} stays with {found}; leave attention out")


def _check_flash_attention(policy: Policy, refusal: str) -> None:
    if policy.device.type != "cuda":
        raise UnsupportedModelError(f"{refusal} on device {policy.device.type}; {_REMEDY}")
    if find_spec("flash_attn") is None:
        raise UnsupportedModelError(
            f"{refusal}: the worker's environment lacks the Python package flash-attn; {_REMEDY}"
        )
    if (policy.compute_dtype or policy.dtype) == torch.float32:
        raise UnsupportedModelError(
            f"{refusal} in float32; set compute_dtype (or dtype) to bfloat16, or {_REMEDY}"
        )
