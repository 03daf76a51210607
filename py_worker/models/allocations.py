"""What tensor operations allocate, counted exactly: on any device, and on fake tensors too.

While `fake_tensors` is entered, it replaces a method of torch, `Tensor.pin_memory`, for all threads: torch
has no fake of pinned memory (2.11 and 2.13 were tried).
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MemoryItem = Literal[
    "teacher",
    "student",
    "optimizer",
    "critics",
    "rollouts",
    "gradients",
    "critic_gradients",
    "update",
    "hidden_states",
    "logits",
    "activations",
    "kv_cache",
    "arranged_weights",
    "second_student",
    "checkpoint",
    "overhead",
]
"""What memory is for; in a forecast remedies go by these names."""
Sizes = Mapping[MemoryItem, int]
"""Bytes by item."""
Labels = Callable[[Tensor], MemoryItem]
"""What a new tensor is for."""


def held_bytes(tensors: Iterable[Tensor], device: torch.device, excluding: Iterable[Tensor] = ()) -> int:
    """Bytes of the storages that tensors have on a device, each counted once, without `excluding`'s."""
    other = {tensor.untyped_storage()._cdata for tensor in excluding}
    storages = (tensor.untyped_storage() for tensor in tensors if tensor.device == device)
    return sum({s._cdata: s.nbytes() for s in storages if s._cdata not in other}.values())


@contextmanager
def fake_tensors(tensors: Iterable[Tensor]) -> Iterator[Sequence[Tensor]]:
    """Within, operations have shapes and no numbers; gives the stand-ins of these tensors.

    What is there is not touched, nor is any random state.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    stand_ins = [mode.from_tensor(tensor) for tensor in tensors]
    # A batch's indices are pinned on their way to a GPU.
    pin_memory = Tensor.pin_memory
    setattr(Tensor, "pin_memory", lambda tensor: tensor)  # noqa: B010 (mypy knows no other way)
    try:
        with mode:
            yield stand_ins
    finally:
        setattr(Tensor, "pin_memory", pin_memory)  # noqa: B010


class AllocationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows every storage that operations make, from its first sight to its end.

    Storages that are there before, and views of them, do not count. Not seen is what a kernel takes within
    itself and gives back, and what a layout of its own keeps without a storage (oneDNN's).

    Attributes:
        live: bytes alive now, by label.
        peak: `live` when its sum was largest, within the present phase.

    Args:
        label: called once for each new storage.
        known: tensors that are there before, in a form that operations may return views of.
    """

    def __init__(self, label: Labels, known: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live: Counter[MemoryItem] = Counter()
        self.peak: Counter[MemoryItem] = Counter()
        self._label = label
        self._largest = self._total = 0
        self._seen: dict[int, weakref.ref[Any]] = {}
        for tensor in known:
            self._follow(tensor, None)

    @contextmanager
    def phase(self) -> Iterator[None]:
        """Within, and after it until the next, `peak` is that of this phase alone."""
        self.peak, self._largest = Counter(self.live), self._total
        yield

    def __torch_dispatch__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        for given in tree_leaves((args, kwargs)):
            if isinstance(given, Tensor):
                self._follow(given, None)
        result = func(*args, **(kwargs or {}))
        for made in tree_leaves(result):
            if isinstance(made, Tensor):
                self._follow(made, self._label)
        if self._total > self._largest:
            self._largest, self.peak = self._total, Counter(self.live)
        return result

    def _follow(self, tensor: Tensor, label: Labels | None) -> None:
        """Without a label the storage was there before and costs nothing."""
        if tensor.layout != torch.strided:
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._seen:
            return
        item, size = None if label is None else label(tensor), storage.nbytes()

        def gone(_: object) -> None:
            self._seen.pop(key, None)
            self._add(item, -size)

        self._seen[key] = weakref.ref(storage, gone)
        self._add(item, size)

    def _add(self, item: MemoryItem | None, size: int) -> None:
        if item is not None and size:
            self.live[item] += size
            self._total += size
