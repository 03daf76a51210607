"""Peak memory and time of forward and backward: fused losses against the plain forms.

    python tests/bench/fused_losses.py --out fused_losses.json
    python tests/bench/fused_losses.py --device cuda --dtype bfloat16 --hidden 2048
    python tests/bench/fused_losses.py --positions 256 --vocab 32768 --pairs 5 --chunk 32 128

Needs the worker's Python packages and this repository alone. Plain and fused steps alternate, and a time
ratio is the median over pairs of fused / plain. Memory is what a step allocates at its peak beyond its
inputs, gradients included, as the device's allocator counts; that of one step, as it is the same in each.
Where the plain form would not fit, it runs on fewer positions (`plain_positions`), and its memory and time
are those scaled up, in which both are linear.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from py_worker.losses.divergence import divergence
from py_worker.losses.fused import fused_divergence, fused_moment_gap
from py_worker.losses.head_pass import positions_at_once
from py_worker.losses.loss_form import TileForm, check_form
from py_worker.losses.moment import moment_gap
from py_worker.models.critics.critic import Critic, build_critic
from py_worker.models.head import OutputHead
from py_worker.models.policy import Policy
from py_worker.models.spec import CriticSpec
from tests.bench import measure

PROBE_POSITIONS = 32
"""Positions on which the plain form's memory is measured to see whether it would fit."""

Step = Callable[[], None]


@dataclass(frozen=True)
class Problem:
    """Hidden states [1, N, H], heads, a critic on the teacher's states, and the upstream gradient [1, N]."""

    student_hidden: Tensor
    student_head: Tensor
    teacher_hidden: Tensor
    teacher_head: Tensor
    critic: Critic
    upstream: Tensor | None

    def cut(self, positions: int) -> "Problem":
        hidden = self.student_hidden[:, :positions].detach().clone().requires_grad_()
        upstream = None if self.upstream is None else self.upstream[:, :positions]
        teacher = self.teacher_hidden[:, :positions]
        return Problem(hidden, self.student_head, teacher, self.teacher_head, self.critic, upstream)

    def backward(self, losses: Tensor) -> None:
        losses.backward(
            torch.ones((), device=losses.device).expand_as(losses) if self.upstream is None else self.upstream
        )
        self.student_hidden.grad = self.student_head.grad = None

    def plain(self, loss: str) -> Step:
        student, teacher = (OutputHead(w, None, len(w)) for w in (self.student_head, self.teacher_head))

        def step() -> None:
            with torch.no_grad():
                teacher_logits = teacher.logits(self.teacher_hidden)
                values = self.critic.values(self.teacher_hidden[0])[None] if loss == "moment" else None
            logits = student.logits(self.student_hidden)
            if values is None:
                self.backward(divergence("jsd", logits, teacher_logits))
            else:
                self.backward(moment_gap(logits, teacher_logits, values))

        return step

    def fused(self, loss: str, chunk_size: int, recompute: bool, form: str) -> Step:
        inputs = (self.student_hidden, self.student_head, self.teacher_hidden, self.teacher_head)
        count = self.student_hidden.shape[1]
        mask = torch.ones((1, count), dtype=torch.bool, device=self.student_head.device)
        positions = torch.arange(count, device=mask.device)
        options: dict[str, Any] = {
            "chunk_size": chunk_size,
            "positions": positions,
            "recompute": recompute,
            "form": form,
        }

        def step() -> None:
            if loss == "moment":
                self.backward(fused_moment_gap(*inputs, self.critic, mask, **options))
            else:
                self.backward(fused_divergence("jsd", *inputs, mask, **options))

        return step


def make_problem(args: argparse.Namespace, positions: int, vocab: int) -> Problem:
    generator = torch.Generator().manual_seed(0)
    dtype, device = getattr(torch, args.dtype), args.device

    def draw(*shape: int, scale: float = 1.0) -> Tensor:
        drawn = torch.empty(shape, dtype=dtype)
        return drawn.normal_(0.0, scale, generator=generator).to(device)

    width, teacher_width = args.hidden, args.teacher_hidden or args.hidden
    # Logits of standard deviation 3, about that of language models.
    head = draw(vocab, width, scale=3.0 / width**0.5).requires_grad_()
    teacher_head = draw(vocab, teacher_width, scale=3.0 / teacher_width**0.5)
    teacher = SimpleNamespace(
        head=OutputHead(teacher_head, None, vocab), vocab_size=vocab, hidden_size=teacher_width, device=device
    )
    return Problem(
        draw(1, positions, width).requires_grad_(),
        head,
        draw(1, positions, teacher_width),
        teacher_head,
        build_critic(CriticSpec(), cast(Policy, teacher)),
        draw(1, positions).float() if args.upstream == "positions" else None,
    )


