"""How decode steps are run: as they come, in a few fixed shapes, or in those as CUDA graphs.

A step is a function of two numbers, the slots it computes and the columns that attention sees; everything
else it reads and writes lies in buffers that stay where they are for the length of one generation. So a step
of given numbers can be recorded once and replayed, and only capturing needs a GPU.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import torch

StepForm = Literal["exact", "fixed", "graph"]

# step(rows, width): one decode step of slots 0 to rows - 1 over `width` columns.
Step = Callable[[int, int], None]

_COLUMNS = 128


class StepRunner(ABC):
    """Runs the decode steps of one generation.

    It does not hold the step, which is the generation's: two objects that hold each other keep their memory
    until the garbage collector comes round.
    """

    def __init__(self, slots: int, capacity: int) -> None:
        """
        Args:
            slots: the most rows.
            capacity: the most columns.
        """
        self._slots, self._capacity = slots, capacity

    @abstractmethod
    def run(self, step: Step, rows: int, width: int) -> int:
        """Runs one step of at least `rows` slots over `width` columns; returns the slots computed."""


class ExactSteps(StepRunner):
    """Each step computes what is asked for: no wasted row, and a new shape nearly every time."""

    def run(self, step: Step, rows: int, width: int) -> int:
        step(rows, width)
        return rows


class FixedSteps(StepRunner):
    """Rows are rounded up to eighths of all slots, columns to multiples of 128; the rows beyond are idle.

    While prompts wait more than 7/8 of the slots are at work (`SlotScheduler.admit`), so the row count is
    one number then, and the others are for the end.
    """

    _row_parts = 8

    def run(self, step: Step, rows: int, width: int) -> int:
        rows = _rounded(rows, -(-self._slots // self._row_parts), self._slots)
        self._run_shape(step, rows, _rounded(width, _COLUMNS, self._capacity))
        return rows

    def _run_shape(self, step: Step, rows: int, width: int) -> None:
        step(rows, width)


class GraphSteps(FixedSteps):
    """Fixed shapes, each recorded as a CUDA graph at its second use; the first one warms up its kernels.

    Rows are rounded to halves: a shape costs an eager step and a capture, and on a GPU a step with idle rows
    takes little longer, for it reads the same weights. Graphs live as long as the generation, whose weights
    and buffers they name. Not measured yet.
    """

    _row_parts = 2

    def __init__(self, slots: int, capacity: int) -> None:
        super().__init__(slots, capacity)
        self._replays: dict[tuple[int, int], Callable[[], None] | None] = {}
        self._pool: Any = None

    def _run_shape(self, step: Step, rows: int, width: int) -> None:
        shape = (rows, width)
        if shape not in self._replays:
            step(rows, width)
            self._replays[shape] = None
            return
        replay = self._replays[shape] or self._capture(step, rows, width)
        self._replays[shape] = replay
        replay()

    def _capture(self, step: Step, rows: int, width: int) -> Callable[[], None]:
        """Records the step without running it. All graphs share the memory of their intermediates."""
        graph = torch.cuda.CUDAGraph()
        # Other threads of the worker may use the device meanwhile, as a checkpoint does.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            step(rows, width)
        self._pool = graph.pool()
        return graph.replay


def make_runner(form: StepForm, slots: int, capacity: int) -> StepRunner:
    """The runner of a form."""
    forms: dict[StepForm, type[StepRunner]] = {"exact": ExactSteps, "fixed": FixedSteps, "graph": GraphSteps}
    return forms[form](slots, capacity)


def _rounded(count: int, multiple: int, most: int) -> int:
    return min(most, -(-count // multiple) * multiple)
