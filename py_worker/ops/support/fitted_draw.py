"""Draws responses of as many rows at a time as fit into memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from py_worker.ops.support.halving import repeat_smaller
from py_worker.ops.support.rollout_source import RolloutSource
from py_worker.rollout.request import TokenArray
from py_worker.rollout.responses import Responses
from py_worker.rollout.sampling import Sampling
from py_worker.session.context import OperationContext
from py_worker.session.session import DrawnRows


@dataclass(frozen=True)
class FittedDraw:
    """Responses of a source, whatever memory there is.

    Attributes:
        source: what from, and the engine that draws.
        sampling: settings.
        seed: root of the random numbers.
        rows: limit to begin with; lowered for later draws from that source, which would fail likewise.
        context: of the operation.
    """

    source: RolloutSource
    sampling: Sampling
    seed: int
    rows: DrawnRows
    context: OperationContext

    def draw(self, prompts: Sequence[TokenArray], sample_ids: Sequence[int]) -> Responses:
        """One response per prompt; where memory runs out, all of them again with half of the rows at a time.

        Args:
            prompts: see `Engine.generate`.
            sample_ids: likewise.

        Raises:
            OutOfMemoryError: as torch raises it, when one row at a time does not fit.
        """
        engine, mixture = self.source.engine, self.source.mixture

        def drawn_by(most: int | None) -> Responses:
            return engine.generate(
                mixture, prompts, sample_ids, self.sampling, self.seed, self.context.check, most
            )

        def halved(most: int | None) -> int | None:
            if engine.rows is None:
                return None
            at_work = min(len(prompts), engine.rows, most or engine.rows)
            return (at_work + 1) // 2 if at_work > 1 else None

        # The head stays on the device where the rest of a model is offloaded.
        device, before = mixture.policies[0].head.rows.device, self.rows.most(self.source.name)
        responses, most = repeat_smaller(before, drawn_by, halved, self.context, device)
        if most is not None and most != before:
            self.rows.lower(self.source.name, most)
        return responses
