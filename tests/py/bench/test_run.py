"""The entry, and each bench in the shortest form that goes through all of its parts."""

import importlib
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bench import agreement, ammd_gkd, fused_losses, generation, growth, memory, overlap, run, trl_gkd
from tests.bench.step_requests import Session
from tests.bench.worker_client import WorkerError
from tests.bench.workload import WORKLOADS, Place, Workload
from tests.py.server.processes import gone_within

THREADS = "--threads=1"
ROOT = Path(__file__).resolve().parents[3]


def parsed(*arguments: str) -> tuple[Any, list[str]]:
    return run.parse([*arguments])


def test_all_benches_by_default_and_those_named() -> None:
    named = run.chosen(parsed("growth", "ammd_gkd")[0])
    assert [bench.name for bench in named] == ["growth", "ammd_gkd"]
    assert run.chosen(parsed()[0])[:2] == list(run.BENCHES[:2])
    with pytest.raises(SystemExit):
        parsed("grow")
    with pytest.raises(SystemExit):
        parsed("growth", "--limit", "0")


def test_without_node_those_are_left_out_that_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.shutil, "which", lambda _: None)
    names = [bench.name for bench in run.chosen(parsed()[0])]
    assert "controller" not in names and "growth" in names


def test_options_reach_the_bench_they_are_for() -> None:
    args, own = parsed("growth", "--axis", "batch", "--pairs", "4", "--threads", "2", "--out", "/o")
    command = run.command(next(b for b in run.BENCHES if b.name == "growth"), args, own)
    assert command[0] == sys.executable
    assert command[2:] == [
        *("--out", "/o/growth.json", "--device", "cpu", "--pairs", "4", "--threads", "2", "--axis", "batch")
    ]
    controller = next(bench for bench in run.BENCHES if bench.name == "controller")
    assert run.command(controller, args, [])[0] == "node"
    with pytest.raises(SystemExit):
        parsed("--axis", "batch")


@pytest.mark.parametrize(
    "bench", [bench for bench in run.BENCHES if bench.cuda], ids=lambda bench: bench.name
)
def test_a_bench_understands_its_options_on_a_gpu(bench: run.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    args, own = parsed(bench.name, "--device", "cuda", "--quick", "--out", "/o")
    monkeypatch.setattr(sys, "argv", run.command(bench, args, own)[1:])
    assert importlib.import_module(f"tests.bench.{bench.name}").parse().device == "cuda"


def test_what_takes_too_long_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    start = "import subprocess; p = subprocess.Popen(['sleep', '600'])"
    note = f"open({str(pid)!r}, 'w').write(str(p.pid))"
    assert run.run_within(None, [sys.executable, "-c", "raise SystemExit(3)"]) == 3
    assert run.run_within(60.0, [sys.executable, "-c", "pass"]) == 0
    command = [sys.executable, "-c", f"{start}; {note}; p.wait()"]
    assert run.run_within(8.0, command) == 1
    assert gone_within(int(pid.read_text()), 10.0)


def test_forms_that_cannot_run_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(form: str, _device: Any) -> None:
        if form == "triton":
            raise ValueError("no triton here")

    monkeypatch.setattr(fused_losses, "check_form", refuse)
    both, one = (SimpleNamespace(form=forms, device="cpu") for forms in (["fused", "triton"], ["triton"]))
    assert fused_losses.forms_that_run(both) == ["fused"]  # type: ignore[arg-type]
    assert "left out: no triton here" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="no form"):
        fused_losses.forms_that_run(one)  # type: ignore[arg-type]


