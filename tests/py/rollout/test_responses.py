"""Responses, cut at their EOS."""

import numpy as np

from py_worker.rollout.responses import collect


def test_rows_are_cut_after_their_first_eos_of_any_kind() -> None:
    tokens = np.array([[4, 2, 9, 2], [4, 5, 6, 7], [7, 7, 7, 3], [3, 0, 0, 0]])
    log_probs = np.arange(16, dtype=np.float32).reshape(4, 4)
    responses = collect(tokens, log_probs, (2, 3), decoded_rows=11)
    assert [row.tolist() for row in responses.tokens] == [[4, 2], [4, 5, 6, 7], [7, 7, 7, 3], [3]]
    assert responses.ended == [True, False, True, True]
    assert [row.tolist() for row in responses.log_probs] == [[0, 1], [4, 5, 6, 7], [8, 9, 10, 11], [12]]
    assert (responses.token_count, responses.decoded_rows) == (11, 11)
    assert responses.tokens[0].base is None, "a view would keep the whole matrix alive"
