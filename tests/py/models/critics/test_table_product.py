import pytest
import torch
from torch.autograd import grad

from py_worker.models.critics.table_product import table_product

ROWS, TOKENS, SIZE = 5, 4096, 16


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def table() -> torch.Tensor:
    return drawn(TOKENS, SIZE, seed=1).half()


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found.detach().double() - exact.detach()).norm() / exact.detach().norm())


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1.0, 1e6])
def test_float16_keeps_its_precision_at_any_size(table, size):
    """Alone, such numbers were 0 or infinite in float16."""
    rows = (drawn(ROWS, SIZE, seed=2) * size).requires_grad_()
    weights = (drawn(ROWS, TOKENS, seed=3) * size).requires_grad_()
    values = table_product(rows, table)
    assert values.dtype == torch.float32
    assert error(values, rows.double() @ table.double().t()) < 1e-3

    (first,) = grad(values, rows, weights, create_graph=True)
    assert error(first, weights.double() @ table.double()) < 1e-3

    (second,) = grad(first, weights, rows)
    assert error(second, rows.double() @ table.double().t()) < 1e-3


def test_rows_do_not_share_a_scale(table):
    rows = drawn(ROWS, SIZE, seed=2) * 10.0 ** torch.arange(-8, 2, 2)[:, None]
    exact = rows.double() @ table.double().t()
    assert all(error(*pair) < 1e-3 for pair in zip(table_product(rows, table), exact, strict=True))


def test_nothing_gives_nothing(table):
    rows = torch.zeros(1, SIZE, requires_grad=True)
    values = table_product(rows, table)
    (gradient,) = grad(values, rows, torch.zeros(1, TOKENS))
    assert not values.any()
    assert not gradient.any()


def test_equal_elements_of_a_large_vocabulary_neither_vanish_nor_overflow():
    table = torch.full((250_000, 2), 200.0, dtype=torch.float16)
    rows = torch.ones(1, 2, requires_grad=True)
    (gradient,) = grad(table_product(rows, table), rows, torch.full((1, 250_000), 1e-7))
    assert gradient.tolist() == [[pytest.approx(5.0, rel=2e-3)] * 2]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_other_tables_multiply_as_they_are(table, dtype):
    rows = drawn(ROWS, SIZE, seed=2)
    assert torch.equal(table_product(rows, table.to(dtype)), (rows.to(dtype) @ table.to(dtype).t()).float())
