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

from py_worker.losses.scored import ScoredBatch
from py_worker.ops.support.chunk_size import chunk_size, shorter_chunks
from py_worker.ops.support.layout_metrics import record_layout
from py_worker.session.context import OperationContext
from py_worker.session.errors import code_of
from py_worker.session.held import scored_bytes
from py_worker.session.session import Halvings, Session

Result = TypeVar("Result")
Size = TypeVar("Size")


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

    def again() -> None:
        discard()
        _let_graph_go(session, name)

    result, (scored, halvings) = repeat_smaller(
        (session.handles.get(name, ScoredBatch), session.halvings),
        lambda size: compute(size[0], chunk_size(session, size[1])),
        lambda size: _halved(session, *size, passes=passes, chunks=chunks),
        context,
        session.device,
        again,
    )
    return Fitted(result, scored, halvings)


def repeat_smaller(
    size: Size,
    compute: Callable[[Size], Result],
    halved: Callable[[Size], Size | None],
    context: OperationContext,
    device: torch.device,
    again: Callable[[], None] = lambda: None,
) -> tuple[Result, Size]:
    """The result of a computation, and the size at which it fitted into memory.

    Args:
        size: to begin with.
        compute: raises where that does not fit.
        halved: the next smaller size; None when there is none.
        context: of the operation; past its commit point nothing is repeated.
        device: whose memory it is.
        again: called before each repetition.

    Raises:
        OutOfMemoryError: as torch raises it, when the smallest does not fit.
    """
    while True:
        try:
            return compute(size), size
        except Exception as error:
            smaller = None
            if code_of(error) == "out_of_memory" and not context.applied:
                smaller = halved(size)
            if smaller is None:
                raise
        # Only here are the error, its traceback and the tensors of its frames gone.
        size = smaller
        again()
        _free(device)


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
    cuts = (scored.micro_batches() if passes else [scored]) if chunks else []
    pieces = (piece for cut in cuts for piece in cut.pieces(max(1, sum(cut.batch.response_counts))))
    longest = max((piece.stop - piece.start for piece in pieces), default=1)
    shorter = shorter_chunks(session, halvings, longest)
    return None if shorter is None else (scored, shorter)


def _let_graph_go(session: Session, name: str) -> None:
    """The values stay: they are right, and a repetition runs the student again."""
    held = session.handles.get(name, ScoredBatch)
    if held.student_hidden is not None and held.student_hidden.requires_grad:
        values = dataclasses.replace(held, student_hidden=held.student_hidden.detach())
        session.handles.replace(name, values, scored_bytes(values))


def _free(device: torch.device) -> None:
    """On the host the last reference has freed everything; a GPU's cache is given back in whole segments."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
