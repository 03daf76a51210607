"""Sends a rollout's tokens and log-probabilities."""

import numpy as np
import torch

from py_worker.ops.support.texts import response_texts
from py_worker.protocol_gen import FetchArgs, FetchResult
from py_worker.session.context import OperationContext
from py_worker.session.held import Rollout
from py_worker.session.session import Session


def run(session: Session, args: FetchArgs, _context: OperationContext) -> FetchResult:
    """Responses as a rectangle: -1 and 0 where a row has ended."""
    rollout = session.handles.get(args.rollout, Rollout)
    shape = (len(rollout.tokens), max((len(row) for row in rollout.tokens), default=0))
    tokens = np.full(shape, -1, dtype=np.int32)
    log_probs = np.zeros(shape, dtype=np.float32)
    for index, (ids, values) in enumerate(zip(rollout.tokens, rollout.log_probs, strict=True)):
        tokens[index, : len(ids)] = ids
        log_probs[index, : len(ids)] = values
    return FetchResult(
        tokens=torch.from_numpy(tokens),
        log_probs=torch.from_numpy(log_probs),
        texts=response_texts(session.any_role().policy, rollout.tokens, rollout.ended),
    )
