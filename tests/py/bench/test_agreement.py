"""What is compared of two generations, and what is taken for more than rounding."""

import numpy as np
import pytest

from py_worker.rollout.responses import Responses
from tests.bench.agreement import common_part, decodes_well, decoding_error


def drawn(*rows: tuple[list[int], list[float]]) -> Responses:
    tokens = [np.array(row, dtype=np.int32) for row, _ in rows]
    return Responses(tokens, [True] * len(rows), [np.array(each, dtype=np.float32) for _, each in rows], 0)


def test_rows_are_compared_until_they_part() -> None:
    wanted = drawn(([1, 2, 3, 4], [-1.0, -1.0, -1.0, -1.0]), ([5, 6], [-2.0, -2.0]))
    assert common_part(wanted, wanted) == (1.0, 0.0)
    found = drawn(([1, 2, 9], [-1.0, -1.5, -7.0]), ([5, 6], [-2.0, -2.0]))
    share, error = common_part(found, wanted)
    assert share == 4 / 6
    assert error == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("share", "error", "dtype", "well"),
    [
        (0.9, 1e-6, "float32", True),
        (0.9, 1e-3, "float32", False),
        (0.1, 1e-6, "float32", False),
        (0.06, 9e-3, "bfloat16", True),
        (0.9, 6e-2, "bfloat16", False),
        (1.0, float("nan"), "float32", False),
    ],
)
def test_what_rounding_explains(share: float, error: float, dtype: str, well: bool) -> None:
    assert decodes_well(share, error, dtype) is well


def test_another_way_to_run_the_same_steps() -> None:
    assert decodes_well(*decoding_error("micro", "float32", "cpu", "fixed"), "float32")
