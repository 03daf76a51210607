"""The rows of a dataset that take most memory."""

import numpy as np
from numpy.typing import NDArray


def longest_rows(
    lengths: NDArray[np.int64], count: int, max_new_tokens: int | None = None, *, apart: bool = False
) -> list[tuple[int, int]]:
    """Lengths of prompt and response of so many rows, as long as a batch can get them.

    Args:
        lengths: [rows, 2] of a dataset, see `TokenizedDataset.lengths`.
        count: rows wanted; a smaller dataset gives its own again and again, as epochs do.
        max_new_tokens: longest response where they are drawn; None takes the dataset's own responses.
        apart: prompts and responses are padded apart, so that the longest prompts may meet the longest
            responses, of whichever rows.
    """
    if max_new_tokens is not None:
        lengths = np.stack([lengths[:, 0], np.full(len(lengths), max_new_tokens)], axis=1)
    if apart:
        lengths = -np.sort(-lengths, axis=0)
    longest = lengths[np.argsort(-lengths.sum(axis=1), kind="stable")[:count]]
    if not len(longest):
        return []
    rows = np.resize(longest, (count, 2)).tolist()
    return [(prompt, response) for prompt, response in rows]
