"""Which prompt sits in which slot of the cache, and when; bookkeeping on the host, apart from all arithmetic.

Active slots are always the first ones, so a decode step works on a prefix of every buffer. A finished row
leaves at once: the last rows move into the holes. Prompts that found no slot wait and refill the free ones
(continuous batching). Nothing here depends on timing, so a rollout is computed in the same way every time.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Admission:
    """Prompts that enter slots `first`, `first + 1`, ... with one prefill."""

    first: int
    requests: tuple[int, ...]


@dataclass(frozen=True)
class Moves:
    """Rows to copy, slot `source[i]` to slot `target[i]`; no slot is both."""

    source: tuple[int, ...]
    target: tuple[int, ...]


class SlotScheduler:
    """Slots for requests that all may draw the same number of tokens.

    The clock counts decode steps. A row admitted at clock `b` that begins with `p` columns has, at clock `c`,
    drawn `c - b + 1` tokens and filled `p + c - b` columns; so a step costs no bookkeeping per row.
    """

    def __init__(
        self,
        prompt_lengths: Sequence[int],
        opening: Sequence[int] | None = None,
        *,
        max_new_tokens: int,
        slots: int,
        prefill_tokens: int,
    ) -> None:
        """
        Args:
            prompt_lengths: of each request.
            opening: columns that each begins with; by default its prompt's.
            max_new_tokens: tokens drawn per request at most.
            slots: rows the cache holds.
            prefill_tokens: padded prompt tokens of one admission at most (one prompt always goes).
        """
        self._prompt_lengths = tuple(prompt_lengths)
        self._opening = self._prompt_lengths if opening is None else tuple(opening)
        self._life = max_new_tokens - 1
        self._slots = slots
        self._prefill_tokens = prefill_tokens
        # Longest last: taken from the end, neighbours of similar length share a prefill and little is
        # padding.
        self._waiting = sorted(range(len(prompt_lengths)), key=lambda r: (prompt_lengths[r], -r))
        self._active: list[int] = []
        self._born: list[int] = []
        # Of the active rows: most columns to begin with minus birth, and the earliest birth.
        self._reach = self._oldest = 0
        self._clock = 0

    @property
    def active(self) -> int:
        """Rows at work: slots 0 to `active - 1`."""
        return len(self._active)

    def admit(self) -> Admission | None:
        """The next prompts to prefill, or None.

        Free slots are refilled an eighth of all at a time: a prefill has a fixed cost, a free slot a small
        one.
        """
        free = self._slots - self.active
        if not self._waiting or free < min(len(self._waiting), max(1, self._slots // 8)):
            return None
        longest = self._prompt_lengths[self._waiting[-1]]
        count = min(free, len(self._waiting), max(1, self._prefill_tokens // longest))
        requests = tuple(self._waiting[: -count - 1 : -1])
        del self._waiting[-count:]
        admission = Admission(self.active, requests)
        self._active.extend(requests)
        self._born.extend([self._clock] * count)
        self._measure()
        return admission

    def step(self) -> int:
        """Advances every active row by one token and returns the longest cached length after it."""
        self._clock += 1
        return self._reach + self._clock

    def exhausted(self) -> bool:
        """Whether some row has drawn all the tokens it may."""
        return self.active > 0 and self._clock - self._oldest >= self._life

    def retire(self, ended: Sequence[bool]) -> Moves:
        """Frees the slots of rows that ended or have drawn all they may.

        Args:
            ended: per active slot, whether the row has drawn EOS.

        Returns:
            Rows to copy so that the survivors are the first slots.
        """
        done = [e or self._clock - b >= self._life for e, b in zip(ended, self._born, strict=True)]
        left = done.count(False)
        holes = [slot for slot in range(left) if done[slot]]
        movers = [slot for slot in range(left, len(done)) if not done[slot]]
        for source, target in zip(movers, holes, strict=True):
            self._active[target] = self._active[source]
            self._born[target] = self._born[source]
        del self._active[left:], self._born[left:]
        self._measure()
        return Moves(tuple(movers), tuple(holes))

    def _measure(self) -> None:
        """Once per change, so that a step looks at no row."""
        if self._active:
            pairs = zip(self._active, self._born, strict=True)
            self._reach = max(self._opening[request] - born for request, born in pairs)
            self._oldest = min(self._born)
