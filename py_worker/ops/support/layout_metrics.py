"""Metrics of how a step's batch is laid out."""

from py_worker.data.batch import TokenBatch
from py_worker.ops.support.chunk_size import chunk_size
from py_worker.session.context import OperationContext
from py_worker.session.session import Session


def record_layout(session: Session, context: OperationContext, batch: TokenBatch) -> None:
    """Metrics of the step: `micro_batches`, `padding`, and where something was halved how far.

    `rollout_rows` is the fewest that responses have been drawn for at a time so far, evaluations included.
    """
    if context.step is None:
        return
    halvings = session.halvings
    metrics: dict[str, float] = {"micro_batches": batch.micro_batch_count, "padding": batch.padding}
    if halvings.micro_batch:
        metrics["micro_batch_halvings"] = halvings.micro_batch
    if halvings.position_chunk:
        metrics["position_chunk"] = chunk_size(session) or 0
    if drawn := session.drawn_rows.halved:
        metrics["rollout_rows"] = min(drawn.values())
    session.metrics.record_all(context.step, metrics)
