"""Weights that stay in host memory and are on the device only while they are used."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Move = Callable[[Tensor], Tensor]
MoveAll = Callable[[Sequence[Tensor]], list[Tensor]]

SLAB_BYTES = 2**30
"""Pinned memory is given out in powers of two. A block for each weight takes 16 GiB for Llama-7B's 12 and 40
for 13B's 24; slabs of this size, filled up, 12.5 and 25 (computed from the shapes)."""

_ALIGNMENT = 512


class HostWeights:
    """The parameters of a frozen module, in host memory but for the time of `resident`.

    They never change, so nothing is copied back. What lies on the device in between is freed as the last user
    leaves. Users that work at the same time must work in the same order on the device, as one thread does.

    Args:
        module: whose parameters; buffers, which are small, stay where they are.
        keep: parameters that stay on the device.
        to_host: gives the copies that are kept.
        to_device: gives the copy that is used.
    """

    def __init__(
        self, module: nn.Module, keep: Iterable[Tensor], *, to_host: MoveAll, to_device: Move
    ) -> None:
        kept = {id(tensor) for tensor in keep}
        self._parameters = [p for p in module.parameters() if id(p) not in kept]
        self._host = to_host([parameter.data for parameter in self._parameters])
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


@dataclass(frozen=True)
class Layout:
    """Where blocks lie in slabs.

    Attributes:
        slabs: bytes of each.
        places: of each block, which slab and from which byte on.
    """

    slabs: tuple[int, ...]
    places: tuple[tuple[int, int], ...]

    @staticmethod
    def of(sizes: Sequence[int], slab: int = SLAB_BYTES) -> "Layout":
        """The largest first, each in the first slab with room; a larger one has the next power of two."""
        used: list[int] = []
        room: list[int] = []
        places = [(0, 0)] * len(sizes)
        for block in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
            size = -(-sizes[block] // _ALIGNMENT) * _ALIGNMENT
            fitting = (i for i, taken in enumerate(used) if taken + size <= room[i])
            at = next(fitting, len(used))
            if at == len(used):
                used.append(0)
                room.append(max(slab, 1 << (size - 1).bit_length() if size else 0))
            places[block] = (at, used[at])
            used[at] += size
        return Layout(tuple(used), tuple(places))


def pinned(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copies in host memory that a GPU can read by itself, in slabs."""
    layout = Layout.of([tensor.nbytes for tensor in tensors])
    slabs = [torch.empty(size, dtype=torch.uint8, pin_memory=True) for size in layout.slabs]
    copies = []
    for tensor, (slab, start) in zip(tensors, layout.places, strict=True):
        block = slabs[slab][start : start + tensor.nbytes]
        copies.append(block.view(tensor.dtype).view(tensor.shape).copy_(tensor))
    return copies


def copier_to(device: torch.device) -> Move:
    """Copies without waiting; what follows on the device waits for it."""
    return lambda tensor: tensor.to(device, non_blocking=True)