def peak_bytes(step: Step, device: str) -> int:
    """Bytes allocated at the step's peak, beyond what is allocated before it."""
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        step()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def seconds(step: Step, device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def available_bytes(args: argparse.Namespace) -> float:
    if args.memory_gib:
        return float(args.memory_gib) * 2**30
    if args.device == "cuda":
        torch.cuda.empty_cache()  # or what the allocator keeps of the comparison before counts as taken
        return 0.9 * torch.cuda.mem_get_info()[0]
    return 0.6 * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def plain_positions(problem: Problem, loss: str, args: argparse.Namespace) -> int:
    """As many of the positions as the plain form has memory for, halved until they fit."""
    positions = problem.student_hidden.shape[1]
    probes = [
        peak_bytes(problem.cut(n).plain(loss), args.device) for n in (PROBE_POSITIONS, 2 * PROBE_POSITIONS)
    ]
    each = (probes[1] - probes[0]) / PROBE_POSITIONS
    room = available_bytes(args) - (2 * probes[0] - probes[1])
    while positions > PROBE_POSITIONS and each * positions > room:
        positions //= 2
    return positions


def compare(
    args: argparse.Namespace, problem: Problem, loss: str, chunk_size: int, form: str
) -> dict[str, Any]:
    positions = problem.student_hidden.shape[1]
    fitting = plain_positions(problem, loss, args)
    scale = positions / fitting
    plain = problem.cut(fitting).plain(loss)
    fused = problem.fused(loss, chunk_size, args.recompute, form)
    fused()  # compiling takes memory of its own
    memory = {"plain": peak_bytes(plain, args.device), "fused": peak_bytes(fused, args.device)}
    if fitting < positions:
        half = peak_bytes(problem.cut(fitting // 2).plain(loss), args.device)
        memory["plain"] += (positions - fitting) * (memory["plain"] - half) // (fitting - fitting // 2)
    times = measure.alternate(
        {
            "plain": lambda: seconds(plain, args.device) * scale,
            "fused": lambda: seconds(fused, args.device),
        },
        measure.pairs_of(args),
        warm_up=1,
    )
    return {
        "plain_positions": fitting,
        "peak_bytes": memory,
        "memory_ratio": memory["fused"] / memory["plain"],
        "time_ratio": measure.spread(measure.ratios(times["fused"], times["plain"])),
        "seconds": {name: measure.spread(values) for name, values in times.items()},
        "pairs": times,
    }


def forms_that_run(args: argparse.Namespace) -> list[str]:
    runnable = []
    for form in args.form:
        try:
            check_form(form, torch.device(args.device))
            runnable.append(form)
        except ValueError as error:
            measure.note(f"left out: {error}")
    if not runnable:
        sys.exit("no form of the losses that was asked for can run here")
    return runnable


def settings(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    forms = forms_that_run(args)
    for positions, vocab in product(args.positions, args.vocab):
        problem = make_problem(args, positions, vocab)
        policy = SimpleNamespace(vocab_size=vocab, device=torch.device(args.device))
        default = positions_at_once(cast(Policy, policy))
        for loss, chunk_size, form in product(args.loss, args.chunk or [default], forms):
            chunk_size = min(chunk_size, positions)
            about = {"loss": loss, "positions": positions, "vocab": vocab, "chunk_size": chunk_size}
            yield {**about, "form": form, **compare(args, problem, loss, chunk_size, form)}


def show(results: list[dict[str, Any]]) -> str:
    """Ratios fused / plain."""
    header = [
        "loss",
        "form",
        "positions",
        "vocabulary",
        "memory",
        "time",
        "plain, MiB",
        "fused, MiB",
        "plain, s",
        "fused, s",
    ]
    return measure.table(
        header,
        [
            [
                result["loss"],
                result["form"],
                f"{result['positions']:,}",
                f"{result['vocab']:,}",
                f"1/{1 / result['memory_ratio']:.3g}",
                measure.in_words(result["time_ratio"]),
                *(f"{result['peak_bytes'][side] / 2**20:,.0f}" for side in ("plain", "fused")),
                *(f"{result['seconds'][side]['median']:.3g}" for side in ("plain", "fused")),
            ]
            for result in results
        ],
    )


def parse() -> argparse.Namespace:
    parser = measure.common_options("Fused losses against the plain forms.")
    parser.add_argument("--positions", type=int, nargs="+", default=[1024, 8192])
    parser.add_argument("--vocab", type=int, nargs="+", default=[32768, 131072])
    parser.add_argument(
        "--hidden", type=int, help="the student's width; 256 on the CPU, 1,024 on CUDA by default"
    )
    parser.add_argument("--teacher-hidden", type=int, help="the teacher's width; the student's by default")
    parser.add_argument("--loss", nargs="+", choices=["jsd", "moment"], default=["jsd", "moment"])
    parser.add_argument("--chunk", type=int, nargs="+", help="positions per chunk; the driver's by default")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument(
        "--upstream", choices=["sum", "positions"], default="sum", help="gradient of the losses"
    )
    parser.add_argument("--recompute", action="store_true", help="no gradients in the forward pass")
    parser.add_argument(
        "--form",
        nargs="+",
        choices=get_args(TileForm),
        default=["fused"],
        help="of the elementwise part",
    )
    parser.add_argument(
        "--memory-gib", type=float, help="what the plain form may take; what is free by default"
    )
    args = parser.parse_args()
    args.hidden = args.hidden or (1024 if args.device == "cuda" else 256)
    return args


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    results = []
    for result in settings(args):
        results.append(result)
        what = " ".join(str(result[name]) for name in ("loss", "form", "positions", "vocab"))
        measure.note(f"{what}: memory {result['memory_ratio']:.3g} of plain's")
        measure.save(args.out, measure.report(args, results))
    print(show(results))


if __name__ == "__main__":
    main()
