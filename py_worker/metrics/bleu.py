"""What rows add to corpus BLEU (Papineni et al. 2002), as sacrebleu counts it (Post 2018)."""

from collections.abc import Sequence
from functools import cache

from sacrebleu.metrics import BLEU


def bleu_statistics(prediction: str, references: Sequence[str]) -> list[float]:
    """Counts of one row; corpus BLEU is a function of their sums over all rows, and no mean over rows.

    Settings are sacrebleu's defaults: tokenizer 13a, case counts, orders 1 to 4. Smoothing is for the sums.

    Args:
        prediction: the response, cut at EOS; it is stripped here.
        references: at least one; all of them count, and other rows may have more or fewer.

    Returns:
        `[10]`: tokens of the prediction; tokens of the reference that is closest in length, the shorter where
        two are; n-grams of orders 1 to 4 that a reference has as well (clipped); n-grams of orders 1 to 4.

    Raises:
        ValueError: no references.
    """
    if not references:
        raise ValueError("bleu needs at least one reference")
    # A corpus of one row: sentence scores of sacrebleu have other defaults, but its counts are the same.
    found = _bleu().corpus_score([prediction.strip()], [[reference] for reference in references])
    return [found.sys_len, found.ref_len, *found.counts, *found.totals]


@cache
def _bleu() -> BLEU:
    # Building one compiles the tokenizer; scoring keeps nothing of a text.
    return BLEU()
