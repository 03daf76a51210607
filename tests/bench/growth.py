"""How a step's time and memory grow as batch, length, vocabulary and model double: exponents of their sizes.

    python tests/bench/growth.py --out growth.json
    python tests/bench/growth.py --device cuda --dtype bfloat16 --base smollm2 --axis length --factors 1 2 4 8

A step is one of GKD, fully on-policy. One worker for each size; a round measures a step of each, and gives
one exponent, so the exponents have a spread. Beside them stands that of the multiplications and additions a
step cannot do without, at the same sizes. Memory is the peak over the steps beyond what is held after
loading: of the device's allocator, or resident on the CPU.
"""

import argparse
import dataclasses
import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import measure
from tests.bench.arithmetic import step_flops
from tests.bench.step_requests import Session, step_requests
from tests.bench.worker_client import BenchWorker
from tests.bench.workload import WORKLOADS, Shape, Workload, prepare

METHOD = "gkd"


def _deeper(shape: Shape, factor: int) -> Shape:
    return dataclasses.replace(shape, layers=shape.layers * factor)


AXES: Mapping[str, Callable[[Workload, int], Workload]] = {
    "batch": lambda base, factor: base.scaled(batch=base.batch * factor),
    "length": lambda base, factor: base.scaled(
        prompt=base.prompt * factor, new_tokens=base.new_tokens * factor
    ),
    "vocabulary": lambda base, factor: base.scaled(vocab=base.vocab * factor),
    "model": lambda base, factor: dataclasses.replace(
        base, student=_deeper(base.student, factor), teacher=_deeper(base.teacher, factor)
    ),
}
"""What doubles; the model by its blocks."""


class Sized:
    """A worker that has one size to load."""

    def __init__(self, worker: BenchWorker, workload: Workload, steps: int) -> None:
        self._worker, self._workload, self._steps = worker, workload, steps
        self._done = self._before = 0

    def load(self, folder: Path, session: Session) -> None:
        """What it needs."""
        self._worker.load(METHOD, self._workload, prepare(self._workload, folder), session)
        self._before = self._worker.restart_peak()

    def turn(self) -> float:
        """Seconds a step."""
        numbers = range(self._done, self._done + self._steps)
        self._done += self._steps
        seconds, _ = self._worker.steps([step_requests(METHOD, self._workload, step) for step in numbers])
        return seconds / self._steps

    def memory(self) -> int:
        """Bytes at the peak of the steps so far, beyond those held before; at least 1, for its logarithm."""
        return max(1, self._worker.peak_bytes() - self._before)


def grow(axis: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One axis: figures at each size, and the exponents."""
    base = WORKLOADS[args.base].scaled(batch=args.batch, prompt=args.prompt, new_tokens=args.new_tokens)
    workloads = {factor: AXES[axis](base, factor) for factor in args.factors}
    with ExitStack() as stack:
        workers = [stack.enter_context(BenchWorker(args.threads)) for _ in workloads]
        each = zip(workers, workloads.items(), strict=True)
        sized = {factor: Sized(worker, workload, args.steps) for worker, (factor, workload) in each}
        for factor, one in sized.items():
            one.load(folder / f"{axis}-{factor}", Session(args.device, args.dtype, args.threads, args.engine))
        turns = {str(factor): one.turn for factor, one in sized.items()}
        times = measure.alternate(turns, measure.pairs_of(args))
        memory = [one.memory() for one in sized.values()]
    flops = [step_flops(workload) for workload in workloads.values()]
    rounds = zip(*times.values(), strict=True)
    return {
        "axis": axis,
        "factors": args.factors,
        "base": dataclasses.asdict(base),
        "time_exponent": measure.spread(measure.exponent(args.factors, one) for one in rounds),
        "flops_exponent": measure.exponent(args.factors, flops),
        "memory_exponent": measure.exponent(args.factors, memory),
        "seconds": {factor: measure.spread(values) for factor, values in times.items()},
        "flops": flops,
        "peak_bytes": memory,
        "rounds": times,
    }


def show(results: list[dict[str, Any]]) -> str:
    """Exponents. What is no matrix product (norms, softmax) grows with the size itself: a limit of 1."""
    header = ["axis", "sizes", "time", "memory", "arithmetic", "limit of time", "s a step", "MiB"]
    return measure.table(
        header,
        [
            [
                result["axis"],
                " ".join(f"{factor}x" for factor in result["factors"]),
                measure.in_words(result["time_exponent"]),
                f"{result['memory_exponent']:.2f}",
                f"{result['flops_exponent']:.2f}",
                f"{max(1.0, result['flops_exponent']):.2f}",
                " ".join(f"{figure['median']:.3g}" for figure in result["seconds"].values()),
                " ".join(f"{math.ceil(size / 2**20)}" for size in result["peak_bytes"]),
            ]
            for result in results
        ],
    )


def parse() -> argparse.Namespace:
    parser = measure.common_options("Exponents of a step's time and memory.")
    parser.add_argument("--axis", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 2, 4], help="of the base's size")
    parser.add_argument("--base", choices=WORKLOADS, default="tiny", help="size that is multiplied")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    measure.step_options(parser)
    return measure.parsed(parser)


def main() -> None:
    args = parse()
    results = []
    with tempfile.TemporaryDirectory(prefix="ammd-bench-") as folder:
        for axis in args.axis:
            measure.note(f"growth: {axis}")
            results.append(grow(axis, args, Path(folder)))
            measure.save(args.out, measure.report(args, results))
    print(show(results))


if __name__ == "__main__":
    main()
