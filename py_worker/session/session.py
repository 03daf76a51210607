"""All that a worker has loaded. One owner: the operation loop's thread; everything else gets copies."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch

from py_worker.protocol_gen import FileHash
from py_worker.session.errors import ArgumentError, NotLoadedError
from py_worker.session.handles import HandleTable
from py_worker.session.step_metrics import StepMetrics

if TYPE_CHECKING:  # These need transformers, which takes seconds to import.
    from py_worker.data.dataset import TokenizedDataset
    from py_worker.losses.loss_form import LossForm
    from py_worker.models.critics.critic import Critic
    from py_worker.models.optimizer import Optimizer
    from py_worker.models.policy import Policy
    from py_worker.rollout.engine import Engine
    from py_worker.session.background import BackgroundRollouts

RoleName = Literal["teacher", "student"]


@dataclass(frozen=True)
class Settings:
    """What `configure` said.

    Attributes:
        device: of all models and batches.
        cache_dir: folder of the tokenization cache.
        position_chunk: positions whose logits exist at a time; None takes the losses' own table.
        loss_form: how the student's losses are computed.
    """

    device: torch.device
    cache_dir: str
    position_chunk: int | None
    loss_form: "LossForm" = "auto"


@dataclass(frozen=True)
class Halvings:
    """How often running out of memory has halved what is computed at a time.

    Attributes:
        micro_batch: each micro-batch, by its rows.
        position_chunk: positions whose logits exist at a time.
    """

    micro_batch: int = 0
    position_chunk: int = 0


class DrawnRows:
    """Rows that responses are drawn for at a time. Any thread that draws may lower it.

    Attributes:
        configured: at most; None leaves it to the engine.
    """

    def __init__(self) -> None:
        self.configured: int | None = None
        self._halved: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def halved(self) -> dict[str, int]:
        """At most since memory ran out, by what was drawn from: teacher, student or mixture."""
        with self._lock:
            return dict(self._halved)

    def most(self, source: str) -> int | None:
        """At a time from that source; None leaves it to the engine."""
        limits = (self.configured, self.halved.get(source))
        return min((limit for limit in limits if limit is not None), default=None)

    def lower(self, source: str, most: int) -> None:
        """Memory has room for no more than so many."""
        with self._lock:
            self._halved[source] = min(most, self._halved.get(source, most))

    def restore(self, halved: dict[str, int]) -> None:
        """To what a checkpoint says."""
        with self._lock:
            self._halved = dict(halved)


@dataclass
class Role:
    """A loaded policy.

    Attributes:
        policy: the model.
        engine: generates from it.
        engine_choice: the engine's name as it was asked for; "auto" leaves it to each mixture with the role.
        optimizer: for a role that is trained.
        version: counts optimizer steps; monotone, also over restarts.
        weights_hash: of a role that is not trained; None until something needs it.
    """

    policy: "Policy"
    engine: "Engine"
    optimizer: "Optimizer | None" = None
    version: int = 0
    weights_hash: str | None = None
    engine_choice: str = "auto"


@dataclass(frozen=True)
class TrainedCritic:
    """A critic with its optimizer.

    Attributes:
        critic: the one that ascends; the critic's metrics are about it.
        optimizer: of its weights.
        average: exponential average of its weights, one move a turn; None where its target_decay is off.
    """

    critic: "Critic"
    optimizer: "Optimizer"
    average: "Critic | None" = None

    @property
    def for_student(self) -> "Critic":
        """Whose values the student's objective takes."""
        return self.critic if self.average is None else self.average


