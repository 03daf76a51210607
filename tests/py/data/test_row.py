"""Rows that cannot be."""

import numpy as np
import pytest

from py_worker.data.errors import DataError
from py_worker.data.row import Row


def test_a_row_has_a_prompt() -> None:
    with pytest.raises(DataError, match="sample 7 has an empty prompt") as caught:
        Row([], [1, 2], 7, "on")
    assert caught.value.code == "data_error"
    assert len(Row([1], [], 7, "on")) == 1, "a row without a response is one that nothing is learned from"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_log_probabilities_are_one_per_response_token(count: int) -> None:
    with pytest.raises(DataError, match=f"sample 7 has {count} log-probabilities and 2 response tokens"):
        Row(np.array([1]), np.array([2, 3]), 7, "on", log_probs=np.zeros(count, np.float32))
