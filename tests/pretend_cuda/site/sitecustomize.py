"""Python imports this at its start: with this folder in PYTHONPATH every process has the pretended GPU."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

import tests.pretend_cuda.plugin  # noqa: F401
