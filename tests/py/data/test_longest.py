"""The longest rows of a dataset."""

import numpy as np
import pytest

from py_worker.data.longest import longest_rows

LENGTHS = np.array([[5, 2], [1, 9], [7, 7], [9, 1], [6, 0]])


@pytest.mark.parametrize(
    "count, drawn, expected",
    [
        (1, None, [(7, 7)]),
        (3, None, [(7, 7), (1, 9), (9, 1)]),
        (2, 4, [(9, 4), (7, 4)]),
        (7, None, [(7, 7), (1, 9), (9, 1), (5, 2), (6, 0), (7, 7), (1, 9)]),
    ],
)
def test_longest_in_all_first(count, drawn, expected):
    assert longest_rows(LENGTHS, count, drawn) == expected


def test_longest_prompts_meet_longest_responses_where_they_are_padded_apart():
    assert longest_rows(LENGTHS, 2, apart=True) == [(9, 9), (7, 7)]
    assert longest_rows(LENGTHS, 2, 4, apart=True) == [(9, 4), (7, 4)]
    assert longest_rows(LENGTHS, 6, apart=True)[-1] == (9, 9)


def test_an_empty_dataset_has_none():
    assert longest_rows(np.empty((0, 2), dtype=np.int64), 3) == []