@dataclass
class Session:
    """Settings, roles, critics, datasets, handles and metrics.

    Attributes:
        resident_at_start: bytes of the process before anything is loaded.
        halvings: apply to every batch from now on.
        measure_halvings: likewise, for measuring alone; training may have the room.
        drawn_rows: applies to every generation from now on.
        background: draws rollouts beside operations; None until the first of them.
        staged: checkpoints that are being written or wait for their commit, by name.
        writer: the thread that writes them.
    """

    settings: Settings | None = None
    resident_at_start: int = 0
    roles: dict[RoleName, Role] = field(default_factory=dict)
    critics: dict[str, TrainedCritic] = field(default_factory=dict)
    datasets: "dict[str, TokenizedDataset]" = field(default_factory=dict)
    handles: HandleTable = field(default_factory=HandleTable)
    metrics: StepMetrics = field(default_factory=StepMetrics)
    halvings: Halvings = Halvings()
    measure_halvings: Halvings = Halvings()
    drawn_rows: DrawnRows = field(default_factory=DrawnRows)
    background: "BackgroundRollouts | None" = None
    staged: "dict[str, Future[list[FileHash]]]" = field(default_factory=dict)
    writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "checkpoint"))

    @property
    def device(self) -> torch.device:
        """The configured device; the CPU before that."""
        return torch.device("cpu") if self.settings is None else self.settings.device

    def configured(self) -> Settings:
        """The settings.

        Raises:
            NotLoadedError: `configure` was not sent.
        """
        if self.settings is None:
            raise NotLoadedError("the session has no settings: send configure first")
        return self.settings

    def role(self, name: RoleName) -> Role:
        """A loaded role.

        Raises:
            NotLoadedError: it is not.
        """
        if name not in self.roles:
            raise NotLoadedError(f"no {name} is loaded: send load_role with role {name!r} first")
        return self.roles[name]

    def any_role(self) -> Role:
        """The student, or the teacher where there is none: for what both have in common, as the tokenizer.

        Raises:
            NotLoadedError: neither is loaded.
        """
        if not self.roles:
            raise NotLoadedError("neither teacher nor student is loaded: send load_role first")
        return self.roles.get("student") or self.roles["teacher"]

    def trained(self, name: RoleName) -> "tuple[Role, Optimizer]":
        """A role and its optimizer.

        Raises:
            NotLoadedError: the role is not loaded, or was loaded without an optimizer.
        """
        role = self.role(name)
        if role.optimizer is None:
            raise NotLoadedError(f"the {name} has no optimizer: load it with one to train it")
        return role, role.optimizer

    def critic(self, name: str) -> TrainedCritic:
        """A critic.

        Raises:
            NotLoadedError: no such critic.
        """
        if name not in self.critics:
            raise NotLoadedError(f"no critic {name!r}; loaded: {', '.join(self.critics) or 'none'}")
        return self.critics[name]

    def dataset(self, name: str) -> "TokenizedDataset":
        """A registered dataset.

        Raises:
            NotLoadedError: no such dataset.
        """
        if name not in self.datasets:
            raise NotLoadedError(f"no dataset {name!r}; registered: {', '.join(self.datasets) or 'none'}")
        return self.datasets[name]

    def rows_of(self, name: str, rows: list[int]) -> "TokenizedDataset":
        """A dataset that has all these rows.

        Raises:
            NotLoadedError: no such dataset.
            ArgumentError: a row beyond its end.
        """
        dataset = self.dataset(name)
        beyond = [row for row in rows if row >= len(dataset)]
        if beyond:
            raise ArgumentError(f"dataset {name!r} has {len(dataset)} rows; there is no row {beyond[0]}")
        return dataset

    def end_background(self) -> None:
        """Waits for rollouts that are being drawn, and lets the copy of the student go."""
        if self.background is not None:
            self.background.close()
            self.background = None

    def reset(self, *, keep_teacher: bool = False) -> None:
        """Frees everything but the settings, and perhaps the teacher."""
        self.end_background()
        teacher = self.roles.get("teacher") if keep_teacher else None
        self.roles.clear()
        if teacher is not None:
            teacher.policy.restore_vocabulary()  # The student had cut it to what both have.
            self.roles["teacher"] = teacher
        self.critics.clear()
        self.datasets.clear()
        self.handles.clear()
        self.metrics.clear()
        self.halvings = Halvings()
        self.measure_halvings = Halvings()
        self.drawn_rows.restore({})
        self.staged.clear()

    def close(self) -> None:
        """Waits for checkpoints that are being written; a rollout that is being drawn is given up."""
        if self.background is not None:
            self.background.stop()
        self.end_background()
        self.writer.shutdown(wait=True)
