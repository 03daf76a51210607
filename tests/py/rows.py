"""Rows of batches, as tests write them: whole sequences, and where their prompts end."""

from collections.abc import Iterable, Sequence

import numpy as np

from py_worker.data.row import Row


def rows_of(
    sequences: Sequence[Sequence[int]],
    prompt_lengths: Iterable[int],
    parts: str | Sequence[str] = "on",
    sample_ids: Iterable[int] | None = None,
    log_probs: Sequence[np.ndarray | None] | None = None,
) -> list[Row]:
    """One row of each sequence.

    Args:
        sequences: prompt and response.
        prompt_lengths: how many ids at the start of each are its prompt.
        parts: of each row, or one for all.
        sample_ids: its number by default.
        log_probs: of each response's tokens.
    """
    count, prompt_lengths = len(sequences), [*prompt_lengths]
    assert all(prompt <= len(ids) for ids, prompt in zip(sequences, prompt_lengths, strict=True))
    columns = zip(
        sequences,
        prompt_lengths,
        range(count) if sample_ids is None else sample_ids,
        [parts] * count if isinstance(parts, str) else parts,
        [None] * count if log_probs is None else log_probs,
        strict=True,
    )
    return [
        Row(ids[:prompt], ids[prompt:], sample, part, drawn) for ids, prompt, sample, part, drawn in columns
    ]
