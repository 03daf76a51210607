"""Checks the identities that must hold on the models and data that are loaded."""

import math

from py_worker.data.row import Row
from py_worker.ops.support import identities
from py_worker.protocol_gen import PreflightArgs, PreflightResult
from py_worker.session.context import OperationContext
from py_worker.session.session import Session

_ROWS = 4
"""Rows that are tried, of those asked for the first with a response."""


def run(session: Session, args: PreflightArgs, context: OperationContext) -> PreflightResult:
    """A check that does not hold is a result, not an error; without a response there is nothing to check."""
    dataset = session.rows_of(args.dataset, args.rows)
    rows = [row for row in map(dataset.row, args.rows) if len(row.response) > 0][:_ROWS]
    if not rows:
        return PreflightResult(checks=[])
    policy = session.any_role().policy
    batch = policy.collate([Row(row.prompt, row.response, index, "all") for index, row in enumerate(rows)])
    checks = identities.labels(rows, batch, policy.eos_ids)
    policies = {name: role.policy for name, role in session.roles.items()}
    checks += identities.finite_losses(policies, batch)
    critics = {name: trained.critic for name, trained in session.critics.items()}
    for name, role in session.roles.items():
        context.check()
        hidden = identities.response_hidden(role.policy, batch)
        checks += identities.divergence_from_itself(name, role.policy, hidden)
        checks.append(identities.gap_from_itself(name, role.policy, hidden, critics))
        room = (role.policy.max_positions or math.inf) - identities.DRAWN_TOKENS
        prompts = [row.prompt for row in rows if len(row.prompt) <= room]
        if prompts:
            checks.append(
                identities.generation_agrees(name, role.policy, role.engine, prompts, context.check)
            )
    return PreflightResult(checks=checks)
