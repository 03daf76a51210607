"""Generation engines: their interface, their registry, and the choice between them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from py_worker.models.errors import UnsupportedModelError
from py_worker.rollout.errors import RolloutError
from py_worker.rollout.forward import ForwardEngine
from py_worker.rollout.graph_engine import GraphEngine
from py_worker.rollout.mixture import Mixture
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.policy import GenerationPolicy
from py_worker.rollout.request import Tick, TokenArray
from py_worker.rollout.responses import Responses
from py_worker.rollout.sampling import Sampling
from py_worker.rollout.vllm_engine import VllmEngine

__all__ = ["AUTO", "ENGINES", "Engine", "Mixture", "Responses", "Sampling", "Selection", "select_engine"]

AUTO = "auto"


class Engine(Protocol):
    """Draws responses from a policy, or from a mixture of policies."""

    @property
    def name(self) -> str:
        """The engine's name in the registry."""
        ...

    @property
    def rows(self) -> int | None:
        """Prompts at work at the same time, at most; None where something else decides that."""
        ...

    @property
    def concurrent(self) -> bool:
        """Whether it may draw beside other operations: it changes nothing that they see."""
        ...

    def refusal(self, policy: GenerationPolicy) -> str | None:
        """Why this engine cannot serve the policy ("its architecture is ..."), or None."""
        ...

    def generate(
        self,
        mixture: Mixture,
        prompts: Sequence[TokenArray],
        sample_ids: Sequence[int],
        sampling: Sampling,
        seed: int,
        tick: Tick,
        rows: int | None = None,
    ) -> Responses:
        """Draws one response per prompt.

        The random number of a token is a function of seed, sample id and position in the response alone, so a
        response does not depend on the other prompts, nor (up to rounding, and but for vLLM, which has
        generators of its own) on the engine or on how many are at work at a time.

        Args:
            mixture: what to draw from; dropout is off meanwhile.
            prompts: token ids, each prompt at least one.
            sample_ids: identity of each sample; two rows with one id draw the same numbers.
            sampling: settings.
            seed: root of the random numbers.
            tick: called after every token at least, for progress; what it raises ends the generation.
            rows: prompts at work at the same time, if fewer than the engine's own number.

        Raises:
            RolloutError: a prompt is empty, too long, or has ids that a model does not know.
        """
        ...

    def rehearse(
        self,
        mixture: Mixture,
        prompts: Sequence[TokenArray],
        sampling: Sampling,
        tick: Tick,
        rows: int | None = None,
    ) -> None:
        """Does once each thing that `generate` takes most memory for, also on tensors without numbers.

        Args:
            mixture: what would be drawn from.
            prompts: see `generate`; their ids do not matter.
            sampling: settings.
            tick: called when weights and buffers are laid out, before a model runs.
            rows: see `generate`.
        """
        ...


ENGINES: Mapping[str, Callable[[], Engine]] = MappingProxyType(
    {
        "native": NativeEngine,
        "forward": ForwardEngine,
        "native_graphs": GraphEngine,
        "vllm": VllmEngine,
    }
)

# What "auto" tries, in this order; an experimental engine is taken only by name.
_AUTOMATIC = ("native", "forward")


@dataclass(frozen=True)
class Selection:
    """An engine, and what the user should know about the choice (None: nothing to say)."""

    engine: Engine
    note: str | None


def select_engine(*policies: GenerationPolicy, name: str = AUTO) -> Selection:
    """Chooses the engine for a policy, or one that serves every policy of a mixture.

    Args:
        policies: models that will generate.
        name: of the registry, or "auto": the first engine that serves these models, with a note if it is
            not the fastest one.

    Raises:
        RolloutError: no engine has that name.
        UnsupportedModelError: the engine asked for by name, or every engine, refuses a model.
    """
    if name == AUTO:
        candidates = {key: ENGINES[key]() for key in _AUTOMATIC}
    elif name in ENGINES:
        candidates = {name: ENGINES[name]()}
    else:
        raise RolloutError(
            f"There is no generation engine '{name}'; there are {', '.join((AUTO, *ENGINES))}."
        )
    reasons: list[str] = []
    for key, engine in candidates.items():
        refused = _refusal(engine, policies)
        if refused is None:
            skipped = "; ".join(reasons)
            note = f"Generation uses the slower engine '{key}' ({skipped})." if reasons else None
            return Selection(engine, note)
        model, reason = refused
        reasons.append(f"'{key}' does not serve {model}: {reason}")
    remedy = f" Use '{AUTO}' (rollout.engine)." if name != AUTO else ""
    raise UnsupportedModelError(f"Generation engine {'; '.join(reasons)}.{remedy}")


def _refusal(engine: Engine, policies: Iterable[GenerationPolicy]) -> tuple[str, str] | None:
    """Name of the first policy that the engine refuses, and why; None where it serves all."""
    refused = ((policy.name, engine.refusal(policy)) for policy in policies)
    return next(((name, reason) for name, reason in refused if reason is not None), None)
