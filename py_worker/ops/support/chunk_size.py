"""Positions whose logits exist at a time: as configured, and half as many each time memory ran out."""

import dataclasses

from py_worker.losses.head_pass import positions_at_once
from py_worker.session.session import Halvings, Session


def chunk_size(session: Session, halvings: Halvings | None = None) -> int | None:
    """Positions of a chunk as configured and halved; None leaves them to the losses."""
    configured, halvings = session.configured().position_chunk, halvings or session.halvings
    if halvings.position_chunk == 0:
        return configured
    return max(1, positions_at_once(session.any_role().policy, configured) >> halvings.position_chunk)


def shorter_chunks(session: Session, halvings: Halvings, longest: int) -> Halvings | None:
    """Half of the positions whose logits exist at a time; None when that is one.

    Args:
        session: whose chunks.
        halvings: that did not fit.
        longest: positions that could be in one chunk.
    """
    size = positions_at_once(session.any_role().policy, chunk_size(session, halvings))
    times = halvings.position_chunk + 1
    if min(size, longest) <= 1:
        return None
    while size // 2 >= longest:  # A chunk longer than any row has to shrink below that to change anything.
        size, times = size // 2, times + 1
    return dataclasses.replace(halvings, position_chunk=times)
