"""Sources of rollouts: who takes part in one, and that a GPU draws beside training."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from py_worker.ops.support.rollout_source import can_be_beside, rollout_source
from py_worker.session.errors import NotLoadedError
from py_worker.session.session import Session
from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import load_student


@pytest.fixture
def session(empty: LocalWorker) -> Session:
    """With a student alone."""
    empty.call("configure", **empty.settings)
    load_student(empty)
    return empty.session


@pytest.mark.parametrize("share", [None, 0.0])
def test_without_a_share_no_teacher_takes_part(session: Session, share: float | None) -> None:
    source, own = rollout_source(session, "student", share), session.role("student")
    assert (source.name, source.roles, source.mixture.policies) == ("student", (own,), (own.policy,))
    assert source.engine is own.engine


def test_a_mixture_needs_a_teacher(session: Session) -> None:
    with pytest.raises(NotLoadedError, match="teacher"):
        rollout_source(session, "student", 0.3)


def test_a_gpu_draws_beside_training_from_the_first_time_on(session: Session) -> None:
    """When nothing has been drawn in the background yet."""
    on_gpu: Any = SimpleNamespace(device=torch.device("cuda"), background=None)
    assert can_be_beside(on_gpu, rollout_source(session, "student", None))
