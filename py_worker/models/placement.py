"""Weights that stay in host memory and are on the device only while they are used."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Move = Callable[[Tensor], Tensor]


class HostWeights:
    """The parameters of a frozen module, in host memory but for the time of `resident`.

    They never change, so nothing is copied back. What lies on the device in between is freed as the last user
    leaves. Users that work at the same time must work in the same order on the device, as one thread does.

    Args:
        module: whose parameters; buffers, which are small, stay where they are.
        keep: parameters that stay on the device.
        to_host: gives the copy that is kept.
        to_device: gives the copy that is used.
    """

    def __init__(self, module: nn.Module, keep: Iterable[Tensor], *, to_host: Move, to_device: Move) -> None:
        kept = {id(tensor) for tensor in keep}
        self._parameters = [p for p in module.parameters() if id(p) not in kept]
        self._host = [to_host(parameter.data) for parameter in self._parameters]
        self._to_device = to_device
        self._users, self._lock = 0, threading.Lock()
        self._point_to(self._host)

    @property
    def bytes(self) -> int:
        """Bytes of the weights that come and go."""
        return sum(tensor.nbytes for tensor in self._host)

    @contextmanager
    def resident(self) -> Iterator[None]:
        """Within, the parameters are on the device; may be nested."""
        with self._lock:
            if self._users == 0:
                self._point_to([self._to_device(tensor) for tensor in self._host])
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._point_to(self._host)

    def _point_to(self, tensors: list[Tensor]) -> None:
        for parameter, tensor in zip(self._parameters, tensors, strict=True):
            parameter.data = tensor


def pinned(tensor: Tensor) -> Tensor:
    """A copy in host memory that a GPU can read by itself."""
    return tensor.to("cpu").pin_memory()


def copier_to(device: torch.device) -> Move:
    """Copies without waiting; what follows on the device waits for it."""
    return lambda tensor: tensor.to(device, non_blocking=True)