def test_the_script_for_a_machine_without_node(tmp_path: Path) -> None:
    """On the CPU, and with no `node` to be found."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "dirname", "mkdir", "tee"):
        program = shutil.which(name)
        assert program is not None, name
        (programs / name).symlink_to(program)
    (programs / "python3").symlink_to(sys.executable)
    out = tmp_path / "out"
    command = ["bash", "tests/bench/gpu.sh", str(out), "", "fused_losses", "--quick", "--threads", "1"]
    sizes = ["--positions", "64", "--vocab", "128", "--hidden", "8"]
    environment = {
        **os.environ,
        "PATH": str(programs),
        "DEVICE": "cpu",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [*command, *sizes], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((out / "fused_losses.json").read_text())["results"]
    assert "| jsd " in (out / "bench.log").read_text()


def result_of(module: Any, monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> dict[str, Any]:
    """The file of one bench."""
    file = folder / "result.json"
    monkeypatch.setattr(sys, "argv", ["bench", "--out", str(file), "--pairs", "1", THREADS, *arguments])
    module.main()
    content: dict[str, Any] = json.loads(file.read_text())
    assert content["machine"]["cores"] >= 1 and content["settings"]["pairs"] == 1
    return content


def test_agreement(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--model", "micro", "--form", "fused", "--dtype", "float32")
    results = result_of(agreement, monkeypatch, tmp_path, *options)["results"]
    assert [result["what"] for result in results] == ["jsd, fused", "moment, fused", "micro, fixed"]
    assert all(result["well"] for result in results)
    assert "WRONG" not in capsys.readouterr().out


def test_agreement_tells_what_is_wrong_and_what_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def draws(*_: Any) -> list[list[int]]:
        raise MemoryError("none left")

    def errors(loss: str, *_: Any) -> list[float]:
        return [1e-8, math.nan, 1e-8] if loss == "moment" else [1e-8, 1e-8, 1e-2]

    monkeypatch.setattr(agreement, "loss_errors", errors)
    monkeypatch.setattr(agreement, "draws", draws)
    options = ["--model", "micro", "--form", "fused", "--dtype", "float32", THREADS]
    monkeypatch.setattr(sys, "argv", ["bench", *options])
    assert agreement.main() == 1
    jsd, moment, micro = capsys.readouterr().out.splitlines()[2:]
    assert "WRONG" in jsd and "WRONG" in moment
    assert "MemoryError: none left" in micro and "WRONG" in micro


def test_fused_losses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ("--positions", "64", "--vocab", "128", "--hidden", "8")
    results = result_of(fused_losses, monkeypatch, tmp_path, *sizes)["results"]
    assert [result["loss"] for result in results] == ["jsd", "moment"]
    assert all(result["peak_bytes"]["plain"] > 0 for result in results)
    assert "| moment | fused | 64" in capsys.readouterr().out


def test_ammd_against_gkd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = ("--setting", "micro:float32", "--steps", "2")
    [result] = result_of(ammd_gkd, monkeypatch, tmp_path, *options)["results"]
    assert "step_critic" in result["seconds_by_phase"]["ammd"]
    assert "step_critic" not in result["seconds_by_phase"]["gkd"]
    assert len(result["pairs"]["ammd"]) == 1


def test_overlap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = ("--setting", "micro:float32", "--steps", "3")
    [result] = result_of(overlap, monkeypatch, tmp_path, *options)["results"]
    assert {side: len(pairs) for side, pairs in result["pairs"].items()} == {"ahead": 1, "fresh": 1}
    assert all(size >= 0 for size in result["peak_bytes"].values())
    with pytest.raises(WorkerError, match="fresh drew"):
        overlap.Side(None, WORKLOADS["micro"], "fresh")._check(3, {"policy_version": 2, "tokens": 8})


def test_generation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = ("--model", "micro", "--steps", "fixed", "--prompt", "5", "--new-tokens", "7", "--clock", "cpu")
    suppressed, drawn = result_of(generation, monkeypatch, tmp_path, *options)["results"]
    # One block (hidden 32, MLP 64), three norms, the head; 2 rows of 9 tokens on average.
    weights = 4 * 32 * 32 + 3 * 32 * 64 + 3 * 32 + 64 * 32
    assert suppressed["step_bytes"] == 4 * (weights + 2 * 32 * 9 * 2)
    assert suppressed["rows_per_token"]["median"] == 6 / 7
    assert suppressed["decode_over_floor"]["median"] > 0.0 and "decode_over_floor" not in drawn
    assert all(len(values) == 1 for values in drawn["pairs"].values())


class SquareWorker:
    """Takes a second for each row and token of a row, and a square of them in bytes."""

    def __init__(self, threads: int) -> None:
        assert threads == 1

    def __enter__(self) -> "SquareWorker":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def load(self, _method: str, workload: Workload, _place: Place, _session: Session) -> None:
        self.size = workload.batch * workload.new_tokens

    def restart_peak(self) -> int:
        return 1000

    def steps(self, steps: list[Any]) -> tuple[float, list[Any]]:
        return float(self.size * len(steps)), []

    def peak_bytes(self) -> int:
        return 1000 + self.size**2


def test_growth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(growth, "BenchWorker", SquareWorker)
    options = ("--base", "micro", "--axis", "batch", "vocabulary", "--factors", "1", "2", "4")
    batch, vocabulary = result_of(growth, monkeypatch, tmp_path, *options)["results"]
    assert batch["time_exponent"]["median"] == pytest.approx(1.0)
    assert batch["memory_exponent"] == pytest.approx(2.0)
    assert batch["flops_exponent"] == pytest.approx(1.0)
    assert vocabulary["time_exponent"]["median"] == pytest.approx(0.0, abs=1e-9)
    assert 0.0 < vocabulary["flops_exponent"] < 1.0


def test_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = ("--base", "micro", "--shape", "4:8:4:2", "--taken", "1")
    [result] = result_of(memory, monkeypatch, tmp_path, *options)["results"]
    assert result["shape"] == {"rows": 4, "prompt": 8, "new_tokens": 4, "micro_batch": 2}
    assert result["missing"] is None
    assert list(result["phases"]) == ["scoring", "critics", "student", "update", "step:0/rollout.on"]
    assert result["ratio"] == result["predicted_bytes"] / result["measured_bytes"] > 0.0


@pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="npm run setup -- --with trl")
def test_trl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = ("--setting", "micro:float32", "--trl-python", sys.executable)
    [result] = result_of(trl_gkd, monkeypatch, tmp_path, *options)["results"]
    assert result["objective"]["ours"] == pytest.approx(result["objective"]["trl"], rel=1e-4)
    assert result["trl"]["parameters"]["student"] == result["student"]["parameters"]
