"""Step time of on-policy GKD (JSD 0.5), here and in TRL's GKDTrainer, step by step in turn.

    python tests/bench/trl_gkd.py --out trl_gkd.json
    python tests/bench/trl_gkd.py --setting smollm2:bfloat16 --pairs 30 --threads 2
    python tests/bench/trl_gkd.py --device cuda --trl-python python3

Two processes with the same models, rows and threads: a worker that is sent what the controller sends, and
TRL's own training loop (`trl_side.py`). While one works the other waits in a read; `other_cpu_share` tells
how much of a core it used all the same. Both draw the same number of tokens, which is checked, as is that
both give the rows' own responses the same objective. Without --trl-python an environment is made for TRL
(.ammd/bench/trl), which needs Node.
"""

import argparse
import dataclasses
import importlib.util
import json
import math
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import measure
from tests.bench.step_requests import Request, Session, step_requests
from tests.bench.worker_client import ROOT, BenchWorker, WorkerError, phases, thread_environment
from tests.bench.workload import WORKLOADS, Place, Workload, prepare

STATE = ROOT / ".ammd" / "bench"
SETTINGS = ["tiny:float32", "smollm2:float32", "smollm2:bfloat16"]
TARGETS = {
    "cpu": {"tiny:float32": 1.25, "smollm2:float32": 1.8, "smollm2:bfloat16": 2.0},
    "cuda": dict.fromkeys(SETTINGS, 5.0),
}
"""Least ratio of TRL's step time to ours: two CPU cores, or one H200."""
TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}
"""Of the objective on given rows, relative."""
PING_S = 10.0


class OurSide:
    """A worker, driven by the requests of the method `gkd`."""

    def __init__(self, workload: Workload, place: Place, session: Session) -> None:
        self._workload = workload
        self.worker = BenchWorker(session.threads)
        self.loaded = self.worker.load("gkd", workload, place, session)
        self.pid = self.worker.process.pid
        self.phases: list[dict[str, float]] = []
        self._step = 0

    def objective(self) -> float:
        """On the first batch of the rows' own responses; a learning rate of 0 changes no weight."""
        step = self._next()
        replies = self.worker.run(_given_rows(request, self._workload) for request in step)
        return float(replies[-1]["result"]["metrics"]["loss"])

    def turn(self, steps: int) -> float:
        """Seconds of so many steps."""
        requests = [self._next() for _ in range(steps)]
        seconds, replies = self.worker.steps(requests)
        for sent, received in zip(requests, replies, strict=True):
            self._check_tokens(received[0]["result"]["tokens"])
            self.phases.append(phases(sent, received))
        return seconds

    def close(self) -> None:
        self.worker.close()

    def _next(self) -> list[Request]:
        self._step += 1
        return step_requests("gkd", self._workload, self._step)

    def _check_tokens(self, tokens: int) -> None:
        if tokens != self._workload.batch * self._workload.new_tokens:
            raise WorkerError(f"{tokens} tokens were drawn")


def _given_rows(request: Request, workload: Workload) -> Request:
    op, args = request
    if op == "build":
        rows = {"part": "mix", "dataset": "train", "rows": [*range(workload.batch)]}
        return op, {**args, "parts": [rows]}
    return (op, {**args, "lr": 0.0}) if op == "step_student" else request


