"""Which rows of an optimizer step go through the models together: its micro-batches."""

from collections.abc import Sequence
from dataclasses import dataclass

from py_worker.data.errors import DataError


@dataclass(frozen=True)
class MicroBatchLimits:
    """What one micro-batch may hold; a row that is over it alone has one to itself.

    Attributes:
        rows: most rows; None is no limit.
        tokens: most tokens, padding included (rows times the longest row, or times the longest prompt and the
            longest response); None is no limit.
        packed: rows are laid end to end, so that tokens are their own and there is no padding.
        halvings: how often each micro-batch is cut in two after that.
    """

    rows: int | None = None
    tokens: int | None = None
    packed: bool = False
    halvings: int = 0

    def allow(self, rows: int, longest: int, total: int) -> bool:
        """Whether so many rows, padded to `longest`, go through the models together; `total` is unpadded."""
        tokens = total if self.packed else rows * longest
        return (self.rows is None or rows <= self.rows) and (self.tokens is None or tokens <= self.tokens)


Sides = tuple[int, ...]
"""Tokens of a row by what is padded together: all of it, or its prompt and its response."""


def lay_out(
    lengths: Sequence[tuple[int, int]],
    parts: Sequence[str],
    limits: MicroBatchLimits,
    *,
    apart: bool = False,
) -> list[list[int]]:
    """Micro-batches as lists of rows, each row once.

    One micro-batch keeps the order of the rows. Of several, each has rows of like length (of like prompts
    first, where these are padded apart), which pads little, and in it those of one part are neighbours. The
    longest rows come first: what does not fit into memory fails at once, and a caching allocator's first
    blocks serve all that follow.

    Args:
        lengths: tokens of each row's prompt and of its response.
        parts: part of each row.
        limits: of a micro-batch.
        apart: prompts and responses are padded apart, for an encoder.

    Raises:
        DataError: a limit is less than 1.
    """
    for name, limit in (("rows", limits.rows), ("tokens", limits.tokens)):
        if limit is not None and limit < 1:
            raise DataError(f"micro-batches of at most {limit} {name}: a limit must be at least 1")
    rows = list(range(len(lengths)))
    if not rows:
        return []
    sides: list[Sides] = [row if apart else (sum(row),) for row in lengths]
    if limits.halvings == 0 and limits.allow(len(rows), sum(_widest(sides)), sum(map(sum, lengths))):
        return [rows]
    cuts = _cut(sorted(rows, key=lambda row: [-side for side in sides[row]]), sides, limits)
    for _ in range(limits.halvings):
        cuts = [half for cut in cuts for half in halves(cut)]
    first_seen = {part: rank for rank, part in reversed(list(enumerate(parts)))}
    return [sorted(cut, key=lambda row: (first_seen[parts[row]], row)) for cut in cuts]


def _widest(sides: Sequence[Sides]) -> Sides:
    return tuple(map(max, zip(*sides, strict=True)))


def _cut(rows: Sequence[int], sides: Sequence[Sides], limits: MicroBatchLimits) -> list[list[int]]:
    """Consecutive runs of rows that come longest first, each run as long as the limits allow."""
    cuts: list[list[int]] = []
    widest, total = sides[rows[0]], 0
    for row in rows:
        grown, total = _widest([widest, sides[row]]), total + sum(sides[row])
        if not cuts or not limits.allow(len(cuts[-1]) + 1, sum(grown), total):
            cuts.append([])
            grown, total = sides[row], sum(sides[row])
        cuts[-1].append(row)
        widest = grown
    return cuts


def halves(rows: list[int]) -> list[list[int]]:
    """Two lists of rows, the first no shorter; one row stays as it is."""
    middle = (len(rows) + 1) // 2
    return [half for half in (rows[:middle], rows[middle:]) if half]
