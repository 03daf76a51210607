"""The search process with the real Optuna: what it chooses, when it stops a trial, what a kill leaves."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
LR, METHOD, LAYERS = "stages.ammd.training.lr", "stages.ammd.method", "models.small.arch.layers"
SPACE = {
    LR: {"kind": "float", "low": 1e-4, "high": 1e-2, "log": True},
    METHOD: {"kind": "values", "values": ['"kd"', '{"extends":"ammd"}']},
    LAYERS: {"kind": "int", "low": 1, "high": 7, "step": 2, "log": False},
}
PRUNING = {"min_steps": 10, "reduction_factor": 2}

Parameters = dict[str, Any]


class Study:
    """The process, and a question at a time."""

    def __init__(self, journal: Path, **change: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "py_worker.sweep.study"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        search = {"kind": "random", "seed": 3, "startup_trials": 4, **change.pop("search", {})}
        opening = {
            "journal": str(journal),
            "direction": "maximize",
            "space": SPACE,
            "pruning": None,
            **change,
        }
        self.trials = self("open", **opening, search=search)["trials"]

    def __call__(self, kind: str, **arguments: Any) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"kind": kind, **arguments}) + "\n")
        self.process.stdin.flush()
        return dict(json.loads(self.process.stdout.readline()))

    def ask(self) -> tuple[int, Parameters]:
        """Number and parameters of a new trial."""
        answer = self("ask")
        return answer["number"], answer["parameters"]

    def report(self, number: int, step: int, value: float) -> bool:
        """Whether the trial is to be stopped."""
        return bool(self("report", number=number, step=step, value=value)["prune"])

    def tell(self, number: int, state: str = "complete", value: float | None = 1.0) -> None:
        """Ends a trial."""
        assert self("tell", number=number, state=state, value=value, reason=None) == {}

    def end(self) -> str:
        """Closes its input. Returns what it said on standard error."""
        said = self.process.communicate(timeout=60)[1]
        assert self.process.returncode == 0, said
        return said

    def kill(self) -> None:
        """As by a power cut."""
        self.process.kill()
        self.process.communicate(timeout=60)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "study.jsonl"


def run(study: Study, trials: int, value: Callable[[Parameters], float] = lambda _: 1.0) -> list[Parameters]:
    """Completes so many trials, one after the other."""
    chosen = []
    for _ in range(trials):
        number, parameters = study.ask()
        study.tell(number, value=value(parameters))
        chosen.append(parameters)
    return chosen


def inside(parameters: Mapping[str, Any]) -> bool:
    return (
        1e-4 <= parameters[LR] <= 1e-2
        and parameters[METHOD] in SPACE[METHOD]["values"]  # type: ignore[operator]
        and parameters[LAYERS] in (1, 3, 5, 7)
    )


def best_near_1e_3(parameters: Mapping[str, Any]) -> float:
    """A value that depends on one parameter alone."""
    return -abs(math.log10(parameters[LR]) + 3)


def test_random_parameters_lie_in_the_space_and_follow_from_the_seed(tmp_path: Path) -> None:
    chosen = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        study = Study(tmp_path / f"{name}.jsonl", search={"seed": seed})
        chosen[name] = run(study, 6)
        study.end()
    assert all(inside(parameters) for parameters in chosen["a"])
    assert len({parameters[LR] for parameters in chosen["a"]}) == 6
    assert chosen["a"] == chosen["b"] != chosen["c"]


def test_a_grid_has_each_point_once_also_across_a_kill(journal: Path) -> None:
    space = {name: SPACE[name] for name in (METHOD, LAYERS)}
    first = Study(journal, space=space, search={"kind": "grid"})
    seen = run(first, 3)
    number, running = first.ask()
    first.kill()
    second = Study(journal, space=space, search={"kind": "grid"})
    assert second.trials[-1] == {"number": number, "running": True, "parameters": running}
    second.tell(number)
    seen += [running, *run(second, 4)]
    second.end()
    points = {(parameters[METHOD], parameters[LAYERS]) for parameters in seen}
    assert len(points) == len(seen) == 8


@pytest.mark.parametrize("kind", ["random", "tpe"])
def test_a_search_that_was_killed_goes_on_as_one_that_was_not(tmp_path: Path, kind: str) -> None:
    whole = Study(tmp_path / "whole.jsonl", search={"kind": kind})
    expected = run(whole, 9, best_near_1e_3)
    whole.end()
    chosen: list[Parameters] = []
    for _ in range(3):
        study = Study(tmp_path / "killed.jsonl", search={"kind": kind})
        for trial in study.trials:
            assert trial["parameters"] == expected[trial["number"]]
            if trial["running"]:
                study.tell(trial["number"], value=best_near_1e_3(trial["parameters"]))
                chosen.append(trial["parameters"])
        chosen += run(study, 2, best_near_1e_3)
        study.ask()
        study.kill()
    assert chosen == expected[: len(chosen)] and len(chosen) == 8


def test_tpe_learns_where_it_is_good(journal: Path) -> None:
    study = Study(journal, search={"kind": "tpe", "startup_trials": 8})
    chosen = run(study, 40, best_near_1e_3)
    study.end()
    late, early = ([abs(math.log10(c[LR]) + 3) for c in part] for part in (chosen[-15:], chosen[:8]))
    assert sum(late) / 15 < sum(early) / 8 / 2


def test_trials_may_run_side_by_side(journal: Path) -> None:
    study = Study(journal, search={"kind": "tpe"})
    running = [study.ask() for _ in range(3)]
    assert [number for number, _ in running] == [0, 1, 2]
    for number, _ in reversed(running):
        study.tell(number)
    assert study.ask()[0] == 3
    study.end()


def test_halving_stops_those_that_are_behind(journal: Path) -> None:
    study = Study(journal, pruning=PRUNING)
    good, bad, better = (study.ask()[0] for _ in range(3))
    assert not study.report(good, 5, 50.0), "below min_steps nobody is stopped"
    assert not study.report(good, 10, 50.0)
    assert study.report(bad, 10, 10.0)
    assert not study.report(better, 10, 60.0)
    study.tell(bad, "pruned", None)
    study.tell(good, "complete", 55.0)
    study.end()


def test_less_is_better_where_the_direction_says_so(journal: Path) -> None:
    study = Study(journal, pruning=PRUNING, direction="minimize")
    low, high = study.ask()[0], study.ask()[0]
    assert not study.report(low, 10, 1.0)
    assert study.report(high, 10, 2.0)
    study.end()


def test_a_stop_is_decided_once_and_a_step_counts_once_across_a_kill(journal: Path) -> None:
    study = Study(journal, pruning=PRUNING)
    good, bad = study.ask()[0], study.ask()[0]
    study.report(good, 10, 50.0)
    assert study.report(bad, 10, 10.0)
    study.kill()
    study = Study(journal, pruning=PRUNING)
    assert [trial["running"] for trial in study.trials] == [True, True]
    assert study.report(bad, 10, 99.0), "it was to be stopped, whatever is said now"
    assert not study.report(good, 10, 0.0), "the first value of a step stays"
    study.tell(bad, "pruned", None)
    assert "UserWarning" not in study.end()


def test_a_failed_trial_is_kept_and_teaches_nothing(journal: Path) -> None:
    study = Study(journal)
    number, _ = study.ask()
    assert study("tell", number=number, state="failed", value=None, reason="no memory") == {}
    study.kill()
    study = Study(journal)
    assert [(trial["number"], trial["running"]) for trial in study.trials] == [(0, False)]
    assert study("weigh") == {"importances": None}
    study.end()
    assert "no memory" in journal.read_text()


def test_importances_name_what_decides(journal: Path) -> None:
    study = Study(journal)
    run(study, 9, best_near_1e_3)
    assert study("weigh") == {"importances": None}, "the best tenth of nine is nobody"
    run(study, 31, best_near_1e_3)
    importances = study("weigh")["importances"]
    study.end()
    assert sum(importances.values()) == pytest.approx(1)
    assert importances[LR] > 0.5 and set(importances) == set(SPACE)


def test_what_a_killed_writer_left_is_mended(journal: Path) -> None:
    study = Study(journal)
    chosen = run(study, 2)
    study.kill()
    with journal.open("a") as file:
        file.write('{"op_code":4,"wor')
    lock = journal.with_name("study.jsonl.lock")
    lock.symlink_to(journal)
    study = Study(journal)
    assert [trial["parameters"] for trial in study.trials] == chosen
    study.ask()
    study.end()
    assert len(Study(journal).trials) == 3
    assert not lock.is_symlink()


def test_a_trial_killed_while_it_was_asked_for_gets_the_rest_of_its_parameters(tmp_path: Path) -> None:
    whole = Study(tmp_path / "whole.jsonl")
    _, expected = whole.ask()
    whole.end()
    lines = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    asked = [index for index, line in enumerate(lines) if METHOD in line]
    cut = tmp_path / "cut.jsonl"
    cut.write_text("".join(lines[: asked[0]]))
    (trial,) = Study(cut).trials
    assert trial["running"] and inside(trial["parameters"])
    assert trial["parameters"][LR] == expected[LR], "what had been chosen stays"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_group_is_the_controllers_affair(journal: Path, number: signal.Signals) -> None:
    study = Study(journal)
    os.kill(study.process.pid, number)
    assert study.ask()[0] == 0
    study.end()


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (['{"kind": "ask"}'], "the first request must open the search"),
        (["nonsense"], "DecodeError"),
        (['{"kind": "ask", "extra": 1}'], "ValidationError"),
    ],
)
def test_a_request_that_makes_no_sense_ends_it(lines: list[str], why: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "py_worker.sweep.study"],
        cwd=ROOT,
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 1 and finished.stdout == ""
    assert why in finished.stderr


def test_it_loads_no_torch() -> None:
    code = "import sys, py_worker.sweep.study; print('torch' in sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert finished.stdout == "False\n"
