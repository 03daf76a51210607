"""AMMD steps through the loop: what they report, and that they repeat exactly."""

import math
from pathlib import Path

from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import load_everything, run_step

STEPS = 5


def metrics_of_run(cache_dir: Path, **options: object) -> list[dict[str, float]]:
    worker = LocalWorker(str(cache_dir))
    load_everything(worker)
    try:
        return [run_step(worker, step, **options) for step in range(STEPS)]
    finally:
        worker.close()


def test_a_run_repeats_bit_for_bit(cache_dir: Path) -> None:
    first, second = metrics_of_run(cache_dir), metrics_of_run(cache_dir)
    assert first == second
    assert first[0] != first[-1]
    assert all(math.isfinite(value) for metrics in first for value in metrics.values())
