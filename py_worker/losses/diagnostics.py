"""Sums of per-position quantities on the device, and the ones that describe how two policies differ."""

import torch
from torch import Tensor

from py_worker.losses.divergence import kl_divergence, log_probabilities, total_variation


class DeviceSums:
    """Named running sums that never leave the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def add(self, name: str, values: Tensor) -> None:
        """Adds the sum of `values` to `name`."""
        total = values.detach().sum()
        self._sums[name] = self._sums[name] + total if name in self._sums else total

    def raise_to(self, name: str, values: Tensor) -> None:
        """Keeps in `name` the largest element seen."""
        largest = values.detach().max()
        self._sums[name] = torch.maximum(self._sums[name], largest) if name in self._sums else largest

    def __contains__(self, name: str) -> bool:
        return name in self._sums

    def __getitem__(self, name: str) -> Tensor:
        return self._sums[name]

    def mean(self, name: str, count: int) -> Tensor:
        """The sum divided by a count known on the host."""
        return self._sums[name] / max(count, 1)


PART_DIAGNOSTICS = ("tv", "forward_kl", "reverse_kl", "student_entropy", "teacher_entropy")


@torch.no_grad()
def add_part_diagnostics(sums: DeviceSums, part: str, student_logits: Tensor, teacher_logits: Tensor) -> None:
    """Adds, as `NAME_PART` for the names of `PART_DIAGNOSTICS`, sums over the positions of one chunk."""
    log_p, log_q = log_probabilities(teacher_logits), log_probabilities(student_logits)
    sums.add(f"tv_{part}", total_variation(log_p, log_q))
    sums.add(f"forward_kl_{part}", kl_divergence(log_p, log_q))
    sums.add(f"reverse_kl_{part}", kl_divergence(log_q, log_p))
    sums.add(f"student_entropy_{part}", -(log_q.exp() * log_q).sum(-1))
    sums.add(f"teacher_entropy_{part}", -(log_p.exp() * log_p).sum(-1))
