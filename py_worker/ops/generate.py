"""Draws responses from a policy, or from a mixture of both, and keeps them under a handle."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from py_worker.ops.specs import given, sampling_of
from py_worker.rollout.engine import Engine, Mixture, Sampling, select_engine
from py_worker.rollout.fingerprint import store_key, weights_hash
from py_worker.rollout.response_cache import ResponseCache
from py_worker.rollout.rollouts import Rollouts, TokenArray
from py_worker.server.context import OperationContext
from py_worker.server.errors import ArgumentError
from py_worker.server.held import Rollout
from py_worker.server.protocol_gen import GenerateArgs, GenerateResult
from py_worker.server.session import Session

FOLDER = "responses"
"""Of kept responses, within the cache folder."""


def run(session: Session, args: GenerateArgs, context: OperationContext) -> GenerateResult:
    """One response per row; the random numbers are keyed by seed, sample id and position."""
    _check(args)
    session.handles.require_free(args.out)
    role, dataset = session.role(args.role), session.rows_of(args.dataset, args.rows)
    prompts = [np.array(dataset.row(row).prompt) for row in args.rows]
    engine, mixture = _source(session, args)
    sampling = sampling_of(args.sampling)
    drawn_tokens = 0

    def draw(prompts: Sequence[TokenArray], sample_ids: Sequence[int]) -> Rollouts:
        nonlocal drawn_tokens
        new = engine.generate(mixture, prompts, sample_ids, sampling, args.seed, context.check)
        drawn_tokens += new.token_count
        return new

    if given(args.cache):
        cache = _cache(session, sampling, args.seed, context)
        drawn, cached = cache.complete(prompts, args.sample_ids, draw)
    else:
        drawn, cached = draw(prompts, args.sample_ids), 0
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
        drawn_tokens=drawn_tokens,
        ended=sum(drawn.ended),
        cached=cached,
        policy_version=role.version,
    )


def _check(args: GenerateArgs) -> None:
    if len(args.rows) != len(args.sample_ids):
        raise ArgumentError(f"sample_ids: {len(args.sample_ids)} of them for {len(args.rows)} rows; one each")
    if given(args.mixture) and args.role != "student":
        raise ArgumentError("mixture: only the student's responses can be mixed; leave it out, or set role")
    if given(args.cache) and args.role != "teacher":
        raise ArgumentError(
            "cache: only the teacher's responses are kept, for the student changes with every step; leave it "
            "out, or set role"
        )


def _source(session: Session, args: GenerateArgs) -> tuple[Engine, Mixture]:
    """What the responses are drawn from, and an engine that serves all of it."""
    role, share = session.role(args.role), given(args.mixture)
    if not share:
        return role.engine, Mixture.of(role.policy)
    mixture = Mixture.blend(role.policy, session.role("teacher").policy, share)
    return select_engine(*mixture.policies).engine, mixture


def _cache(session: Session, sampling: Sampling, seed: int, context: OperationContext) -> ResponseCache:
    """Of the teacher's responses with these settings and this seed."""
    teacher = session.role("teacher")
    if teacher.weights_hash is None:
        teacher.weights_hash = weights_hash(teacher.policy.module, context.check)
    key = store_key(teacher.policy, teacher.weights_hash, sampling, seed)
    folder = Path(session.configured().cache_dir).expanduser() / FOLDER
    return ResponseCache(folder / f"{key}.sqlite")
