"""A record as a template shows it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """Texts whose ids a model sees.

    Attributes:
        prompt: all before the response.
        answer: the response, without what closes it; None where the record has no reference.
        opened: what the prompt ends with and the template's own answers do not follow; empty for most.
    """

    prompt: str
    answer: str | None
    opened: str = ""
