"""CUDA graphs: operations that are recorded without effect, and repeated on the same memory."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

_WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "is_nonzero")
"""They need a number on the host, so the stream would have to be waited for."""

_thread = threading.local()


class CUDAGraph:
    """What one capture saw."""

    def __init__(self) -> None:
        self._operations: list[tuple[Callable[..., Any], Any, Any, list[Tensor]]] = []
        self._before: list[tuple[Tensor, Tensor]] = []

    def pool(self) -> tuple[int, int]:
        return (0, 1)

    def record(self, run: Callable[..., Any], func: Any, args: Any, kwargs: Any) -> Any:
        """Runs an operation for the shape of its results, and keeps it.

        Args:
            run: what computes it on the CPU.
            func: torch's operation.
            args: of the CPU, as `kwargs`.

        Raises:
            RuntimeError: it cannot be part of a graph.
        """
        name = func.overloadpacket.__name__
        if name in _WAITING:
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({name})")
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        self._before += [(tensor, tensor.clone()) for tensor in given if func._schema.is_mutable]
        result = run(*args, **kwargs)
        known = {tensor.untyped_storage()._cdata for tensor in given}
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        new = [tensor for tensor in made if tensor.untyped_storage()._cdata not in known]
        self._operations.append((run, args, kwargs, new))
        return result

    def forget(self) -> None:
        """Undoes what the recorded operations have written."""
        for tensor, before in reversed(self._before):
            tensor.copy_(before)
        self._before.clear()

    def replay(self) -> None:
        """Runs all of it; results come to where they were at the capture."""
        for run, args, kwargs, new in self._operations:
            result = run(*args, **kwargs)
            made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)] if new else []
            for tensor, fresh in zip(new, made, strict=True):
                tensor.copy_(fresh)


def capturing() -> CUDAGraph | None:
    """The graph that this thread records, if any."""
    return getattr(_thread, "graph", None)


@contextlib.contextmanager
def graph(recorded: CUDAGraph, pool: Any = None, capture_error_mode: str = "global") -> Iterator[None]:
    """As `torch.cuda.graph`."""
    assert pool is None or pool == recorded.pool()
    assert capture_error_mode in ("global", "thread_local", "relaxed")
    _thread.graph = recorded
    try:
        yield
    finally:
        _thread.graph = None
        with torch.no_grad():
            recorded.forget()
