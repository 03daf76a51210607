"""Generation engines: their interface, their registry, and the choice between them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from py_worker.rollout.errors import RolloutError, UnsupportedModelError
from py_worker.rollout.forward import ForwardEngine
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.rollouts import GenerationPolicy, Rollouts, Tick, TokenArray
from py_worker.rollout.sampling import Sampling

__all__ = ["AUTO", "ENGINES", "Engine", "Rollouts", "Sampling", "Selection", "select_engine"]

AUTO = "auto"


class Engine(Protocol):
    """Draws responses from a policy."""

    @property
    def name(self) -> str:
        """The engine's name in the registry."""
        ...

    def refusal(self, policy: GenerationPolicy) -> str | None:
        """Why this engine cannot serve the policy ("its architecture is ..."), or None."""
        ...

    def generate(
        self,
        policy: GenerationPolicy,
        prompts: Sequence[TokenArray],
        sample_ids: Sequence[int],
        sampling: Sampling,
        seed: int,
        tick: Tick,
    ) -> Rollouts:
        """Draws one response per prompt.

        The random number of a token is a function of seed, sample id and position in the response alone, so a
        response does not depend on the other prompts, nor (up to rounding) on the engine.

        Args:
            policy: model to draw from; dropout is off while it generates.
            prompts: token ids, each prompt at least one.
            sample_ids: identity of each sample; two rows with one id draw the same numbers.
            sampling: settings.
            seed: root of the random numbers.
            tick: called after every token at least, for progress; what it raises ends the generation.

        Raises:
            RolloutError: a prompt is empty, too long, or has ids that the model does not know.
        """
        ...


# In the order in which "auto" tries them.
ENGINES: Mapping[str, Callable[[], Engine]] = MappingProxyType(
    {"native": NativeEngine, "forward": ForwardEngine}
)


@dataclass(frozen=True)
class Selection:
    """An engine, and what the user should know about the choice (None: nothing to say)."""

    engine: Engine
    note: str | None


def select_engine(policy: GenerationPolicy, name: str = AUTO) -> Selection:
    """Chooses the engine for a policy.

    Args:
        policy: model that will generate.
        name: of the registry, or "auto": the first engine that serves this model, with a note if it is not
            the fastest one.

    Raises:
        RolloutError: no engine has that name.
        UnsupportedModelError: the engine asked for by name, or every engine, refuses the model.
    """
    if name == AUTO:
        candidates = {key: make() for key, make in ENGINES.items()}
    elif name in ENGINES:
        candidates = {name: ENGINES[name]()}
    else:
        raise RolloutError(
            f"There is no generation engine '{name}'; there are {', '.join((AUTO, *ENGINES))}."
        )
    reasons: list[str] = []
    for key, engine in candidates.items():
        reason = engine.refusal(policy)
        if reason is None:
            skipped = "; ".join(reasons)
            note = f"Generation uses the slower engine '{key}' ({skipped})." if reasons else None
            return Selection(engine, note)
        reasons.append(f"'{key}' does not serve this model: {reason}")
    remedy = f" Use '{AUTO}'." if name != AUTO else ""
    raise UnsupportedModelError(f"Generation engine {'; '.join(reasons)}.{remedy}")
