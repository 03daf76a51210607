"""Collates rows of several parts into one batch."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from py_worker.data.batch import collate
from py_worker.losses.scored import ScoredBatch
from py_worker.ops.specs import given
from py_worker.server.context import OperationContext
from py_worker.server.errors import ArgumentError
from py_worker.server.handles import scope_of
from py_worker.server.held import Rollout, scored_bytes
from py_worker.server.protocol_gen import BatchPart, BuildArgs, BuildResult
from py_worker.server.session import Session

Row = tuple[int, npt.NDArray[np.int32], npt.NDArray[np.int32]]
"""Sample id, prompt, response."""


def run(session: Session, args: BuildArgs, context: OperationContext) -> BuildResult:
    """Rows keep the order of the parts, and within a part their own."""
    if scope_of(args.out) != "step":
        raise ArgumentError(f"out: {args.out} would outlive its step, a batch cannot: name it step:N/NAME")
    session.handles.require_free(args.out)
    rows = [(part.part, row) for part in args.parts for row in _rows(session, part)]
    if not rows:
        raise ArgumentError("parts: no rows; a batch needs at least one")
    batch = collate(
        rows=[np.concatenate([prompt, response]) for _, (_, prompt, response) in rows],  # type: ignore[misc]
        prompt_lengths=[len(prompt) for _, (_, prompt, _) in rows],
        parts=[part for part, _ in rows],
        sample_ids=[sample for _, (sample, _, _) in rows],
        pad_id=session.any_role().policy.pad_id,
        device=session.configured().device,
    )
    scored = ScoredBatch(batch)
    size = scored_bytes(scored)
    session.handles.require_room(args.out, size)
    context.commit()
    session.handles.add(args.out, scored, size)
    counts = scored.token_counts()
    counts.pop("all")
    return BuildResult(
        rows=len(batch),
        tokens=sum(batch.lengths),
        padded_tokens=batch.tokens.numel(),
        response_tokens=counts,
    )


def _rows(session: Session, part: BatchPart) -> Iterator[Row]:
    dataset, rows, rollout = given(part.dataset), given(part.rows), given(part.rollout)
    if part.part == "all":
        raise ArgumentError("parts: 'all' stands for every part of a batch; name the part otherwise")
    if rollout is not None and dataset is None and rows is None:
        held = session.handles.get(rollout, Rollout)
        yield from zip(held.sample_ids, held.prompts, held.tokens, strict=True)
    elif rollout is None and dataset is not None and rows is not None:
        source = session.rows_of(dataset, rows)
        for number in rows:
            row = source.row(number)
            yield number, row.prompt, row.response
    else:
        raise ArgumentError(f"parts: {part.part!r} needs either dataset and rows, or rollout, and not both")
