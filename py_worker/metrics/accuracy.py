"""Accuracy of stated answers, for questions that are answered by a label after a chain of thought."""

import re
from collections.abc import Sequence
from typing import Final

_PHRASE: Final = re.compile(r"\bthe\s+answer\s+is\b", re.IGNORECASE)
# What may stand around a label and is no part of it. No minus and no percent sign: they change a number.
_AROUND: Final = " \t\r\n\f\v\u00a0.,:;!?\"'`“”‘’«»()[]{}<>*_"


def accuracy(prediction: str, references: Sequence[str]) -> float:
    """100 where the answer that the prediction states is that of a reference, else 0.

    Args:
        prediction: the response, cut at EOS.
        references: at least one: a chain of thought that ends with its answer, or the label alone.

    Raises:
        ValueError: no references.
    """
    if not references:
        raise ValueError("accuracy needs at least one reference")
    stated = stated_answer(prediction)
    return 100.0 * (stated is not None and any(stated == stated_answer(text) for text in references))


def stated_answer(text: str) -> str | None:
    """The label that a text states, casefolded, without the punctuation around it; None where it states none.

    It is the first word after the last "the answer is" (case and the kind of spaces do not count): a chain of
    thought may weigh answers before it comes to one, and go on to explain it. Words end at spaces, so that
    "yes/no" equals neither. A text that ends with the phrase, as one cut at the limit of tokens may, states
    nothing. A text without the phrase is taken whole: a bare label states itself, and longer text equals no
    label. Bare labels of a dataset must be single words where predictions use the phrase.
    """
    *before, conclusion = _PHRASE.split(text)
    if not before:
        return text.strip(_AROUND).casefold() or None
    words = conclusion.lstrip(_AROUND).split(maxsplit=1)
    return words[0].rstrip(_AROUND).casefold() if words else None
