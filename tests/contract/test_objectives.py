"""What a configuration may say of objectives is what the worker's registry has.

UPDATE_FIXTURES=1 python -m pytest tests/contract/test_objectives.py     (writes the registry's side)
"""

import json
import os
from pathlib import Path
from typing import Any

from py_worker.losses.objectives import OBJECTIVES

FILE = Path(__file__).parents[2] / "protocol/fixtures/objectives.json"


def facts() -> dict[str, dict[str, Any]]:
    """The registry without its functions."""
    return {
        name: {
            "teacher": objective.needs_teacher,
            "critic": objective.needs_critic,
            "target": objective.reads_target,
            "sampled": objective.sample is not None,
            "params": dict(objective.defaults),
            "ranges": {name: list(ends) for name, ends in objective.ranges.items()},
        }
        for name, objective in OBJECTIVES.items()
    }


def test_the_registry_is_the_one_that_was_written_down() -> None:
    if os.environ.get("UPDATE_FIXTURES"):
        FILE.write_text(json.dumps(facts(), indent=1) + "\n", encoding="utf-8")
    assert json.loads(FILE.read_text(encoding="utf-8")) == facts()
