"""Draws responses from a policy, or from a mixture of both, and keeps them under a handle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from py_worker.ops.support.fitted_draw import FittedDraw
from py_worker.ops.support.rollout_source import RolloutSource, can_be_beside, rollout_source
from py_worker.ops.support.specs import given, sampling_of
from py_worker.protocol_gen import GenerateArgs, GenerateResult
from py_worker.rollout.fingerprint import store_key, weights_hash
from py_worker.rollout.request import TokenArray
from py_worker.rollout.response_cache import ResponseCache
from py_worker.rollout.responses import Responses
from py_worker.rollout.sampling import Sampling
from py_worker.session.background import BackgroundRollouts, CudaSideStream
from py_worker.session.context import OperationContext
from py_worker.session.errors import ArgumentError
from py_worker.session.held import Rollout
from py_worker.session.outcome import Eventually
from py_worker.session.session import Session

FOLDER = "responses"
"""Folder of kept responses in the cache folder."""


def run(session: Session, args: GenerateArgs, context: OperationContext) -> GenerateResult | Eventually:
    """One response per row; the random numbers are keyed by seed, sample id and position.

    In the background on a GPU, with an engine that can work beside other operations; otherwise at once, which
    gives the same responses: on a CPU two computations at a time on the same cores are slower.
    """
    _check(args)
    session.handles.require_free(args.out)
    role, dataset = session.role(args.role), session.rows_of(args.dataset, args.rows)
    prompts = tuple(np.array(dataset.row(row).prompt) for row in args.rows)
    sampling = sampling_of(args.sampling)
    cache = _cache(session, sampling, args.seed, context) if given(args.cache) else None
    source, background = _source(session, args)
    fitted = FittedDraw(source, sampling, args.seed, session.drawn_rows, context)
    draw = _Draw(args.sample_ids, prompts, fitted, cache, role.version)
    if background is None:
        rollout, result = draw()
        session.handles.require_room(args.out, rollout.bytes)
        context.commit()
        session.handles.add(args.out, rollout, rollout.bytes)
        return result
    most = draw.most_bytes
    session.handles.require_room(args.out, most)
    drawing = background.start(role.version, context, draw)
    session.handles.add_pending(args.out, drawing.rollout, most)
    return Eventually(drawing.reply)


@dataclass(frozen=True)
class _Draw:
    """All that a rollout follows from; of the session, which is one thread's, the limit of rows alone."""

    sample_ids: Sequence[int]
    prompts: tuple[TokenArray, ...]
    fitted: FittedDraw
    cache: ResponseCache | None
    version: int

    @property
    def most_bytes(self) -> int:
        """Bytes of the rollout, were every response as long as it may be."""
        token = np.dtype(np.int32).itemsize + np.dtype(np.float32).itemsize
        responses = len(self.prompts) * self.fitted.sampling.max_new_tokens * token
        return sum(prompt.nbytes for prompt in self.prompts) + responses

    def __call__(self) -> tuple[Rollout, GenerateResult]:
        """The rollout, and what is told of it."""
        drawn_tokens = 0

        def draw(prompts: Sequence[TokenArray], sample_ids: Sequence[int]) -> Responses:
            nonlocal drawn_tokens
            new = self.fitted.draw(prompts, sample_ids)
            drawn_tokens += new.token_count
            return new

        if self.cache is None:
            drawn, cached = draw(self.prompts, self.sample_ids), 0
        else:
            drawn, cached = self.cache.complete(self.prompts, self.sample_ids, draw)
        rollout = Rollout(
            sample_ids=tuple(self.sample_ids),
            prompts=self.prompts,
            tokens=tuple(drawn.tokens),
            ended=tuple(drawn.ended),
            log_probs=tuple(drawn.log_probs),
            policy_version=self.version,
        )
        return rollout, GenerateResult(
            rows=len(rollout),
            tokens=drawn.token_count,
            drawn_tokens=drawn_tokens,
            ended=sum(drawn.ended),
            cached=cached,
            policy_version=self.version,
        )


def _source(session: Session, args: GenerateArgs) -> tuple[RolloutSource, BackgroundRollouts | None]:
    """Source to draw from, and where to draw beside other operations; None: at once."""
    share = given(args.mixture)
    source = rollout_source(session, args.role, share)
    if not (given(args.background) and can_be_beside(session, source)):
        return source, None
    if session.background is None:
        student = session.role("student").policy
        session.background = BackgroundRollouts(student, CudaSideStream(session.device))
    background = session.background
    return rollout_source(session, args.role, share, background.policy), background


def _check(args: GenerateArgs) -> None:
    if len(args.rows) != len(args.sample_ids):
        raise ArgumentError(f"sample_ids: {len(args.sample_ids)} of them for {len(args.rows)} rows; one each")
    if given(args.mixture) and args.role != "student":
        raise ArgumentError("mixture: only the student's responses can be mixed; leave it out, or set role")
    if given(args.background) and args.role != "student":
        raise ArgumentError(
            "background: only the student's weights change while operations run; leave it out, or set role"
        )
    if given(args.cache) and args.role != "teacher":
        raise ArgumentError(
            "cache: only the teacher's responses are kept, for the student changes with every step; leave it "
            "out, or set role"
        )


def _cache(session: Session, sampling: Sampling, seed: int, context: OperationContext) -> ResponseCache:
    """Cache of the teacher's responses with these settings and this seed."""
    teacher = session.role("teacher")
    if teacher.weights_hash is None:
        teacher.weights_hash = weights_hash(teacher.policy.module, context.check)
    key = store_key(teacher.policy, teacher.weights_hash, sampling, seed)
    folder = Path(session.configured().cache_dir).expanduser() / FOLDER
    return ResponseCache(folder / f"{key}.sqlite")
