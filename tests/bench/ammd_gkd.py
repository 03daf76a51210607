"""Step time of AMMD (one critic turn) over that of GKD, from the same sources at equal response tokens.

    python tests/bench/ammd_gkd.py --out ammd_gkd.json
    python tests/bench/ammd_gkd.py --device cuda --setting smollm2:bfloat16 --batch 32 --new-tokens 256

One worker has everything loaded and does a step of either method in turn, sent what the controller sends.
Both take half of the rows from the dataset and half from the student; the tokens of a step are checked.
"""

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import measure
from tests.bench.step_requests import Session, step_requests
from tests.bench.worker_client import BenchWorker, WorkerError, phases
from tests.bench.workload import WORKLOADS, Workload, prepare

TARGET = 1.25
"""Most that AMMD's step may take over GKD's."""
METHODS = {"ammd": "ammd", "gkd": "gkd-both"}
SETTINGS = ["tiny:float32", "smollm2:float32", "smollm2:bfloat16"]


class Stepper:
    """Steps of one method; numbers and rows go on where the other method's left off."""

    def __init__(self, worker: BenchWorker, workload: Workload, method: str, numbers: list[int]) -> None:
        self._worker, self._workload, self._method, self._numbers = worker, workload, method, numbers
        self.phases: list[dict[str, float]] = []

    def turn(self, steps: int) -> float:
        """Seconds a step."""
        self._numbers[0] += steps
        numbers = range(self._numbers[0] - steps, self._numbers[0])
        requests = [step_requests(self._method, self._workload, number) for number in numbers]
        seconds, replies = self._worker.steps(requests)
        for sent, received in zip(requests, replies, strict=True):
            self.phases.append(phases(sent, received))
            self._check(sent, received)
        return seconds / steps

    def _check(self, sent: list[Any], received: list[dict[str, Any]]) -> None:
        built = next(r["result"] for (op, _), r in zip(sent, received, strict=True) if op == "build")
        half = self._workload.batch // 2 * self._workload.new_tokens
        if built["response_tokens"] != {"on": half, "off": half}:
            raise WorkerError(
                f"{self._method} learned from {built['response_tokens']} tokens, not {half} each"
            )


def compare(setting: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One setting's figures."""
    name, _, dtype = setting.partition(":")
    workload = WORKLOADS[name].scaled(batch=args.batch, prompt=args.prompt, new_tokens=args.new_tokens)
    place = prepare(workload, folder / name)
    numbers = [0]
    with BenchWorker(args.threads) as worker:
        worker.load("ammd", workload, place, Session(args.device, dtype, args.threads, args.engine))
        sides = {side: Stepper(worker, workload, method, numbers) for side, method in METHODS.items()}
        turns = {side: lambda stepper=stepper: stepper.turn(args.steps) for side, stepper in sides.items()}
        times = measure.alternate(turns, measure.pairs_of(args))
    counted = len(times["ammd"]) * args.steps
    return {
        "setting": setting,
        "workload": dataclasses.asdict(workload),
        "ratio": measure.spread(measure.ratios(times["ammd"], times["gkd"])),
        "seconds": {side: measure.spread(values) for side, values in times.items()},
        "seconds_by_phase": {
            side: {part: measure.spread(step[part] for step in s.phases[-counted:]) for part in s.phases[0]}
            for side, s in sides.items()
        },
        "pairs": times,
    }


def show(results: list[dict[str, Any]]) -> str:
    """Ratios, then the phases of both methods in milliseconds."""
    parts = list(results[0]["seconds_by_phase"]["ammd"])
    header = ["setting", "AMMD / GKD", "target", *(f"{part}, ms" for part in parts)]
    rows = []
    for result in results:
        medians = {
            side: {part: figure["median"] * 1000 for part, figure in by_phase.items()}
            for side, by_phase in result["seconds_by_phase"].items()
        }
        cells = [f"{medians['ammd'][part]:.3g} / {medians['gkd'].get(part, 0.0):.3g}" for part in parts]
        rows.append([result["setting"], measure.in_words(result["ratio"]), f"{TARGET}", *cells])
    return measure.table(header, rows)


def parse() -> argparse.Namespace:
    parser = measure.common_options("AMMD's step against GKD's.")
    measure.size_options(parser, SETTINGS)
    return measure.parsed(parser)


def main() -> None:
    args = parse()
    results = []
    with tempfile.TemporaryDirectory(prefix="ammd-bench-") as folder:
        for setting in args.setting:
            measure.note(f"ammd_gkd: {setting}")
            results.append(compare(setting, args, Path(folder)))
            measure.save(args.out, measure.report(args, results))
    print(show(results))


if __name__ == "__main__":
    main()
