"""Exact match, for tasks with one right answer."""

from collections.abc import Sequence


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """100 where the prediction equals a reference, else 0; spaces around either do not count.

    Raises:
        ValueError: no references.
    """
    if not references:
        raise ValueError("exact_match needs at least one reference")
    stripped = prediction.strip()
    return 100.0 * any(stripped == reference.strip() for reference in references)
