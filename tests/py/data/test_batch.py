import dataclasses

import numpy as np
import pytest
import torch

from py_worker.data.batch import TokenBatch, collate
from py_worker.data.errors import DataError
from py_worker.data.row import Row
from tests.py.rows import rows_of

EOS = 2
ROWS = [[5, 6, 7, 8, EOS], [5, 9], [4, 4, 4, 6, 7, 8], [3, EOS]]
PROMPTS = [2, 1, 3, 1]  # row 2 was cut at the limit: it ends without EOS


def ragged(pad_id: int = EOS) -> TokenBatch:
    return collate(
        rows_of(ROWS, PROMPTS, ["off", "off", "on", "on"], [10, 11, 12, 13]), pad_id=pad_id, device="cpu"
    )


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
    positions = collate(rows_of([[1, 2], [1, 3]], [2, 1]), pad_id=0, device="cpu").positions()
    assert positions.counts == (0, 1)
    assert positions.row.tolist() == [1]


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 2), (1, 3), (3, 1)])
def test_micro_batches_cover_every_row_once_and_keep_targets(sizes: tuple[int, ...]) -> None:
    batch = dataclasses.replace(ragged(), micro_rows=sizes)
    parts = batch.micro_batches()
    assert [len(part) for part in parts] == list(sizes)
    assert [row for part in parts for row in part.sample_ids] == list(batch.sample_ids)
    assert [name for part in parts for name in part.parts] == list(batch.parts)
    assert all(part.tokens.shape[1] == max(part.lengths) for part in parts)
    targets = torch.cat([part.positions().target for part in parts])
    assert torch.equal(targets, batch.positions().target)
    assert batch.padded_tokens == sum(part.tokens.numel() for part in parts)
    assert batch.padding == pytest.approx(1 - sum(map(len, ROWS)) / batch.padded_tokens)


def test_padding_where_an_encoder_reads_prompts() -> None:
    batch = collate(rows_of([[1] * 9, [1] * 6], [7, 1]), pad_id=0, device="cpu", apart=True)
    assert (batch.padded_tokens, batch.padding) == (2 * (7 + 5), pytest.approx(1 - 15 / 24))
    (first, second) = dataclasses.replace(batch, micro_rows=(1, 1)).micro_batches()
    assert (first.padded_tokens, second.padded_tokens) == (9, 6)


def test_a_batch_is_one_micro_batch_unless_it_says_otherwise() -> None:
    batch = ragged()
    assert batch.micro_batches() == [batch]
    assert batch.padded_tokens == batch.tokens.numel()


def test_halving_cuts_each_micro_batch_in_two() -> None:
    batch = collate(rows_of([[1, 2]] * 7, [1] * 7), pad_id=0, device="cpu", micro_rows=[5, 1, 1])
    sizes = []
    halved: TokenBatch | None = batch
    while halved is not None:
        sizes.append(halved.micro_rows)
        halved = halved.halved()
    assert sizes == [(5, 1, 1), (3, 2, 1, 1), (2, 1, 1, 1, 1, 1), (1,) * 7]
    assert ragged().halved().micro_rows == (2, 2)  # type: ignore[union-attr]


def test_a_batch_has_rows() -> None:
    with pytest.raises(DataError, match="no rows") as caught:
        collate([], pad_id=0, device="cpu")
    assert caught.value.code == "data_error"


def test_log_probabilities_follow_their_rows() -> None:
    drawn = [None, None, np.array([-1, -2, -3], np.float32), np.array([-4], np.float32)]
    batch = collate(rows_of(ROWS, PROMPTS, log_probs=drawn), pad_id=EOS, device="cpu")
    log_prob = batch.positions().log_prob
    assert log_prob is not None
    assert log_prob.dtype == torch.float32
    assert log_prob.isnan().tolist() == [True] * 4 + [False] * 4
    assert log_prob[4:].tolist() == [-1, -2, -3, -4]
    cut = dataclasses.replace(batch, micro_rows=(3, 1))
    pieces = [piece.positions().log_prob for piece in cut.micro_batches()]
    torch.testing.assert_close(torch.cat(pieces), log_prob, equal_nan=True)  # type: ignore[arg-type]


def test_a_batch_of_data_alone_has_no_log_probabilities() -> None:
    assert ragged().positions().log_prob is None
    assert ragged().log_probs is None
    wide = collate([Row([1], [2], 0, "on", log_probs=np.array([-0.1]))], pad_id=0, device="cpu")
    assert wide.positions().log_prob.dtype == torch.float64  # type: ignore[union-attr]


@pytest.mark.parametrize("sizes", [[3], [2, 3], [4, 0]])
def test_micro_batches_must_have_all_rows(sizes: list[int]) -> None:
    with pytest.raises(DataError, match="for 4 rows"):
        collate(rows_of(ROWS, PROMPTS), pad_id=EOS, device="cpu", micro_rows=sizes)
