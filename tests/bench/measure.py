"""What the benches share: paired measurements, their spread, and the file that a bench leaves."""

import argparse
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

PAIRS = 30
QUICK_PAIRS = 3
PAUSE_S = 0.02
"""Between two measurements: the threads of a pool spin for a while after their last work (10,000 rounds,
below a millisecond, as the product sets it) and take a core from whoever is measured next."""

LOAD_AT_START = os.getloadavg()

Measure = Callable[[], float]
"""Does one piece of work and returns its seconds."""


def alternate(
    sides: Mapping[str, Measure], rounds: int, *, warm_up: int = 2, pause_s: float = PAUSE_S
) -> dict[str, list[float]]:
    """Measures the sides in turn, in the opposite order every other round, so that no drift favours one.

    Args:
        sides: what is compared, by name.
        rounds: measurements of each side that count.
        warm_up: rounds before them that do not.
        pause_s: rest before each measurement.

    Returns:
        Seconds of each side, one a round; equal positions belong together.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-warm_up, rounds):
        ordered = list(sides.items())
        for name, measure in ordered if number % 2 == 0 else reversed(ordered):
            time.sleep(pause_s)
            seconds = measure()
            if number >= 0:
                times[name].append(seconds)
        note(f"round {number + 1} of {rounds}", passing=True)
    note("", passing=True)
    return times


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median, quartiles and outer deciles, linear between the values."""
    quantiles = np.percentile(np.array(list(values), dtype=float), [50, 25, 75, 10, 90])
    return dict(zip(("median", "q1", "q3", "p10", "p90"), quantiles.tolist(), strict=True))


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Pair by pair."""
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The p of the least-squares fit `value = c · size^p`, in logarithms.

    Raises:
        ValueError: fewer than two sizes, or a figure that has no logarithm.
    """
    if len(set(sizes)) < 2 or min(*sizes, *values) <= 0:
        raise ValueError(f"no exponent from sizes {list(sizes)} and values {list(values)}")
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def common_options(description: str, **defaults: Any) -> argparse.ArgumentParser:
    """The options that every bench has; `run.py` passes them on."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, help="file for the results")
    parser.add_argument("--pairs", type=int, help=f"measurements of each side; {PAIRS} by default")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PAIRS} pairs instead of {PAIRS}")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=cores(), help="of tensor operations on the CPU")
    parser.set_defaults(**defaults)
    return parser


def size_options(parser: argparse.ArgumentParser, settings: Sequence[str]) -> None:
    """Which sizes and precisions."""
    parser.add_argument("--setting", nargs="+", default=settings, help="size:dtype, as in workload.py")
    step_options(parser)


def step_options(parser: argparse.ArgumentParser) -> None:
    """Numbers of a step, and how many steps a measurement takes."""
    parser.add_argument("--batch", type=int, help="rows a step, instead of the size's")
    parser.add_argument("--prompt", type=int, help="tokens of a prompt, likewise")
    parser.add_argument("--new-tokens", type=int, help="tokens of a response, likewise")
    parser.add_argument("--engine", default="auto", help="what draws the student's responses, as in a run")
    parser.add_argument(
        "--steps", type=int, help="of one measurement; by default 1 on the CPU, several on CUDA"
    )


def parsed(parser: argparse.ArgumentParser, *, steps_on_cuda: int = 2) -> argparse.Namespace:
    """The command line, with `steps` filled in: on CUDA one step prepares the next while the device works."""
    args = parser.parse_args()
    args.steps = args.steps or (steps_on_cuda if args.device == "cuda" else 1)
    return args


def pairs_of(args: argparse.Namespace) -> int:
    """How often each side is measured."""
    return int(args.pairs or (QUICK_PAIRS if args.quick else PAIRS))


def cpu_seconds(pid: int) -> float:
    """What a process has used of the CPU so far, to 10 ms; 0 where there is no /proc."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def machine(device: str) -> dict[str, Any]:
    """What the figures were measured on; `load`, at the start, tells whether it had other work."""
    return {
        "cpu": _cpu_name(),
        "cores": cores(),
        "platform": platform.platform(),
        "device": _device_name(device),
        "load": LOAD_AT_START,
    }


def versions(*more: str) -> dict[str, str]:
    """Of Python and of packages that decide speed."""
    names = ("torch", "transformers", "triton", *more)
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def report(args: argparse.Namespace, results: Any, **more: Any) -> dict[str, Any]:
    """A bench's file: how it was called, on what, and what came out."""
    return {
        "bench": Path(sys.argv[0]).stem,
        "command": shlex.join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(args.device),
        "versions": versions(),
        "settings": {key: value for key, value in vars(args).items() if not isinstance(value, Path)},
        **more,
        "results": results,
    }


def save(path: Path | None, content: Mapping[str, Any]) -> None:
    """Writes a bench's file, if one was asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with columns of one width."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    cells = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def in_words(figure: Mapping[str, float], scale: float = 1.0) -> str:
    """`median (q1 to q3)`, three digits each."""
    median, low, high = (f"{figure[name] * scale:.3g}" for name in ("median", "q1", "q3"))
    return f"{median} ({low} to {high})"


def note(text: str, *, passing: bool = False) -> None:
    """For whoever watches: a line on standard error; a passing one is overwritten, on a terminal alone."""
    if not passing:
        print(text, file=sys.stderr, flush=True)
    elif sys.stderr.isatty():
        print(f"\r{text:30}\r", end="", file=sys.stderr, flush=True)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _device_name(device: str) -> str:
    if device != "cuda":
        return "cpu"
    import torch  # not above: the entry that starts the benches needs none

    return torch.cuda.get_device_name()
