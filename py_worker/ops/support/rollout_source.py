"""Sources of rollouts, and whether training goes on meanwhile: for drawing and for predicting memory."""

from dataclasses import dataclass

from py_worker.models.policy import Policy
from py_worker.rollout.engine import Engine, Mixture, select_engine
from py_worker.session.session import Role, RoleName, Session


@dataclass(frozen=True)
class RolloutSource:
    """A role, or the student and the teacher mixed, with an engine.

    Attributes:
        name: teacher, student or mixture; limits of rows go by it (`DrawnRows`).
        roles: that take part.
        mixture: what tokens are drawn from.
        engine: serves all of it.
    """

    name: str
    roles: tuple[Role, ...]
    mixture: Mixture
    engine: Engine


def rollout_source(
    session: Session, role: RoleName, share: float | None, copy: Policy | None = None
) -> RolloutSource:
    """Source of a rollout.

    Args:
        session: has the roles.
        role: whose responses they are.
        share: the teacher's in a mixture; 0 and None are none.
        copy: drawn from in place of the role's own policy.

    Raises:
        NotLoadedError: a role that takes part is not loaded.
    """
    own = session.role(role)
    policy = own.policy if copy is None else copy
    if not share:
        return RolloutSource(role, (own,), Mixture.of(policy), own.engine)
    teacher = session.role("teacher")
    mixture = Mixture.blend(policy, teacher.policy, share)
    engine = select_engine(*mixture.policies, name=own.engine_choice).engine
    return RolloutSource("mixture", (own, teacher), mixture, engine)


def can_be_beside(session: Session, source: RolloutSource) -> bool:
    """Whether responses of that source can be drawn while other operations run.

    That takes a device which computes both at a time: on a CPU they are slower than one after the other. And
    weights that come to the device for one thread's work may not be there yet, or still, for the other's.
    """
    side_by_side = session.device.type == "cuda" or session.background is not None
    offloaded = any(role.policy.is_offloaded for role in source.roles)
    return side_by_side and source.engine.concurrent and not offloaded