class TrlSide:
    """A process with TRL's trainer; `idle` is called every few seconds while it works."""

    def __init__(self, python: str, workload: Workload, place: Place, args: argparse.Namespace) -> None:
        self._workload = workload
        self._log = (place.folder / "trl.log").open("w+")
        sizes = {"batch": workload.batch, "prompt": workload.prompt, "new-tokens": workload.new_tokens}
        student_dtype = args.dtype if args.trl_low_precision_weights else "float32"
        options = {"device": args.device, "dtype": args.dtype, "student-dtype": student_dtype}
        given = {**options, **sizes, "threads": args.threads}.items()
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name("trl_side.py")), str(place.folder)]
            + [f"--{name}={value}" for name, value in given],
            env=thread_environment(args.threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self.pid = self._process.pid
        self.generate_s: list[float] = []
        self.idle: Callable[[], None] = lambda: None
        self.description = self._answer()["ready"]

    def objective(self) -> float:
        return float(self._ask(do="loss", rows=self._workload.batch)["loss"])

    def turn(self, steps: int) -> float:
        """Seconds of so many steps, as the process that asks sees them."""
        start = time.perf_counter()
        answer = self._ask(do="steps", count=steps)
        seconds = time.perf_counter() - start
        self.generate_s += answer["generate_s"]
        expected = self._workload.batch * self._workload.new_tokens
        width = self._workload.prompt + self._workload.new_tokens
        if answer["tokens"] != [expected] * steps or answer["widths"] != [width] * steps:
            raise RuntimeError(f"TRL drew {answer['tokens']} tokens in rows of {answer['widths']}")
        return seconds

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._log.close()

    def _ask(self, **command: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not selector.select(PING_S):
                self.idle()
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"TRL's process ended:\n{self._log.read()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Metered:
    """A side whose turns are noted with the CPU seconds that both processes used meanwhile."""

    def __init__(self, side: OurSide | TrlSide, other: OurSide | TrlSide, steps: int) -> None:
        self._side, self._other, self._steps = side, other, steps
        self.own_s: list[float] = []
        self.other_s: list[float] = []

    def __call__(self) -> float:
        before = [measure.cpu_seconds(side.pid) for side in (self._side, self._other)]
        seconds = self._side.turn(self._steps) / self._steps
        after = [measure.cpu_seconds(side.pid) for side in (self._side, self._other)]
        self.own_s.append((after[0] - before[0]) / self._steps)
        self.other_s.append((after[1] - before[1]) / self._steps)
        return seconds


def trl_python(given: str | None) -> str:
    """A Python that has TRL: the one given; else of an environment made from our lock files, or without Node
    this one."""
    if given:
        return given
    if shutil.which("node") is None:
        if importlib.util.find_spec("trl") is None:
            raise SystemExit("trl_gkd: no TRL here; name a Python that has it: --trl-python PYTHON")
        return sys.executable
    environment = STATE / "trl"
    own = {name: value for name, value in os.environ.items() if name != "AMMD_PYTHON_ENV"}
    command = ["node", str(ROOT / "ts" / "bootstrap.mjs"), "setup", "--with", "trl"]
    subprocess.run(command, check=True, env={**own, "AMMD_VENV": str(environment)})
    return str(environment / "bin" / "python")


def compare(setting: str, python: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One setting's figures."""
    name, _, dtype = setting.partition(":")
    args = argparse.Namespace(**vars(args), dtype=dtype)
    workload = WORKLOADS[name].scaled(batch=args.batch, prompt=args.prompt, new_tokens=args.new_tokens)
    place = prepare(workload, folder / name)
    ours = OurSide(workload, place, Session(args.device, args.dtype, args.threads, args.engine))
    try:
        trl = TrlSide(python, workload, place, args)
        trl.idle = ours.worker.ping
        try:
            return {"setting": setting, "workload": dataclasses.asdict(workload)} | _figures(ours, trl, args)
        finally:
            trl.close()
    finally:
        ours.close()


def _figures(ours: OurSide, trl: TrlSide, args: argparse.Namespace) -> dict[str, Any]:
    objectives = {"ours": ours.objective(), "trl": trl.objective()}
    if not math.isclose(*objectives.values(), rel_tol=TOLERANCE[args.dtype]):
        raise RuntimeError(f"both sides should have one objective, not {objectives}")
    sides = {"ours": Metered(ours, trl, args.steps), "trl": Metered(trl, ours, args.steps)}
    times = measure.alternate(sides, measure.pairs_of(args))
    rounds = len(times["ours"])
    cpu = {name: sum(side.own_s[-rounds:]) for name, side in sides.items()}
    parts = ours.phases[-rounds * args.steps :]
    return {
        "student": ours.loaded,
        "trl": trl.description,
        "objective": objectives,
        "speedup": measure.spread(measure.ratios(times["trl"], times["ours"])),
        "cpu_speedup": cpu["trl"] / cpu["ours"] if cpu["ours"] else None,
        "seconds": {name: measure.spread(values) for name, values in times.items()},
        "seconds_by_phase": {part: measure.spread(step[part] for step in parts) for part in parts[0]},
        "trl_generate_seconds": measure.spread(trl.generate_s[-rounds * args.steps :]),
        "other_cpu_share": {name: sum(side.other_s) / sum(times[name]) for name, side in sides.items()},
        "pairs": times,
    }


def show(results: list[dict[str, Any]], device: str) -> str:
    """Ratios first; seconds say where ours goes."""
    header = [
        "setting",
        "TRL / ours",
        "target",
        "of CPU time",
        "ours, s",
        "generation",
        "TRL's, s",
        "generation",
    ]
    return measure.table(
        header,
        [
            [
                result["setting"],
                measure.in_words(result["speedup"]),
                str(TARGETS[device].get(result["setting"], "")),
                f"{result['cpu_speedup'] or math.nan:.3g}",
                measure.in_words(result["seconds"]["ours"]),
                measure.in_words(result["seconds_by_phase"]["generate"]),
                measure.in_words(result["seconds"]["trl"]),
                measure.in_words(result["trl_generate_seconds"]),
            ]
            for result in results
        ],
    )


def parse() -> argparse.Namespace:
    parser = measure.common_options("On-policy GKD, here and in TRL.")
    measure.size_options(parser, SETTINGS)
    parser.add_argument("--trl-python", help="a Python that has TRL")
    parser.add_argument(
        "--trl-low-precision-weights",
        action="store_true",
        help="TRL's student has the setting's dtype itself, not float32 weights under autocast",
    )
    return measure.parsed(parser)


def main() -> None:
    args = parse()
    python = trl_python(args.trl_python)
    results = []
    with tempfile.TemporaryDirectory(prefix="ammd-bench-") as folder:
        for setting in args.setting:
            measure.note(f"trl_gkd: {setting}")
            results.append(compare(setting, python, args, Path(folder)))
            measure.save(args.out, measure.report(args, results))
    print(show(results, args.device))


if __name__ == "__main__":
    main()
