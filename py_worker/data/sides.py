"""Prompts and responses as an encoder-decoder reads them: apart."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from py_worker.data.batch import TokenBatch, to_device


@dataclass(frozen=True)
class Sides:
    """The rows of a batch, each cut into what the encoder and what the decoder is given.

    Attributes:
        prompts: [B, P] int64; behind a row's own prompt they mean nothing.
        prompt_mask: [B, P] bool, true at the tokens of a row's own prompt.
        responses: [B, R] int64, what the decoder has seen when it predicts each response token: its start
            token, then the response without its last token. Behind that they mean nothing.
    """

    prompts: Tensor
    prompt_mask: Tensor
    responses: Tensor


def sides(batch: TokenBatch, start_id: int) -> Sides:
    """Cuts each row behind its prompt; at least one column goes to the decoder.

    Args:
        batch: the tokens.
        start_id: the decoder's first token.
    """
    device = batch.tokens.device
    lengths = np.asarray([batch.prompt_lengths, batch.lengths], dtype=np.int64)
    prompt, length = to_device(torch.from_numpy(lengths), device).unbind(0)
    most_prompt, most_response = int(lengths[0].max()), max(1, int((lengths[1] - lengths[0]).max()))
    columns = torch.arange(max(most_prompt, most_response), device=device)
    # The column before a row's response holds the last token of its prompt, in whose place comes the start.
    fed = prompt[:, None] - 1 + columns[:most_response]
    responses = batch.tokens.gather(1, fed.minimum(length[:, None] - 1))
    responses[:, 0] = start_id
    return Sides(
        prompts=batch.tokens[:, :most_prompt],
        prompt_mask=columns[:most_prompt] < prompt[:, None],
        responses=responses,
    )
