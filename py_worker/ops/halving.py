"""Out of memory: an operation is computed once more with half as much at a time, until it fits.

What is computed does not change beyond rounding. The session remembers how often it was halved: later batches
are laid out accordingly, and the checkpoint has it.
"""

import dataclasses
import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from py_worker.data.batch import TokenBatch
from py_worker.losses.driver import default_chunk_size
from py_worker.losses.scored import ScoredBatch
from py_worker.server.context import OperationContext
from py_worker.server.errors import code_of
from py_worker.server.held import scored_bytes
from py_worker.server.session import Halvings, Session

Result = TypeVar("Result")


@dataclass(frozen=True)
class Fitted(Generic[Result]):
    """What came out, and from what.

    Attributes:
        result: of the computation.
        scored: the batch in the micro-batches that fitted, without a graph if it had to go.
        halvings: that it took, earlier ones included.
    """

    result: Result
    scored: ScoredBatch
    halvings: Halvings

    def adopt(self, session: Session, name: str, context: OperationContext) -> None:
        """From now on the batch is cut so, and later ones as often; call it after the commit point.

        Args:
            session: whose halvings were the first to be tried.
            name: handle of the batch.
            context: of the operation.
        """
        if self.halvings == session.halvings:
            return
        session.halvings = self.halvings
        held = dataclasses.replace(session.handles.get(name, ScoredBatch), batch=self.scored.batch)
        session.handles.replace(name, held, scored_bytes(held))
        record_layout(session, context, held.batch)


def until_it_fits(
    session: Session,
    name: str,
    context: OperationContext,
    compute: Callable[[ScoredBatch, int | None], Result],
    *,
    passes: bool,
    chunks: bool,
    discard: Callable[[], None] = lambda: None,
) -> Fitted[Result]:
    """Computes something from a batch, from the beginning each time memory runs out.

    Micro-batches are halved first, since the activations of a pass are most of it, then the positions whose
    logits exist at a time. A graph that `score` kept is given up with the first halving: it may be half used,
    and several micro-batches have none. Past the commit point nothing is repeated.

    Args:
        session: whose halvings to begin with.
        name: handle of the scored batch.
        context: of the operation.
        compute: takes the batch and the positions of a chunk (None: the losses' own number).
        passes: it runs models over micro-batches.
        chunks: it takes logits of chunks of positions.
        discard: drops partial gradients after a failure.

    Raises:
        OutOfMemoryError: as torch raises it, when one row and one position at a time do not fit.
    """
    scored, halvings = session.handles.get(name, ScoredBatch), session.halvings
    while True:
        try:
            return Fitted(compute(scored, chunk_size(session, halvings)), scored, halvings)
        except Exception as error:
            smaller = None
            if code_of(error) == "out_of_memory" and not context.applied:
                smaller = _halved(session, scored, halvings, passes=passes, chunks=chunks)
            if smaller is None:
                raise
        # Only here are the error, its traceback and the tensors of its frames gone.
        scored, halvings = smaller
        discard()
        _let_graph_go(session, name)
        _free(session.device)


def chunk_size(session: Session, halvings: Halvings | None = None) -> int | None:
    """Positions of a chunk as configured and halved; None leaves them to the losses."""
    configured, halvings = session.configured().position_chunk, halvings or session.halvings
    if halvings.position_chunk == 0:
        return configured
    return max(1, (configured or _default_chunk(session)) >> halvings.position_chunk)


def record_layout(session: Session, context: OperationContext, batch: TokenBatch) -> None:
    """Metrics of the step: `micro_batches`, `padding`, and where something was halved how far."""
    if context.step is None:
        return
    halvings = session.halvings
    metrics: dict[str, float] = {"micro_batches": batch.micro_batch_count, "padding": batch.padding}
    if halvings.micro_batch:
        metrics["micro_batch_halvings"] = halvings.micro_batch
    if halvings.position_chunk:
        metrics["position_chunk"] = chunk_size(session) or 0
    session.metrics.record_all(context.step, metrics)


def _default_chunk(session: Session) -> int:
    policy = session.any_role().policy
    return default_chunk_size(policy.vocab_size, policy.device)


def _halved(
    session: Session, scored: ScoredBatch, halvings: Halvings, *, passes: bool, chunks: bool
) -> tuple[ScoredBatch, Halvings] | None:
    """Half of what is computed at a time; None when that is least."""
    hidden = scored.student_hidden
    graph = hidden is not None and hidden.requires_grad
    batch = scored.batch.halved() if passes or graph else None
    if batch is not None or graph:
        values = None if hidden is None else hidden.detach()
        fewer = dataclasses.replace(scored, batch=batch or scored.batch, student_hidden=values)
        return fewer, dataclasses.replace(halvings, micro_batch=halvings.micro_batch + 1)
    size = (chunk_size(session, halvings) or _default_chunk(session)) if chunks else 1
    cuts = scored.micro_batches() if passes else [scored]
    largest = max((piece.stop - piece.start for cut in cuts for piece in cut.pieces(size)), default=1)
    if largest == 1:
        return None
    times = halvings.position_chunk + 1
    while size // 2 >= largest:  # A chunk longer than any row has to shrink below that to change anything.
        size, times = size // 2, times + 1
    return scored, dataclasses.replace(halvings, position_chunk=times)


def _let_graph_go(session: Session, name: str) -> None:
    """The values stay: they are right, and a repetition runs the student again."""
    held = session.handles.get(name, ScoredBatch)
    if held.student_hidden is not None and held.student_hidden.requires_grad:
        values = dataclasses.replace(held, student_hidden=held.student_hidden.detach())
        session.handles.replace(name, values, scored_bytes(values))


def _free(device: torch.device) -> None:
    """On the host the last reference has freed everything; a GPU's cache is given back in whole segments."""
    if device.type == "cuda":  # pragma: no cover - needs a GPU
        gc.collect()
        torch.cuda.empty_cache()
