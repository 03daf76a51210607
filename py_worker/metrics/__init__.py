"""Metrics that compare a prediction with its references, by name."""

from collections.abc import Callable, Mapping, Sequence

from py_worker.metrics.exact_match import exact_match
from py_worker.metrics.rouge import rouge_l

Metric = Callable[[str, Sequence[str]], float]

# `(prediction, references) -> 0..100`, higher is better.
METRICS: Mapping[str, Metric] = {"rouge_l": rouge_l, "exact_match": exact_match}

__all__ = ["METRICS", "Metric", "exact_match", "rouge_l"]
