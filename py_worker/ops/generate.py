"""Draws responses from a policy and keeps them under a handle."""

import numpy as np

from py_worker.ops.specs import sampling_of
from py_worker.server.context import OperationContext
from py_worker.server.errors import ArgumentError
from py_worker.server.held import Rollout
from py_worker.server.protocol_gen import GenerateArgs, GenerateResult
from py_worker.server.session import Session


def run(session: Session, args: GenerateArgs, context: OperationContext) -> GenerateResult:
    """One response per row; the random numbers are keyed by seed, sample id and position."""
    if len(args.rows) != len(args.sample_ids):
        raise ArgumentError(f"sample_ids: {len(args.sample_ids)} of them for {len(args.rows)} rows; one each")
    session.handles.require_free(args.out)
    role, dataset = session.role(args.role), session.rows_of(args.dataset, args.rows)
    prompts = [np.array(dataset.row(row).prompt) for row in args.rows]
    drawn = role.engine.generate(
        role.policy, prompts, args.sample_ids, sampling_of(args.sampling), args.seed, context.check
    )
    rollout = Rollout(
        sample_ids=tuple(args.sample_ids),
        prompts=tuple(prompts),
        tokens=tuple(drawn.tokens),
        ended=tuple(drawn.ended),
        log_probs=tuple(drawn.log_probs),
        policy_version=role.version,
    )
    session.handles.require_room(args.out, rollout.bytes)
    context.commit()
    session.handles.add(args.out, rollout, rollout.bytes)
    return GenerateResult(
        rows=len(prompts),
        tokens=drawn.token_count,
        ended=sum(drawn.ended),
        cached=0,
        policy_version=role.version,
    )
