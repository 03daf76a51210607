"""Policies with adapters that say something."""

from typing import Any

import torch

from py_worker.models.lora import adapter_parameters, add_adapters
from py_worker.models.policy import Policy
from py_worker.models.spec import LoraSpec
from tests.py.tiny_models import tiny_policy


@torch.no_grad()
def spread_adapters(module: Any, seed: int = 0) -> None:
    """Random numbers in place of B = 0, large enough to change what the model says."""
    generator = torch.Generator().manual_seed(seed)
    for name, matrix in adapter_parameters(module).items():
        if ".lora_B." in name:
            matrix.copy_(0.2 * torch.randn(matrix.shape, generator=generator))


def adapted_policy(spec: LoraSpec, **options: Any) -> Policy:
    policy = tiny_policy(**options)
    add_adapters(policy.module, spec, policy.name)
    spread_adapters(policy.module)
    return policy
