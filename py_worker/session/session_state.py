"""What of a session goes into a checkpoint, and how it comes back: all of it or nothing.

The teacher is not in it: it does not change and is loaded from where it came from.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from py_worker.models.state import module_state
from py_worker.session.checkpoint_files import Snapshot
from py_worker.session.errors import CheckpointError, OverBudgetError
from py_worker.session.handles import KEPT_SCOPES, scope_of
from py_worker.session.held import Rollout
from py_worker.session.session import Halvings, Session

if TYPE_CHECKING:
    from py_worker.models.optimizer import Optimizer

FORMAT: Final = 1
_ROWS: Final = ("prompts", "tokens", "log_probs")
"""Fields of a rollout that have one array per row."""


@dataclass(frozen=True)
class _Trained:
    """The tensors that training changes, with their optimizer where they have one."""

    tensors: Mapping[str, Tensor]
    optimizer: "Optimizer | None"


def take_snapshot(session: Session) -> Snapshot:
    """Copies to host memory: student, critics and averages, optimizers, policy version, kept rollouts.

    With them goes how often memory ran out, so that a resumed run cuts its batches as this one does.
    """
    tensors: dict[str, dict[str, Tensor]] = {"rollouts": {}}
    for name, trained in _trained(session).items():
        tensors[name] = _copies(trained.tensors)
        if trained.optimizer is not None:
            tensors[f"{name}.optimizer"] = _copies(trained.optimizer.state_tensors())
    versions = {}
    for scope in KEPT_SCOPES:
        for handle, rollout in session.handles.items(scope).items():
            versions[handle] = rollout.policy_version
            tensors["rollouts"] |= _pack(handle, rollout)
    student = session.roles.get("student")
    state = {
        "format": FORMAT,
        "policy_version": 0 if student is None else student.version,
        "rollouts": versions,
        "halvings": dataclasses.asdict(session.halvings),
        "measure_halvings": dataclasses.asdict(session.measure_halvings),
        "drawn_rows": session.drawn_rows.halved,
    }
    return Snapshot(state, tensors)


def snapshot_bytes(session: Session) -> int:
    """Bytes that `take_snapshot` copies, kept rollouts aside."""
    size = 0
    for trained in _trained(session).values():
        own = [] if trained.optimizer is None else trained.optimizer.state_tensors().values()
        size += sum(tensor.nbytes for tensor in (*trained.tensors.values(), *own))
    return size


def plan_restore(session: Session, snapshot: Snapshot) -> Callable[[], None]:
    """Checks a snapshot against what is loaded, changing nothing.

    Returns:
        Puts it into the session; cannot fail halfway.

    Raises:
        CheckpointError: another format, or names, shapes or dtypes that do not fit what is loaded.
        OverBudgetError: the rollouts are over the budget of their scope.
    """
    found = snapshot.state.get("format")
    if found != FORMAT:
        raise CheckpointError(f"the checkpoint has format {found}; this worker reads {FORMAT}")
    trained, tensors = _trained(session), _wanted(session, snapshot.tensors)
    optimizers = {f"{name}.optimizer": t.optimizer for name, t in trained.items() if t.optimizer is not None}
    _require_names("the checkpoint", set(tensors), {"rollouts", *trained, *optimizers})
    for name, part in trained.items():
        _check_module(name, tensors[name], part.tensors)
    for name, optimizer in optimizers.items():
        _check_moments(name, tensors[name], optimizer)
    rollouts = {
        handle: _unpack(handle, version, tensors["rollouts"])
        for handle, version in snapshot.state["rollouts"].items()
    }
    _require_room(session, rollouts)
    policy_version = snapshot.state["policy_version"]
    # Older checkpoints have none of these.
    names = ("halvings", "measure_halvings")
    halvings, of_measuring = (Halvings(**snapshot.state.get(name, {})) for name in names)
    drawn_rows = snapshot.state.get("drawn_rows") or {}

    def apply() -> None:
        for name, part in trained.items():
            _overwrite(part.tensors, tensors[name])
        for name, optimizer in optimizers.items():
            optimizer.discard_gradients()
            optimizer.load_state_tensors(tensors[name])
        if "student" in session.roles:
            session.roles["student"].version = policy_version
        session.halvings = halvings
        session.measure_halvings = of_measuring
        session.drawn_rows.restore(drawn_rows)
        session.metrics.clear()
        session.handles.clear()
        for handle, rollout in rollouts.items():
            session.handles.add(handle, rollout, rollout.bytes)

    return apply


def _wanted(session: Session, tensors: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    """A student that is not trained, as for an export, takes its weights alone."""
    student = session.roles.get("student")
    if student is None or student.optimizer is not None or session.critics:
        return tensors
    return {name: group for name, group in tensors.items() if name in ("student", "rollouts")}


def _require_room(session: Session, rollouts: Mapping[str, Rollout]) -> None:
    """Nothing else will be held: a restore frees what was."""
    for scope in KEPT_SCOPES:
        sizes = [rollout.bytes for handle, rollout in rollouts.items() if scope_of(handle) == scope]
        budget = session.handles.budgets[scope]
        if budget and sum(sizes) > budget:
            raise OverBudgetError(
                f"the checkpoint's rollouts of scope {scope} need {sum(sizes)} bytes, and the scope's budget "
                f"is {budget}; raise {scope}_budget_bytes"
            )


def _trained(session: Session) -> dict[str, _Trained]:
    parts = {}
    if "student" in session.roles:
        student = session.roles["student"]
        # Adapters lie on weights that do not change and are loaded from where they came from.
        tensors = student.policy.adapters or module_state(student.policy.module)
        parts["student"] = _Trained(tensors, student.optimizer)
    for name, critic in session.critics.items():
        parts[f"critic.{name}"] = _Trained(module_state(critic.critic), critic.optimizer)
        if critic.average is not None:
            parts[f"critic.{name}.average"] = _Trained(module_state(critic.average), None)
    return parts


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


@torch.no_grad()
def _overwrite(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        tensor.copy_(values[name])


def _require_names(what: str, found: set[str], expected: set[str]) -> None:
    if found != expected:
        missing, extra = sorted(expected - found)[:5], sorted(found - expected)[:5]
        raise CheckpointError(
            f"{what} does not fit what is loaded: missing {', '.join(missing) or 'nothing'}, "
            f"unexpected {', '.join(extra) or 'nothing'}; load the models and critics it was made with"
        )


def _check_module(what: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    _require_names(what, set(found), set(expected))
    for name, tensor in expected.items():
        saved = found[name]
        if (saved.shape, saved.dtype) != (tensor.shape, tensor.dtype):
            raise CheckpointError(
                f"{what}: {name} is {saved.dtype} {list(saved.shape)} in the checkpoint and {tensor.dtype} "
                f"{list(tensor.shape)} in the model; load the model it was made with"
            )


def _check_moments(what: str, found: Mapping[str, Tensor], optimizer: "Optimizer") -> None:
    try:
        optimizer.check_state_tensors(found)
    except ValueError as error:
        raise CheckpointError(f"{what}: {error}; load the model and optimizer it was made with") from error


def _pack(handle: str, rollout: Rollout) -> dict[str, Tensor]:
    """Rows end to end, with their lengths."""
    packed = {
        f"{handle}:sample_ids": torch.tensor(rollout.sample_ids, dtype=torch.int64),
        f"{handle}:ended": torch.tensor(rollout.ended, dtype=torch.bool),
    }
    for name in _ROWS:
        rows = getattr(rollout, name)
        flat = np.concatenate(rows) if rows else np.empty(0, dtype=np.int32)
        packed[f"{handle}:{name}"] = torch.from_numpy(flat)
        packed[f"{handle}:{name}.lengths"] = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    return packed


def _unpack(handle: str, version: int, tensors: Mapping[str, Tensor]) -> Rollout:
    def rows(name: str) -> tuple[Any, ...]:
        ends = tensors[f"{handle}:{name}.lengths"].cumsum(0).tolist()
        flat = tensors[f"{handle}:{name}"].numpy()
        return tuple(flat[start:end] for start, end in zip([0, *ends], ends, strict=False))

    try:
        return Rollout(
            sample_ids=tuple(tensors[f"{handle}:sample_ids"].tolist()),
            prompts=rows("prompts"),
            tokens=rows("tokens"),
            ended=tuple(tensors[f"{handle}:ended"].tolist()),
            log_probs=rows("log_probs"),
            policy_version=version,
        )
    except KeyError as error:
        raise CheckpointError(f"rollout {handle} is incomplete in the checkpoint: {error}") from error
