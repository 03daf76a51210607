"""Metrics that compare a prediction with its references, by name."""

from collections.abc import Callable, Mapping, Sequence

from py_worker.metrics.accuracy import accuracy
from py_worker.metrics.bleu import bleu_statistics
from py_worker.metrics.exact_match import exact_match
from py_worker.metrics.rouge import rouge_l

Metric = Callable[[str, Sequence[str]], float]
Statistics = Callable[[str, Sequence[str]], list[float]]

# `(prediction, references) -> 0..100`, higher is better; the figure of several rows is the mean.
METRICS: Mapping[str, Metric] = {"rouge_l": rouge_l, "exact_match": exact_match, "accuracy": accuracy}

# `(prediction, references) -> [k]`, for metrics that are no mean over rows: sums over rows decide the figure.
# The controller computes it, since it alone knows all rows.
STATISTICS: Mapping[str, Statistics] = {"bleu": bleu_statistics}

__all__ = [
    "METRICS",
    "STATISTICS",
    "Metric",
    "Statistics",
    "accuracy",
    "bleu_statistics",
    "exact_match",
    "rouge_l",
]
