"""A watch that fails where the host reads a tensor's value, which waits for an accelerator."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from py_worker import ops

OPERATORS = (
    "_local_scalar_dense",
    "allclose",
    "equal",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "_unique2",
)
METHODS = ("cpu", "tolist", "numpy", "__array__")
"""Of tensors that live on the host already these are no operators, so a dispatch mode does not see them."""


class _WatchedOperators(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in OPERATORS, f"{name} reads a value back"
        if name in ("index", "index_put", "index_put_"):
            masks = [index for index in args[1] if index is not None and index.dtype == torch.bool]
            assert not masks, f"{name} with a mask reads a value back"
        return func(*args, **(kwargs or {}))


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError(f"{name} reads a value back")

    return refuse


@contextmanager
def no_read_back() -> Iterator[None]:
    """Raises AssertionError where a value is read."""
    with pytest.MonkeyPatch.context() as patch:
        for name in METHODS:
            patch.setattr(Tensor, name, _refusing(name))
        with _WatchedOperators():
            yield


STEP_OPERATIONS: Final = ("build", "score", "step_critic", "step_student", "end_step")


def watch_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the operations of a step, after the rollout, under the watch."""
    find = ops.find

    def watched(op: str) -> ops.Run:
        run = find(op)
        if op not in STEP_OPERATIONS:
            return run

        def under_watch(*args: Any) -> Any:
            with no_read_back():
                return run(*args)

        return under_watch

    monkeypatch.setattr(ops, "find", watched)
