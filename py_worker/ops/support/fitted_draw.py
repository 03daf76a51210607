"""Draws responses of as many rows at a time as fit into memory."""

from collections.abc import Sequence

from py_worker.ops.support.halving import repeat_smaller
from py_worker.rollout.engine import Engine, Mixture, Sampling
from py_worker.rollout.rollouts import Rollouts, TokenArray
from py_worker.session.context import OperationContext
from py_worker.session.session import DrawnRows


def draw_that_fits(
    engine: Engine,
    mixture: Mixture,
    prompts: Sequence[TokenArray],
    sample_ids: Sequence[int],
    sampling: Sampling,
    seed: int,
    context: OperationContext,
    rows: DrawnRows,
    source: str,
) -> Rollouts:
    """One response per prompt; where memory runs out, all of them again with half of the rows at a time.

    Args:
        engine: that draws.
        mixture: what from.
        prompts: see `Engine.generate`.
        sample_ids: likewise.
        sampling: likewise.
        seed: likewise.
        context: of the operation.
        rows: limit to begin with; lowered for later generations from that source, which would fail likewise.
        source: teacher, student or mixture.
    """

    def drawn_by(most: int | None) -> Rollouts:
        return engine.generate(mixture, prompts, sample_ids, sampling, seed, context.check, most)

    def halved(most: int | None) -> int | None:
        if engine.rows is None:
            return None
        at_work = min(len(prompts), engine.rows, most or engine.rows)
        return (at_work + 1) // 2 if at_work > 1 else None

    # The head stays on the device where the rest of a model is offloaded.
    device, before = mixture.policies[0].head.rows.device, rows.most(source)
    rollouts, most = repeat_smaller(before, drawn_by, halved, context, device)
    if most is not None and most != before:
        rows.lower(source, most)
    return rollouts
