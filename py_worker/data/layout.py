"""Which rows of an optimizer step go through the models together: its micro-batches."""

from collections.abc import Sequence
from dataclasses import dataclass

from py_worker.data.errors import DataError


@dataclass(frozen=True)
class MicroBatchLimits:
    """What one micro-batch may hold; a row that is over it alone has one to itself.

    Attributes:
        rows: most rows; None is no limit.
        tokens: most tokens, padding included (rows times the longest row); None is no limit.
        packed: rows are laid end to end, so that tokens are their own and there is no padding.
        halvings: how often each micro-batch is cut in two after that.
    """

    rows: int | None = None
    tokens: int | None = None
    packed: bool = False
    halvings: int = 0

    def allow(self, rows: int, longest: int, total: int) -> bool:
        """Whether so many rows, of so many tokens in all, go through the models together."""
        tokens = total if self.packed else rows * longest
        return (self.rows is None or rows <= self.rows) and (self.tokens is None or tokens <= self.tokens)


def lay_out(lengths: Sequence[int], parts: Sequence[str], limits: MicroBatchLimits) -> list[list[int]]:
    """Micro-batches as lists of rows, each row once.

    One micro-batch keeps the order of the rows. Of several, each has rows of like length, which pads least,
    and in it those of one part are neighbours. The longest rows come first: what does not fit into memory
    fails at once, and a caching allocator's first blocks serve all that follow.

    Args:
        lengths: tokens of each row.
        parts: part of each row.
        limits: of a micro-batch.

    Raises:
        DataError: a limit is less than 1.
    """
    for name, limit in (("rows", limits.rows), ("tokens", limits.tokens)):
        if limit is not None and limit < 1:
            raise DataError(f"micro-batches of at most {limit} {name}: a limit must be at least 1")
    rows = list(range(len(lengths)))
    if not rows:
        return []
    if limits.halvings == 0 and limits.allow(len(rows), max(lengths), sum(lengths)):
        return [rows]
    cuts = _cut(sorted(rows, key=lambda row: -lengths[row]), lengths, limits)
    for _ in range(limits.halvings):
        cuts = [half for cut in cuts for half in halves(cut)]
    first_seen = {part: rank for rank, part in reversed(list(enumerate(parts)))}
    return [sorted(cut, key=lambda row: (first_seen[parts[row]], row)) for cut in cuts]


def _cut(rows: Sequence[int], lengths: Sequence[int], limits: MicroBatchLimits) -> list[list[int]]:
    """Consecutive runs of rows that come longest first, each run as long as the limits allow."""
    cuts: list[list[int]] = []
    total = 0
    for row in rows:
        total += lengths[row]
        if not cuts or not limits.allow(len(cuts[-1]) + 1, lengths[cuts[-1][0]], total):
            cuts.append([])
            total = lengths[row]
        cuts[-1].append(row)
    return cuts


def halves(rows: list[int]) -> list[list[int]]:
    """Two lists of rows, the first no shorter; one row stays as it is."""
    middle = (len(rows) + 1) // 2
    return [half for half in (rows[:middle], rows[middle:]) if half]
