"""What the controller asks the search, and what it is answered: one JSON object a line, an answer to each.

Parameters go by name. Values are chosen as texts; what these stand for is known to the controller alone.
"""

from typing import Literal

import msgspec


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="values"):
    """One of some texts."""

    values: tuple[str, ...]


class FloatRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="float"):
    """A number from `low` to `high`; `log` draws its logarithm evenly."""

    low: float
    high: float
    log: bool


class IntRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="int"):
    """A whole number from `low` to `high` in steps."""

    low: int
    high: int
    step: int
    log: bool


Domain = Choice | FloatRange | IntRange


class Search(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How parameters are chosen; `startup_trials` are random ones, before TPE has anything to go by."""

    kind: Literal["grid", "random", "tpe"]
    seed: int
    startup_trials: int


class Pruning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asynchronous successive halving: of those at `min_steps` · factor^k steps, one in `factor` goes on."""

    min_steps: int
    reduction_factor: int


class Open(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="open"):
    """Begins a search, or goes on with the one that the journal holds. The first request, and no other is."""

    journal: str
    direction: Literal["maximize", "minimize"]
    space: dict[str, Domain]
    search: Search
    pruning: Pruning | None


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ask"):
    """The next trial."""


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="report"):
    """A value of a running trial after so many steps; a step told before counts once."""

    number: int
    step: int
    value: float


class Tell(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="tell"):
    """How a trial ended."""

    number: int
    state: Literal["complete", "pruned", "failed"]
    value: float | None
    reason: str | None


class Weigh(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="weigh"):
    """How much each parameter matters."""


Request = Open | Ask | Report | Tell | Weigh

Value = float | int | str


class TrialState(msgspec.Struct, frozen=True):
    """A trial that the journal holds."""

    number: int
    running: bool
    parameters: dict[str, Value]


class Opened(msgspec.Struct, frozen=True):
    """All trials so far, by number. What a trial was asked for before a kill is completed."""

    trials: list[TrialState]


class Asked(msgspec.Struct, frozen=True):
    """A new trial, running from now on."""

    number: int
    parameters: dict[str, Value]


class Reported(msgspec.Struct, frozen=True):
    """Whether the trial is to be stopped: decided once, whatever is reported later."""

    prune: bool


class Told(msgspec.Struct, frozen=True):
    """The journal has it."""


class Weighed(msgspec.Struct, frozen=True):
    """Shares that sum to 1; none while too few trials are complete to say."""

    importances: dict[str, float] | None


Answer = Opened | Asked | Reported | Told | Weighed
