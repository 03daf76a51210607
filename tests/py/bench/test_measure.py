"""Statistics and the order of paired measurements."""

import os
import time
from pathlib import Path

import pytest

from tests.bench import measure


def test_sides_take_turns_and_the_order_turns_round() -> None:
    order: list[str] = []

    def side(name: str, seconds: float) -> float:
        order.append(name)
        return seconds + len(order)

    times = measure.alternate(
        {"a": lambda: side("a", 0.0), "b": lambda: side("b", 100.0)}, 3, warm_up=1, pause_s=0.0
    )
    assert "".join(order) == "ba" + "ab" + "ba" + "ab"
    assert times == {"a": [3.0, 6.0, 7.0], "b": [104.0, 105.0, 108.0]}


def test_the_spread_lies_between_the_values() -> None:
    figures = measure.spread([4.0, 1.0, 3.0, 2.0, 5.0])
    assert figures == pytest.approx({"median": 3.0, "q1": 2.0, "q3": 4.0, "p10": 1.4, "p90": 4.6})
    assert set(measure.spread([7.0]).values()) == {7.0}


def test_ratios_are_of_pairs() -> None:
    assert measure.ratios([1.0, 6.0], [2.0, 3.0]) == [0.5, 2.0]
    with pytest.raises(ValueError, match="shorter"):
        measure.ratios([1.0, 2.0], [1.0])


@pytest.mark.parametrize("power", [0.0, 0.7, 1.0, 2.0])
def test_a_power_law_has_its_exponent(power: float) -> None:
    sizes = [1, 2, 4, 8]
    assert measure.exponent(sizes, [3.0 * size**power for size in sizes]) == pytest.approx(power, abs=1e-12)


def test_the_fit_is_by_least_squares_in_logarithms() -> None:
    # Slope of (0, 0), (1, 1), (2, 3), in units of log 2: Σ (x − 1) y / Σ (x − 1)².
    assert measure.exponent([1, 2, 4], [1.0, 2.0, 8.0]) == pytest.approx(1.5)


def test_no_exponent_without_two_sizes_or_with_nothing_measured() -> None:
    for sizes, values in (([2, 2], [1.0, 1.0]), ([1, 2], [0.0, 1.0])):
        with pytest.raises(ValueError, match="no exponent"):
            measure.exponent(sizes, values)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_a_process_has_used_what_its_own_clock_says() -> None:
    assert measure.cpu_seconds(os.getpid()) == pytest.approx(time.process_time(), abs=0.2)


def test_a_table_has_columns_of_one_width() -> None:
    lines = measure.table(["a", "wide"], [["long cell", "1"], ["", "2"]]).splitlines()
    assert lines == [
        "| a         | wide |",
        "| --------- | ---- |",
        "| long cell | 1    |",
        "|           | 2    |",
    ]
    assert measure.in_words({"median": 0.01234, "q1": 0.01, "q3": 2.0}, 1000) == "12.3 (10 to 2e+03)"
