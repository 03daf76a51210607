"""Collates rows of several parts into one batch."""

from collections.abc import Iterator

from py_worker.data.batch import collate
from py_worker.data.layout import lay_out
from py_worker.data.row import Row
from py_worker.losses.scored import ScoredBatch
from py_worker.ops.support.layout_metrics import record_layout
from py_worker.ops.support.specs import given, limits_of
from py_worker.protocol_gen import BatchPart, BuildArgs, BuildResult
from py_worker.session.context import OperationContext
from py_worker.session.errors import ArgumentError
from py_worker.session.handles import scope_of
from py_worker.session.held import Rollout, scored_bytes
from py_worker.session.session import Session


def run(session: Session, args: BuildArgs, context: OperationContext) -> BuildResult:
    """Rows of one micro-batch keep the order of the entries, and within an entry their own.

    Entries may share a part.
    """
    if scope_of(args.out) != "step":
        raise ArgumentError(f"out: {args.out} would outlive its step, a batch cannot: name it step:N/NAME")
    session.handles.require_free(args.out)
    rows = [row for part in args.parts for row in _rows(session, part)]
    if not rows:
        raise ArgumentError("parts: no rows; a batch needs at least one")
    limits = limits_of(args, session.halvings.micro_batch)
    for role in session.roles.values() if limits.packed else ():
        role.policy.require_packing()
    policy = session.any_role().policy
    lengths = [(len(row.prompt), len(row.response)) for row in rows]
    layout = lay_out(lengths, [row.part for row in rows], limits, apart=policy.has_encoder)
    rows = [rows[index] for micro_batch in layout for index in micro_batch]
    batch = collate(
        rows,
        pad_id=policy.pad_id,
        device=session.configured().device,
        micro_rows=[len(micro_batch) for micro_batch in layout],
        packed=limits.packed,
        apart=policy.has_encoder,
    )
    scored = ScoredBatch(batch)
    size = scored_bytes(scored)
    session.handles.require_room(args.out, size)
    context.commit()
    session.handles.add(args.out, scored, size)
    record_layout(session, context, batch)
    counts = scored.token_counts()
    counts.pop("all")
    return BuildResult(
        rows=len(batch),
        tokens=sum(batch.lengths),
        padded_tokens=batch.padded_tokens,
        micro_batches=len(layout),
        response_tokens=counts,
    )


def _rows(session: Session, part: BatchPart) -> Iterator[Row]:
    dataset, rows = given(part.dataset), given(part.rows)
    rollout, picks = given(part.rollout), given(part.picks)
    if part.part == "all":
        raise ArgumentError("parts: 'all' stands for every part of a batch; name the part otherwise")
    if rollout is not None and dataset is None and rows is None:
        held = session.handles.get(rollout, Rollout)
        for index in range(len(held)) if picks is None else _checked(picks, held, rollout):
            yield Row(
                held.prompts[index],
                held.tokens[index],
                held.sample_ids[index],
                part.part,
                held.log_probs[index],
            )
    elif rollout is None and picks is None and dataset is not None and rows is not None:
        source = session.rows_of(dataset, rows)
        for number in rows:
            row = source.row(number)
            yield Row(row.prompt, row.response, number, part.part)
    else:
        raise ArgumentError(
            f"parts: {part.part!r} needs dataset and rows, or rollout (with or without picks), and not both"
        )


def _checked(picks: list[int], held: Rollout, name: str) -> list[int]:
    beyond = [index for index in picks if index >= len(held)]
    if beyond:
        raise ArgumentError(f"picks: {name} has {len(held)} rows; there is no row {beyond[0]}")
    return picks
