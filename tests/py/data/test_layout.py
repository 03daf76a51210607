import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_worker.data.errors import DataError
from py_worker.data.layout import MicroBatchLimits, lay_out

ROWS = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from(["off", "on", "mixed"])), min_size=1, max_size=40
)
LIMITS = st.builds(
    MicroBatchLimits,
    rows=st.none() | st.integers(1, 12),
    tokens=st.none() | st.integers(1, 200),
    packed=st.booleans(),
    halvings=st.integers(0, 3),
)


def rows_of(lengths: list[int]) -> list[tuple[int, int]]:
    """Rows of a prompt of one token each."""
    return [(1, length - 1) for length in lengths]


def tokens_of(lengths: list[int], packed: bool) -> int:
    return sum(lengths) if packed else len(lengths) * max(lengths)


@given(ROWS, LIMITS)
def test_every_row_is_in_one_micro_batch_that_the_limits_allow(
    rows: list[tuple[int, str]], limits: MicroBatchLimits
) -> None:
    lengths, parts = map(list, zip(*rows, strict=True))
    layout = lay_out(rows_of(lengths), parts, limits)
    assert sorted(itertools.chain(*layout)) == list(range(len(rows)))
    for micro_batch in layout:
        assert micro_batch
        assert limits.rows is None or len(micro_batch) <= limits.rows
        size = tokens_of([lengths[row] for row in micro_batch], limits.packed)
        assert limits.tokens is None or size <= limits.tokens or len(micro_batch) == 1


@given(ROWS, LIMITS)
def test_rows_of_one_part_are_neighbours_in_a_micro_batch_of_several(
    rows: list[tuple[int, str]], limits: MicroBatchLimits
) -> None:
    lengths, parts = map(list, zip(*rows, strict=True))
    layout = lay_out(rows_of(lengths), parts, limits)
    if len(layout) == 1:
        assert layout == [list(range(len(rows)))], "as it came"
        return
    for micro_batch in layout:
        runs = [part for part, _ in itertools.groupby(parts[row] for row in micro_batch)]
        assert len(runs) == len(set(runs))


@given(ROWS, LIMITS)
def test_micro_batches_have_rows_of_like_length_the_longest_first(
    rows: list[tuple[int, str]], limits: MicroBatchLimits
) -> None:
    lengths, parts = map(list, zip(*rows, strict=True))
    layout = lay_out(rows_of(lengths), parts, limits)
    for longer, shorter in itertools.pairwise(layout):
        assert min(lengths[row] for row in longer) >= max(lengths[row] for row in shorter)


@given(ROWS, LIMITS)
def test_no_micro_batch_could_take_the_next_one_s_longest_row(
    rows: list[tuple[int, str]], limits: MicroBatchLimits
) -> None:
    """Micro-batches are as few as cutting a sorted list allows."""
    lengths, parts = map(list, zip(*rows, strict=True))
    whole = MicroBatchLimits(limits.rows, limits.tokens, limits.packed)
    for cut, following in itertools.pairwise(lay_out(rows_of(lengths), parts, whole)):
        grown = [lengths[row] for row in cut] + [max(lengths[row] for row in following)]
        over_rows = whole.rows is not None and len(grown) > whole.rows
        over_tokens = whole.tokens is not None and tokens_of(grown, whole.packed) > whole.tokens
        assert over_rows or over_tokens


def test_ragged_rows_are_padded_less_than_in_the_order_they_came() -> None:
    lengths = [30, 4, 28, 6, 5, 31, 3, 29]
    layout = lay_out(rows_of(lengths), ["on"] * 8, MicroBatchLimits(rows=4))
    assert layout == [[0, 2, 5, 7], [1, 3, 4, 6]]
    padded = sum(tokens_of([lengths[row] for row in rows], False) for rows in layout)
    as_they_came = tokens_of(lengths[:4], False) + tokens_of(lengths[4:], False)
    assert (padded, as_they_came, sum(lengths)) == (148, 244, 136)


def test_each_halving_cuts_every_micro_batch_in_two() -> None:
    lengths = [9, 8, 7, 6, 5, 4, 3]
    layouts = [lay_out(rows_of(lengths), ["on"] * 7, MicroBatchLimits(rows=5, halvings=h)) for h in range(4)]
    assert [[len(rows) for rows in layout] for layout in layouts] == [
        [5, 2],
        [3, 2, 1, 1],
        [2, 1, 1, 1, 1, 1],
        [1] * 7,
    ]
    halved = lay_out(rows_of(lengths), ["on"] * 7, MicroBatchLimits(halvings=1))
    assert halved == [[0, 1, 2, 3], [4, 5, 6]], "one micro-batch as well"


def test_packed_rows_count_their_own_tokens() -> None:
    lengths = [10, 2, 2, 2]
    padded = lay_out(rows_of(lengths), ["on"] * 4, MicroBatchLimits(tokens=16))
    packed = lay_out(rows_of(lengths), ["on"] * 4, MicroBatchLimits(tokens=16, packed=True))
    assert [len(rows) for rows in padded] == [1, 3]
    assert packed == [[0, 1, 2, 3]]


def test_no_rows_have_no_micro_batches() -> None:
    assert lay_out([], [], MicroBatchLimits(rows=3)) == []


@pytest.mark.parametrize(("limits", "words"), [({"rows": 0}, "0 rows"), ({"tokens": -1}, "-1 tokens")])
def test_a_limit_below_one_is_refused(limits: dict[str, int], words: str) -> None:
    with pytest.raises(DataError, match=words):
        lay_out([(1, 0)], ["on"], MicroBatchLimits(**limits))


SIDES = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), min_size=1, max_size=30)


@given(SIDES, LIMITS)
def test_prompts_and_responses_that_are_padded_apart_stay_within_the_limits(
    sides: list[tuple[int, int]], limits: MicroBatchLimits
) -> None:
    layout = lay_out(sides, ["on"] * len(sides), limits, apart=True)
    assert sorted(itertools.chain(*layout)) == list(range(len(sides)))
    for cut in layout:
        rows = [sides[row] for row in cut]
        tokens = sum(map(sum, rows)) if limits.packed else len(rows) * sum(map(max, zip(*rows, strict=True)))
        assert limits.tokens is None or tokens <= limits.tokens or len(rows) == 1
        assert limits.rows is None or len(rows) <= limits.rows


def test_long_prompts_and_long_responses_do_not_share_a_micro_batch_for_an_encoder() -> None:
    sides = [(500, 12), (12, 500)] * 4
    parts, limits = ["on"] * 8, MicroBatchLimits(tokens=4_096)
    assert lay_out(sides, parts, limits) == [list(range(8))]
    apart = lay_out(sides, parts, limits, apart=True)
    assert [len(rows) for rows in apart] == [4, 4]
    assert apart[0] == [0, 2, 4, 6], "long prompts first"
