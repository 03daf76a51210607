"""The native engine with its decode steps as CUDA graphs. Experimental: it has not run on a GPU."""

from dataclasses import replace

import torch

from py_worker.rollout.native import LIMITS_ELSEWHERE, Limits, NativeEngine
from py_worker.rollout.policy import GenerationPolicy


class GraphEngine(NativeEngine):
    """Taken by name only.

    `rehearse` counts a step once: what graphs keep of their intermediates comes on top.
    """

    name = "native_graphs"
    concurrent = False  # a process captures one graph at a time, and capturing waits for the whole device

    def __init__(self, limits: Limits = LIMITS_ELSEWHERE) -> None:
        super().__init__(replace(limits, steps="graph"))

    def refusal(self, policy: GenerationPolicy) -> str | None:
        """See `Engine`."""
        device = policy.head.rows.device  # the head stays there where the rest is offloaded
        if device.type != "cuda":
            return f"it is on {device}, and CUDA graphs need a GPU"
        current = torch.cuda.current_device()
        if device.index not in (None, current):
            return f"it is on {device}, and graphs are captured on the current device, cuda:{current}"
        return super().refusal(policy)
