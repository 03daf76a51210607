import torch

from py_worker.data.batch import collate
from py_worker.data.packing import pack
from tests.py.rows import rows_of

ROWS = rows_of([[5, 6, 7, 8, 2], [5, 9], [4, 4, 4]], [2, 1, 3])


def test_rows_lie_end_to_end() -> None:
    rows = pack(collate(ROWS, pad_id=99, device="cpu"))
    assert rows.tokens.tolist() == [[5, 6, 7, 8, 2, 5, 9, 4, 4, 4]]
    assert rows.position_ids.tolist() == [[0, 1, 2, 3, 4, 0, 1, 0, 1, 2]]
    assert rows.row.tolist() == [[0, 0, 0, 0, 0, 1, 1, 2, 2, 2]]
    assert rows.starts.tolist() == [0, 5, 7, 10]
    assert rows.longest == 5


def test_response_positions_point_at_the_token_before() -> None:
    batch = collate(ROWS, pad_id=99, device="cpu")
    rows = pack(batch)
    assert rows.response.tolist() == [1, 2, 3, 5]
    assert torch.equal(rows.tokens[0, rows.response + 1], batch.positions().target)


def test_a_packed_batch_has_no_padding() -> None:
    batch = collate(ROWS, pad_id=99, device="cpu", micro_rows=[2, 1], packed=True)
    assert (batch.padded_tokens, batch.padding) == (10, 0.0)
    assert all(micro.packed for micro in batch.micro_batches())
    halved = batch.halved()
    assert halved is not None and halved.packed
