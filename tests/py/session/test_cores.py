"""Threads in a container with a share of the cores' time."""

from pathlib import Path

import pytest

from py_worker.session import cores
from py_worker.session.cores import own_threads


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000\n", 8),
        ("400000 100000\n", 4),
        ("450000 100000\n", 4),
        ("50000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("", 8),
        (None, 8),
    ],
)
def test_the_share_is_an_upper_bound(
    quota: str | None, expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)
    assert own_threads(8) == expected


def test_what_the_user_says_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    (tmp_path / "cpu.max").write_text("200000 100000\n")
    assert own_threads(8) == 8
