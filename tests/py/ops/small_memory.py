"""A worker whose allocator refuses tensors that are too large, as a full device does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from py_worker import ops

VOCABULARY, HIDDEN = 99, (16, 24)
TooLarge = Callable[[Tensor], bool]


class _FullDevice(TorchDispatchMode):
    def __init__(self, too_large: TooLarge) -> None:
        super().__init__()
        self._too_large = too_large

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, Tensor) and self._too_large(tensor):
                raise torch.OutOfMemoryError(f"no room for {list(tensor.shape)}")
        return made


def more_than(elements: int) -> TooLarge:
    return lambda tensor: tensor.numel() > elements


def logits_of_more_than(positions: int) -> TooLarge:
    """Tensors `[n, V]`, of the scene's models; `[H, V]` is their head's weight."""
    return lambda tensor: (
        tensor.ndim == 2
        and tensor.is_floating_point()
        and tensor.shape[1] == VOCABULARY
        and tensor.shape[0] > positions
        and tensor.shape[0] not in HIDDEN
    )


def times(count: int, too_large: TooLarge) -> TooLarge:
    """Refuses so often and no more."""
    left = [count]

    def refuse(tensor: Tensor) -> bool:
        if left[0] == 0 or not too_large(tensor):
            return False
        left[0] -= 1
        return True

    return refuse


@contextmanager
def small_memory(too_large: TooLarge, *operations: str) -> Iterator[None]:
    """Within, the named operations run short of memory."""
    find = ops.find

    def found(op: str) -> ops.Run:
        run = find(op)

        def in_small_memory(*args: Any) -> Any:
            with _FullDevice(too_large):
                return run(*args)

        return in_small_memory if op in operations else run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "find", found)
        yield
