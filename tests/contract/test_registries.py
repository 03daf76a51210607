"""What the controller knows of objectives, metrics, engines and what memory is for is what the worker has.

UPDATE_FIXTURES=1 python -m pytest tests/contract/test_registries.py     (writes the worker's side)
"""

import json
import os
from pathlib import Path
from typing import Any, get_args

from py_worker.losses.objectives import OBJECTIVES
from py_worker.metrics import METRICS, STATISTICS
from py_worker.models.allocations import MemoryItem
from py_worker.rollout.engine import ENGINES

FILE = Path(__file__).parents[2] / "protocol/fixtures/registries.json"


def facts() -> dict[str, Any]:
    """The registries without their functions."""
    return {
        "scores": sorted([*METRICS, *STATISTICS]),
        "losses": [name for name, objective in OBJECTIVES.items() if not objective.needs_critic],
        "objectives": {
            name: {
                "teacher": objective.needs_teacher,
                "critic": objective.needs_critic,
                "target": objective.reads_target,
                "sampled": objective.sample is not None,
                "formula": objective.analytic is not None,
                "params": dict(objective.defaults),
                "ranges": {name: list(ends) for name, ends in objective.ranges.items()},
            }
            for name, objective in OBJECTIVES.items()
        },
        "engines": {name: {"concurrent": make().concurrent} for name, make in ENGINES.items()},
        "memory": list(get_args(MemoryItem)),
    }


def test_the_registries_are_those_that_were_written_down() -> None:
    if os.environ.get("UPDATE_FIXTURES"):
        FILE.write_text(json.dumps(facts(), indent=1) + "\n", encoding="utf-8")
    assert json.loads(FILE.read_text(encoding="utf-8")) == facts()
