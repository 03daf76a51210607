"""The benches: what each measures, and all or some of them in a row.

    npm run bench                                        all that this machine can run
    npm run bench -- --quick                             a few pairs of each, to see that they work
    npm run bench -- trl_gkd --setting smollm2:bfloat16  one, with its own options (its file tells them)
    python tests/bench/run.py --device cuda --out DIR    on a machine with a GPU and no Node

Each runs in a process of its own, prints a table, and leaves one JSON file with machine, versions, settings,
medians, quartiles and every pair. They want a quiet machine: the load at the start is in the file.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
OUT = ROOT / ".ammd" / "bench" / "results"


@dataclass(frozen=True)
class Bench:
    """One of them.

    Attributes:
        file: in this folder; `.mjs` needs Node and takes none of the devices' options.
        what: it measures.
        cuda: its options on a GPU, where they are not those of the CPU.
    """

    file: str
    what: str
    cuda: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return Path(self.file).stem

    @property
    def needs_node(self) -> bool:
        return self.file.endswith(".mjs")


# Graphs are asked for by name: "auto" takes no experiment.
_GRAPHS = ("--engine", "native_graphs")

BENCHES = (
    Bench(
        "agreement.py",
        "whether what a GPU alone runs says what the plain forms say",
        ("--form", "fused", "compiled", "triton", "--steps", "fixed", "graph"),
    ),
    Bench("trl_gkd.py", "a step of on-policy GKD, here and in TRL's GKDTrainer", _GRAPHS),
    Bench(
        "fused_losses.py",
        "memory and time of fused losses and plain ones",
        ("--form", "fused", "compiled", "triton", "--dtype", "bfloat16"),
    ),
    Bench(
        "generation.py",
        "tokens a second of the engine and of model.generate",
        ("--steps", "exact", "graph"),
    ),
    Bench("ammd_gkd.py", "a step of AMMD and one of GKD, same sources and tokens", _GRAPHS),
    Bench(
        "overlap.py",
        "a step with responses drawn ahead, and with its own",
        ("--setting", "tiny:float32", "smollm2:bfloat16", "--batch", "16"),
    ),
    Bench(
        "growth.py",
        "how time and memory grow as batch, length, vocabulary and model double",
        ("--base", "smollm2", "--batch", "16", "--dtype", "bfloat16", *_GRAPHS),
    ),
    Bench(
        "memory.py",
        "predicted peak memory and the measured one",
        ("--dtype", "bfloat16", "--shape", "16:256:256", "32:256:256:8"),
    ),
    Bench("controller.mjs", "idle share of the device, requests in flight, bytes a step"),
)


def command(bench: Bench, args: argparse.Namespace, own: list[str]) -> list[str]:
    """How it is started."""
    common = ["--out", str(args.out / f"{bench.name}.json"), *(["--quick"] if args.quick else [])]
    if bench.needs_node:
        return ["node", str(FOLDER / bench.file), *common, *own]
    common += ["--device", args.device]
    for name in ("pairs", "threads"):
        value = getattr(args, name)
        common += [] if value is None else [f"--{name}", str(value)]
    return [
        sys.executable,
        str(FOLDER / bench.file),
        *common,
        *(bench.cuda if args.device == "cuda" else ()),
        *own,
    ]


def chosen(args: argparse.Namespace) -> list[Bench]:
    """Those named, in that order, or all; without Node, those that need none."""
    known = {bench.name: bench for bench in BENCHES}
    benches = [known[name] for name in args.bench or known]
    if args.bench or shutil.which("node"):
        return benches
    return [bench for bench in benches if not bench.needs_node]


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The command line, and what is not ours: for the one bench that is named."""
    names = [bench.name for bench in BENCHES]
    lines = "\n".join(f"  {bench.name:14}{bench.what}" for bench in BENCHES)
    parser = argparse.ArgumentParser(
        prog="npm run bench --",
        description=f"{__doc__}\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("bench", nargs="*", help="names; all by default")
    parser.add_argument("--quick", action="store_true", help="a few pairs of each")
    parser.add_argument("--pairs", type=int, help="measurements of each side")
    parser.add_argument("--threads", type=int, help="of tensor operations on the CPU; one a core by default")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--limit", type=float, help="seconds for each bench; one that takes longer has failed"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the JSON files")
    args, own = parser.parse_known_args(arguments)
    unknown = [name for name in args.bench if name not in names]
    if unknown:
        parser.error(f"no bench {unknown[0]!r}; there are {', '.join(names)}")
    if args.limit is not None and args.limit <= 0:
        parser.error(f"--limit {args.limit:g}: seconds above 0")
    if own and len(args.bench) != 1:
        parser.error(f"{' '.join(own)}: only one bench can be given options of its own; name it first")
    return args, own


def run_within(limit: float | None, bench: list[str]) -> int:
    """Its exit status; what takes longer is killed with all that it started."""
    process = subprocess.Popen(bench, cwd=ROOT, start_new_session=limit is not None)
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        print(f"stopped after the limit of {limit:g} s", file=sys.stderr)
        return 1
    finally:
        if process.poll() is None:  # an interrupt does not reach another session
            os.killpg(process.pid, signal.SIGKILL) if limit is not None else process.kill()
            process.wait()


def main() -> int:
    args, own = parse(sys.argv[1:])
    args.out = args.out.resolve()
    failed = []
    for bench in chosen(args):
        print(f"\n## {bench.name}: {bench.what}\n", flush=True)
        start = time.monotonic()
        status = run_within(args.limit, command(bench, args, own))
        seconds = time.monotonic() - start
        print(f"\n{'failed' if status else 'done'} after {seconds:.0f} s", flush=True)
        failed += [bench.name] if status else []
    print(f"\nresults: {args.out}" + (f"\nfailed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
