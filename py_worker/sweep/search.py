"""A search over parameters that goes on where a killed process left it."""

import warnings
from pathlib import Path

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial
from optuna.trial import TrialState as State

from py_worker.sweep.messages import Choice, Domain, FloatRange, IntRange, Open, TrialState, Value

STUDY = "sweep"
"""Name of the one study of a journal."""
PRUNE = "prune"
"""Attribute of a trial that is to be stopped: the controller may be killed before it hears of that."""
FEWEST_FOR_IMPORTANCES = 10
"""The best tenth of fewer trials is one of them."""
STATES = {"complete": State.COMPLETE, "pruned": State.PRUNED, "failed": State.FAIL}


class SearchStudy:
    """Asks and tells of one Optuna study whose journal is on disk.

    Each trial has a sampler of its own, from the search's seed and its number: what that draws follows from
    these and from the trials before, not from how often the search was stopped between trials.
    """

    def __init__(self, opening: Open) -> None:
        """Opens or begins the study.

        Args:
            opening: the search; that of the journal, where there is one.
        """
        self._opening = opening
        _mend(Path(opening.journal))
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(opening.journal)),
            study_name=STUDY,
            direction=opening.direction,
            load_if_exists=True,
            sampler=optuna.samplers.RandomSampler(),  # never asked: see `ask`
            pruner=self._pruner(),
        )
        self._running: dict[int, Trial] = {}

    def trials(self) -> list[TrialState]:
        """All trials by number. Those that a kill left without some parameter get it now."""
        found = []
        for frozen in self._study.get_trials(deepcopy=False):
            running = not frozen.state.is_finished()
            if running:
                self._prepare(frozen.number)
                self._running[frozen.number] = Trial(self._study, frozen._trial_id)
                parameters = self._suggest(self._running[frozen.number])
            else:
                parameters = dict(frozen.params)
            found.append(TrialState(frozen.number, running, parameters))
        return found

    def ask(self) -> tuple[int, dict[str, Value]]:
        """Begins the next trial and chooses its parameters."""
        self._prepare(len(self._study.get_trials(deepcopy=False)))
        trial = self._study.ask()
        self._running[trial.number] = trial
        return trial.number, self._suggest(trial)

    def report(self, number: int, step: int, value: float) -> bool:
        """Notes a value of a running trial. Returns whether it is to be stopped."""
        trial = self._running[number]
        if PRUNE in trial.user_attrs:
            return True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a step reported before a kill, whose value stays
            trial.report(value, step)
        if not trial.should_prune():
            return False
        trial.set_user_attr(PRUNE, step)
        return True

    def tell(self, number: int, state: str, value: float | None, reason: str | None) -> None:
        """Ends a running trial."""
        trial = self._running.pop(number)
        if reason is not None:
            trial.set_user_attr("reason", reason)
        # A grid's sampler would stop a loop that is not there when told of its last trial.
        self._study.sampler = optuna.samplers.RandomSampler()
        self._study.tell(trial, value, state=STATES[state])

    def importances(self) -> dict[str, float] | None:
        """Shares of the parameters by PED-ANOVA (Watanabe et al. 2023), None with few complete trials."""
        complete = self._study.get_trials(deepcopy=False, states=(State.COMPLETE,))
        if len(complete) < FEWEST_FOR_IMPORTANCES:
            return None
        return get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator())

    def _prepare(self, number: int) -> None:
        """Puts in place the sampler that chooses the parameters of a trial."""
        search, space = self._opening.search, self._opening.space
        if search.kind == "grid":
            # It finds a trial's place in the grid by its number, in the order that the seed gives.
            points = {name: _points(domain) for name, domain in space.items()}
            self._study.sampler = optuna.samplers.GridSampler(points, seed=search.seed % 2**32)
            return
        seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])
        self._study.sampler = (
            optuna.samplers.RandomSampler(seed=seed)
            if search.kind == "random"
            else optuna.samplers.TPESampler(seed=seed, n_startup_trials=search.startup_trials)
        )

    def _suggest(self, trial: Trial) -> dict[str, Value]:
        """The trial's parameters; one that has been chosen before stays."""
        return {name: _suggest_one(trial, name, domain) for name, domain in self._opening.space.items()}

    def _pruner(self) -> optuna.pruners.BasePruner:
        pruning = self._opening.pruning
        if pruning is None:
            return optuna.pruners.NopPruner()
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=pruning.min_steps, reduction_factor=pruning.reduction_factor
        )


def _suggest_one(trial: Trial, name: str, domain: Domain) -> Value:
    match domain:
        case Choice(values):
            return str(trial.suggest_categorical(name, values))
        case FloatRange(low, high, log):
            return trial.suggest_float(name, low, high, log=log)
        case IntRange(low, high, step, log):
            return trial.suggest_int(name, low, high, step=step, log=log)


def _points(domain: Domain) -> list[Value]:
    match domain:
        case Choice(values):
            return list(values)
        case IntRange(low, high, step, _):
            return list(range(low, high + 1, step))
        case FloatRange():
            raise ValueError("a grid needs values to choose from, not a range of numbers")


def _mend(journal: Path) -> None:
    """Cuts an unfinished last line, and removes a killed process's lock: the folder has one controller."""
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if journal.exists():
        whole = journal.read_bytes().rfind(b"\n") + 1
        with journal.open("rb+") as file:
            file.truncate(whole)
