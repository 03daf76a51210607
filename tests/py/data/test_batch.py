import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from py_worker.data.batch import TokenBatch, collate
from py_worker.data.errors import DataError

EOS = 2
ROWS = [[5, 6, 7, 8, EOS], [5, 9], [4, 4, 4, 6, 7, 8], [3, EOS]]
PROMPTS = [2, 1, 3, 1]  # row 2 was cut at the limit: it ends without EOS


def ragged(pad_id: int = EOS) -> TokenBatch:
    return collate(ROWS, PROMPTS, ["off", "off", "on", "on"], [10, 11, 12, 13], pad_id, "cpu")


def test_pads_on_the_right_only() -> None:
    batch = ragged(pad_id=99)
    assert batch.tokens.shape == (4, 6)
    assert batch.tokens.dtype == torch.int64
    for row, tokens in zip(batch.tokens.tolist(), ROWS, strict=True):
        assert row == tokens + [99] * (6 - len(tokens))
    assert batch.lengths == (5, 2, 6, 2)


def test_positions_are_those_that_predict_response_tokens() -> None:
    positions = ragged().positions()
    assert positions.row.tolist() == [0, 0, 0, 1, 2, 2, 2, 3]
    assert positions.time.tolist() == [1, 2, 3, 0, 2, 3, 4, 0]
    assert positions.target.tolist() == [7, 8, EOS, 9, 6, 7, 8, EOS]
    assert positions.step.tolist() == [0, 1, 2, 0, 0, 1, 2, 0]
    assert positions.counts == (3, 1, 3, 1)


def test_eos_is_learned_where_pad_equals_it_and_only_where_the_response_ended() -> None:
    positions = ragged(pad_id=EOS).positions()
    rows_with_eos = {
        row for row, t in zip(positions.row.tolist(), positions.target.tolist(), strict=True) if t == EOS
    }
    assert rows_with_eos == {0, 3}
    assert positions.target.tolist() == ragged(pad_id=77).positions().target.tolist()


def test_empty_response_has_no_position() -> None:
    positions = collate([[1, 2], [1, 3]], [2, 1], ["off"] * 2, [0, 1], 0, "cpu").positions()
    assert positions.counts == (0, 1)
    assert positions.row.tolist() == [1]


def test_select_keeps_order_and_trims() -> None:
    part = ragged().select([3, 1])
    assert part.tokens.tolist() == [[3, EOS], [5, 9]]
    assert part.sample_ids == (13, 11)
    assert part.parts == ("on", "off")
    assert part.prompt_lengths == (1, 1)


@given(st.integers(min_value=1, max_value=6))
def test_split_covers_every_row_once_and_keeps_targets(micro_batch: int) -> None:
    batch = ragged()
    parts = batch.split(micro_batch)
    assert [row for part in parts for row in part.sample_ids] == list(batch.sample_ids)
    assert all(part.tokens.shape[1] == max(part.lengths) for part in parts)
    targets = torch.cat([part.positions().target for part in parts])
    assert torch.equal(targets, batch.positions().target)


@pytest.mark.parametrize(
    ("rows", "prompts", "message"),
    [
        ([], [], "at least 1"),
        ([[1]], [1, 2], "counts must agree"),
        ([[1, 2]], [0], "sample 0 has a prompt of 0 tokens"),
        ([[1, 2]], [3], "sample 0 has a prompt of 3 tokens in a row of 2"),
    ],
)
def test_collate_refuses_impossible_rows(rows: list[list[int]], prompts: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        collate(rows, prompts, ["off"] * len(rows), list(range(len(rows))), 0, "cpu")
    assert caught.value.code == "data_error"


def test_log_probabilities_follow_their_rows() -> None:
    drawn = [None, None, np.array([-1, -2, -3], np.float32), np.array([-4], np.float32)]
    batch = collate(ROWS, PROMPTS, ["off"] * 4, list(range(4)), EOS, "cpu", drawn)
    log_prob = batch.positions().log_prob
    assert log_prob is not None
    assert log_prob.dtype == torch.float32
    assert log_prob.isnan().tolist() == [True] * 4 + [False] * 4
    assert log_prob[4:].tolist() == [-1, -2, -3, -4]
    assert batch.select([3, 2]).positions().log_prob.tolist() == [-4, -1, -2, -3]  # type: ignore[union-attr]
    pieces = [piece.positions().log_prob for piece in batch.split(3)]
    torch.testing.assert_close(torch.cat(pieces), log_prob, equal_nan=True)  # type: ignore[arg-type]


def test_a_batch_of_data_alone_has_no_log_probabilities() -> None:
    assert ragged().positions().log_prob is None
    batch = collate(ROWS, PROMPTS, ["off"] * 4, list(range(4)), EOS, "cpu", [None] * 4)
    assert batch.log_probs is None
    wide = collate([[1, 2]], [1], ["on"], [0], 0, "cpu", [np.array([-0.1])])
    assert wide.positions().log_prob.dtype == torch.float64  # type: ignore[union-attr]


def test_log_probabilities_must_be_one_per_token() -> None:
    arguments = ([[1, 2, 3]], [1], ["on"], [7], 0, "cpu")
    with pytest.raises(DataError, match="sample 7 has 1 log-probabilities and 2 response tokens"):
        collate(*arguments, [np.zeros(1, np.float32)])
    with pytest.raises(DataError, match="log-probabilities of 0 rows for 1 rows"):
        collate(*arguments, [])


def test_select_and_split_refuse_what_is_outside() -> None:
    batch = ragged()
    with pytest.raises(DataError, match="rows \\[4\\] of a batch of 4"):
        batch.select([0, 4])
    with pytest.raises(DataError, match="of a batch of 4"):
        batch.select([])
    with pytest.raises(DataError, match="micro_batch is 0"):
        batch.split(0)
