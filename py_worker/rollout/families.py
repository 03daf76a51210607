"""The architectures that the native engine computes itself; a new one is a file and a line here."""

from typing import Any

from py_worker.models.errors import UnsupportedModelError
from py_worker.rollout.decoder import Decoder
from py_worker.rollout.gpt2 import Gpt2Decoder
from py_worker.rollout.llama import LlamaDecoder
from py_worker.rollout.t5 import T5Decoder

DECODERS: tuple[type[Decoder], ...] = (LlamaDecoder, Gpt2Decoder)
_COVERED: tuple[type[Decoder] | type[T5Decoder], ...] = (*DECODERS, T5Decoder)

_BY_ARCHITECTURE = {architecture: kind for kind in DECODERS for architecture in kind.architectures()}
_REFUSALS = {architecture: kind.refusal for kind in _COVERED for architecture in kind.architectures()}


def refusal(module: Any) -> str | None:
    """Why the native engine does not compute this module, or None."""
    refuse = _REFUSALS.get(type(module))
    if refuse is None:
        covered = ", ".join(sorted(architecture.__name__ for architecture in _REFUSALS))
        return f"its architecture is {type(module).__name__}; covered: {covered}"
    return refuse(module)


def decoder_of(module: Any) -> type[Decoder]:
    """The decoder of a module that is one, and no encoder-decoder.

    Raises:
        UnsupportedModelError: there is none, or it refuses this module.
    """
    reason = refusal(module)
    if reason is not None:
        raise UnsupportedModelError(f"Generation engine 'native' does not serve this model: {reason}.")
    return _BY_ARCHITECTURE[type(module)]
