"""Dynamic loss scaling: keeps gradients in the range of float16, decided on the device."""

from typing import Final

import torch
from torch import Tensor

_START: Final = 2.0**16
_FACTOR: Final = 2.0
_INTERVAL: Final = 2000
"""Start, factor and steps between two growths are those of torch.amp's gradient scaler."""
_LEAST, _MOST = 1.0, 2.0**24
"""Our choice: it neither dies out while something else makes gradients infinite, nor overflows itself."""


class LossScale:
    """Factor of the loss before backward, and of gradients after it, by its inverse.

    Halved after a step whose gradients were not finite, doubled after 2,000 good steps in a row. The host
    never looks at it.

    Attributes:
        value: float32 scalar on the device; a new tensor after each step, so that an old one stays right.
    """

    def __init__(self, device: torch.device | str):
        self.value = torch.full((), _START, device=device)
        self._good_steps = torch.zeros((), device=device)

    @torch.no_grad()
    def unscale(self, gradients: list[Tensor]) -> None:
        """Divides gradients in place; what is not finite stays so."""
        if gradients:
            torch._foreach_mul_(gradients, 1.0 / self.value)

    @torch.no_grad()
    def update(self, skipped: Tensor) -> None:
        """Takes note of a step; `skipped`: 1 where its gradients were not finite, else 0."""
        good = (self._good_steps + 1.0) * (1.0 - skipped)
        grown = good >= _INTERVAL
        # No `torch.where` of two numbers: on a GPU the host would wait for the device to bring them there.
        factor = (1.0 + (_FACTOR - 1.0) * grown) * (1.0 - skipped) + skipped / _FACTOR
        self.value = (self.value * factor).clamp(_LEAST, _MOST)
        self._good_steps = good.masked_fill(grown, 0.0)

    def state_tensors(self) -> dict[str, Tensor]:
        """State for checkpoints."""
        return {"loss_scale.value": self.value, "loss_scale.good_steps": self._good_steps}

    def reset(self) -> None:
        """Returns to the start."""
        self.value.fill_(_START)
        self._good_steps.zero_()
