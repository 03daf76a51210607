"""Step time of on-policy GKD with responses drawn one step ahead, over that with the step's own.

    python tests/bench/overlap.py --device cuda --out overlap.json
    python tests/bench/overlap.py --device cuda --setting smollm2:bfloat16 --batch 32 --new-tokens 256

With `max_staleness: 1` a GPU draws the next step's responses on a stream of its own while the student
trains, from a copy of its weights. A CPU draws them at once: there the ratio says what being one step ahead
costs by itself. Each side has a worker; a measurement has as many draws as steps on both sides, the last of
which overlaps with nothing. How old the responses are is checked.
"""

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import measure
from tests.bench.step_requests import Session, ahead_requests, step_requests
from tests.bench.worker_client import BenchWorker, WorkerError, phases
from tests.bench.workload import WORKLOADS, Workload, prepare

METHODS = {"ahead": "gkd-ahead", "fresh": "gkd"}
SETTINGS = ["tiny:float32", "smollm2:bfloat16"]
STEPS_ON_CUDA = 8
"""Of a measurement: one of its draws overlaps with nothing."""


class Side:
    """A worker that trains in one of both ways."""

    def __init__(self, worker: BenchWorker, workload: Workload, method: str) -> None:
        self._worker, self._workload, self._method = worker, workload, method
        self._done = 0
        self.phases: list[dict[str, float]] = []

    def turn(self, steps: int) -> float:
        """Seconds a step."""
        if self._done == 0:
            self._worker.run(ahead_requests(self._method, self._workload, 0))
        numbers = range(self._done, self._done + steps)
        self._done += steps
        requests = [step_requests(self._method, self._workload, number) for number in numbers]
        seconds, replies = self._worker.steps(requests)
        for number, sent, received in zip(numbers, requests, replies, strict=True):
            self.phases.append(phases(sent, received))
            self._check(number, received[0]["result"])
        return seconds / steps

    def _check(self, step: int, drawn: dict[str, Any]) -> None:
        """Before step `n` the student has had n updates, whether for this step or ahead for the next."""
        tokens = self._workload.batch * self._workload.new_tokens
        if (drawn["policy_version"], drawn["tokens"]) != (step, tokens):
            raise WorkerError(
                f"{self._method} drew {drawn} in step {step}, not {tokens} tokens of its weights"
            )


def compare(setting: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One setting's figures."""
    name, _, dtype = setting.partition(":")
    workload = WORKLOADS[name].scaled(batch=args.batch, prompt=args.prompt, new_tokens=args.new_tokens)
    place, session = prepare(workload, folder / name), Session(args.device, dtype, args.threads, args.engine)
    with BenchWorker(args.threads) as ahead, BenchWorker(args.threads) as fresh:
        workers = {"ahead": ahead, "fresh": fresh}
        before = {}
        for side, worker in workers.items():
            worker.load(METHODS[side], workload, place, session)
            before[side] = worker.restart_peak()
        sides = {side: Side(worker, workload, METHODS[side]) for side, worker in workers.items()}
        turns = {side: lambda one=one: one.turn(args.steps) for side, one in sides.items()}
        times = measure.alternate(turns, measure.pairs_of(args))
        memory = {side: worker.peak_bytes() - before[side] for side, worker in workers.items()}
    counted = len(times["ahead"]) * args.steps
    return {
        "setting": setting,
        "workload": dataclasses.asdict(workload),
        "ratio": measure.spread(measure.ratios(times["ahead"], times["fresh"])),
        "seconds": {side: measure.spread(values) for side, values in times.items()},
        "seconds_by_phase": {
            side: {part: measure.spread(step[part] for step in s.phases[-counted:]) for part in s.phases[0]}
            for side, s in sides.items()
        },
        "peak_bytes": memory,
        "pairs": times,
    }


def show(results: list[dict[str, Any]]) -> str:
    """Ratios, step times, and memory beyond what is held after loading."""
    header = ["setting", "ahead / fresh", "fresh, ms", "of which drawing", "MiB ahead / fresh"]
    rows = [
        [
            result["setting"],
            measure.in_words(result["ratio"]),
            f"{1000 * result['seconds']['fresh']['median']:.3g}",
            f"{1000 * result['seconds_by_phase']['fresh']['generate']['median']:.3g}",
            " / ".join(f"{result['peak_bytes'][side] / 2**20:.0f}" for side in METHODS),
        ]
        for result in results
    ]
    return measure.table(header, rows)


def parse() -> argparse.Namespace:
    parser = measure.common_options("Steps with responses drawn ahead, and without.")
    measure.size_options(parser, SETTINGS)
    return measure.parsed(parser, steps_on_cuda=STEPS_ON_CUDA)


def main() -> None:
    args = parse()
    results = []
    with tempfile.TemporaryDirectory(prefix="ammd-bench-") as folder:
        for setting in args.setting:
            measure.note(f"overlap: {setting}")
            results.append(compare(setting, args, Path(folder)))
            measure.save(args.out, measure.report(args, results))
    print(show(results))


if __name__ == "__main__":
    main()
