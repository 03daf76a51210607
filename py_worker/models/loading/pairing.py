"""Whether a student can learn from a teacher, seen before either is loaded."""

from dataclasses import dataclass
from typing import Any

from py_worker.data.char_tokenizer import char_tokenizer
from py_worker.models.errors import UnsupportedModelError
from py_worker.models.loading import sources
from py_worker.models.loading.builtin import ENCODER_DECODERS
from py_worker.models.spec import ModelSpec
from py_worker.models.vocabulary import shared_vocabulary


@dataclass(frozen=True)
class _Reader:
    """What decides whether a model can share a batch with another."""

    name: str
    has_encoder: bool
    tokenizer: Any


def require_pair(student: ModelSpec, teacher: ModelSpec) -> None:
    """Refuses what loading the two would refuse for their kinds or tokenizers; reads no weights.

    Raises:
        ModelError: a configuration or tokenizer cannot be found or read.
        UnsupportedModelError: one is an encoder-decoder and the other is none, or of an unknown family.
        VocabularyError: the tokenizers do not agree.
    """
    ours, theirs = _read(student), _read(teacher)
    require_same_kind(ours.name, ours.has_encoder, theirs.name, theirs.has_encoder)
    shared_vocabulary(ours.tokenizer, theirs.tokenizer, ours.name, theirs.name)


def require_same_kind(
    student: str, student_has_encoder: bool, teacher: str, teacher_has_encoder: bool
) -> None:
    """One batch serves both, and an encoder's prompts end as a decoder's do not.

    Raises:
        UnsupportedModelError: only one of the two has an encoder.
    """
    if student_has_encoder != teacher_has_encoder:
        own, other = ("an" if encoder else "no" for encoder in (student_has_encoder, teacher_has_encoder))
        raise UnsupportedModelError(
            f"student {student!r} is {own} encoder-decoder and teacher {teacher!r} is {other} "
            "encoder-decoder; choose two of one kind, or train on the teacher's texts"
        )


def _read(spec: ModelSpec) -> _Reader:
    if spec.source.startswith("builtin:"):
        return _Reader(spec.source, spec.source in ENCODER_DECODERS, char_tokenizer())
    location = sources.locate(spec.source)
    options: dict[str, Any] = {"trust_remote_code": spec.trust_remote_code, "source": spec.source}
    has_encoder = sources.has_encoder(location, **options)
    return _Reader(spec.source, has_encoder, sources.read_tokenizer(location, **options))
