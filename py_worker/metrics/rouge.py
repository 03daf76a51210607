"""ROUGE-L as the instruction-following tables of the literature compute it."""

from collections.abc import Sequence
from functools import cache

from rouge_score.rouge_scorer import RougeScorer


def rouge_l(prediction: str, references: Sequence[str]) -> float:
    """F-measure x 100 of Google's `rouge_score` (`rougeL`, stemmer on), the maximum over references.

    Args:
        prediction: the response, cut at EOS; it is stripped here.
        references: at least one.

    Raises:
        ValueError: no references.
    """
    if not references:
        raise ValueError("rouge_l needs at least one reference")
    stripped = prediction.strip()
    scorer = _scorer()
    return max(
        100.0 * float(scorer.score(reference, stripped)["rougeL"].fmeasure) for reference in references
    )


@cache
def _scorer() -> RougeScorer:
    # Building one loads the stemmer; scoring keeps no state.
    return RougeScorer(["rougeL"], use_stemmer=True)
