"""Bytes that a caching allocator would hand out for the tensors that are alive."""

import threading
from typing import Any

_GRAIN = 512
"""CUDA's caching allocator rounds every block up to a multiple of this."""


class Memory:
    """Counts each storage once, from its first tensor to the end of its last."""

    def __init__(self) -> None:
        self.allocated = self.peak = 0
        self._blocks: dict[int, tuple[int, int]] = {}
        # Tensors end in any thread, and in the middle of a count too.
        self._lock = threading.RLock()

    def block(self, storage: Any) -> "Block":
        """One tensor's hold on a storage."""
        key, rounded = storage._cdata, -(-storage.nbytes() // _GRAIN) * _GRAIN
        with self._lock:
            holders, size = self._blocks.get(key, (0, rounded))
            self._blocks[key] = (holders + 1, size)
            if holders == 0:
                self.allocated += size
                self.peak = max(self.peak, self.allocated)
        return Block(self, key)

    def release(self, key: int) -> None:
        """Ends one hold."""
        with self._lock:
            holders, size = self._blocks[key]
            if holders > 1:
                self._blocks[key] = (holders - 1, size)
                return
            del self._blocks[key]
            self.allocated -= size

    def reset_peak(self) -> None:
        """The peak starts again from what is allocated."""
        self.peak = self.allocated


class Block:
    """Lives as long as its tensor."""

    def __init__(self, memory: Memory, key: int) -> None:
        self._memory, self._key = memory, key

    def __del__(self) -> None:
        self._memory.release(self._key)
