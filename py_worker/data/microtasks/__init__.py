"""`builtin:microtasks`: procedural text tasks with exact answers, deterministic by seed."""

from py_worker.data.microtasks.generator import SPLITS, TASKS, TEST_SETS, rows, split_of

__all__ = ["SPLITS", "TASKS", "TEST_SETS", "rows", "split_of"]
