"""Scalars of a step: recorded where they arise on the device, copied to the host once."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Scalar = Tensor | float


class StepMetrics:
    """Named scalars by optimizer step; a name recorded twice keeps its last value."""

    def __init__(self) -> None:
        self._steps: dict[int, dict[str, Scalar]] = {}

    def record(self, step: int, name: str, value: Scalar) -> None:
        """Keeps a scalar: a tensor of one element stays on its device, unread."""
        kept = value.detach() if isinstance(value, Tensor) else float(value)
        self._steps.setdefault(step, {})[name] = kept

    def record_all(self, step: int, values: Mapping[str, Scalar]) -> None:
        """Records several."""
        for name, value in values.items():
            self.record(step, name, value)

    def clear(self) -> None:
        """Forgets what was recorded."""
        self._steps = {}

    def take(self, step: int) -> Callable[[], dict[str, float]]:
        """Starts the copy of a step's scalars to the host; those of steps before it that never ended go.

        Returns:
            Reads the copy. On CUDA it must not be called before the stream has come this far.
        """
        scalars = self._steps.get(step, {})
        self._steps = {later: kept for later, kept in self._steps.items() if later > step}
        names = [name for name, value in scalars.items() if isinstance(value, Tensor)]
        tensors = [value.reshape(()) for value in scalars.values() if isinstance(value, Tensor)]
        copied = _copy_to_host(tensors)

        def read() -> dict[str, float]:
            values = dict(zip(names, copied.tolist(), strict=True))
            return {name: values[name] if name in values else float(scalars[name]) for name in scalars}

        return read


def _copy_to_host(scalars: list[Tensor]) -> Tensor:
    """One float64 vector on the host: holds every float32 and every count up to 2^53 as it is."""
    if not scalars:
        return torch.empty(0, dtype=torch.float64)
    stacked = torch.stack([scalar.to(torch.float64) for scalar in scalars])
    if stacked.device.type != "cuda":
        return stacked
    pinned = torch.empty(stacked.shape, dtype=stacked.dtype, pin_memory=True)
    return pinned.copy_(stacked, non_blocking=True)
