"""Accuracy of stated answers, for questions that are answered by a label after a chain of thought."""

import re
from collections.abc import Sequence
from typing import Final

_PHRASE: Final = re.compile(r"\bthe\s+answer\s+is\b", re.IGNORECASE)

# What may stand around a label and is no part of it. No minus, decimal point, %, <, >: these change it.
_BEFORE: Final = re.compile(r"""\A(?:[\s,:;!?"'`“”‘’«»()\[\]{}*_…]|\.(?!\d)|(?:—|[-–](?!\S))(?!\s?\d))+""")
_AFTER: Final = " .。,:;!?\"'`“”‘’«»()[]{}*_…—"

_CLOSING: Final = r"""["'`”’»)\]}*_]*"""
# The end of a sentence. What a number follows goes on: "No. 5".
_STOP: Final = rf"[.!?…]+{_CLOSING}(?!\S)(?!\s?\d)"
# So do "U.S. Steel", "George W. Bush" and "St. Louis", but not "B. It rains": an option is a letter alone.
_SENTENCE_END: Final = re.compile(rf"(?<![\s.][^\W\d_])(?<!\b(?:dr|mr|ms|mt|st)){_STOP}")

_REASON: Final = r"[,;:]?\s(?:because|since|as(?!\swell\b)|which)\b"
_ASIDE: Final = r"\s[(\[]|\s?—|\s[-–](?=\s)"
_NO_OTHER: Final = r"(?!\s?(?:or|yes|no|true|false)\b)"
# Where a label is over though the line goes on. After a comma there may be more labels ("3, 4") or more of
# the same ("Paris, Texas"), but not after yes and no.
_OVER: Final = re.compile(rf"{_CLOSING}(?:(?<!\.[^\W\d_]){_STOP}|{_REASON}|(?:{_ASIDE})(?!\s?\d){_NO_OTHER})")
# An option's letter, closed by its bracket: "B) Paris".
_OPTION_OVER: Final = re.compile(r"[)\]](?!\S)(?!\s?(?:or|and)\b)")
_VERDICTS: Final = ("yes", "no", "true", "false")
_VERDICT_OVER: Final = re.compile(rf"{_CLOSING}(?:{_STOP}|{_REASON}|(?:{_ASIDE}|[.,;:!?–]){_NO_OTHER})")


def accuracy(prediction: str, references: Sequence[str]) -> float:
    """100 where the prediction states the label of a reference as its answer, else 0.

    Args:
        prediction: the response, cut at EOS.
        references: at least one: a chain of thought that ends with its answer, or the label alone.

    Raises:
        ValueError: no references, or one that states nothing, so that no prediction could be right.
    """
    labels = [label_of(reference) for reference in references]
    if not labels:
        raise ValueError("accuracy needs at least one reference")
    if not all(labels):
        raise ValueError(f"accuracy: a reference states no answer: {references[labels.index('')]!r}")
    return 100.0 * any(states(prediction, label) for label in labels)


def label_of(reference: str) -> str:
    """What a reference states: all after its last "the answer is" to the end of that sentence or line.

    Without the phrase it is the whole text. It is casefolded, has single blanks and no punctuation around it;
    empty where nothing is stated.
    """
    said = _said(reference)
    label = _tidied(reference) if said is None else _SENTENCE_END.split(said, maxsplit=1)[0]
    return label.rstrip(_AFTER)


def states(prediction: str, label: str) -> bool:
    """Whether a text states this label, and not one that only begins like it.

    What follows the last "the answer is" counts: a chain of thought may weigh answers before it comes to one.
    After the label the line ends, or the sentence, or there is a bracket (it closes an option's letter, too),
    a dash, or "because", "since", "as" or "which"; after yes, no, true and false a comma, colon or the like
    will do. So "New York" is not "New", "3 million" and "3.5" are not "3", "yes/no" is neither. A text
    without the phrase must be the label alone.
    """
    said = _said(prediction)
    if said is None:
        return label_of(prediction) == label
    if said.rstrip(_AFTER) == label:
        return True
    overs = [_VERDICT_OVER if label in _VERDICTS else _OVER, *([_OPTION_OVER] if len(label) == 1 else [])]
    return said.startswith(label) and any(over.match(said, len(label)) for over in overs)


def _said(text: str) -> str | None:
    """The first line after the last phrase that says anything; None without the phrase."""
    *before, conclusion = _PHRASE.split(text)
    return next(filter(None, map(_tidied, conclusion.splitlines())), "") if before else None


def _tidied(text: str) -> str:
    return _BEFORE.sub("", " ".join(text.casefold().split()))
