"""What transformers' generation of a group of prompts begins with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from py_worker.rollout.mixture import Mixture
from py_worker.rollout.request import TokenArray


@dataclass(frozen=True)
class Opening:
    """What the generation of a group begins with.

    Attributes:
        inputs: `input_ids` [B, P] int64 and `attention_mask` [B, P] int64, 1 at prompt tokens.
        encoded: an encoder reads them, and the loop begins with the decoder's start token; else with them.
        width: tokens in the loop before the first is drawn.
        start: [B] int64, of them those that mean nothing.
    """

    inputs: dict[str, Tensor]
    encoded: bool
    width: int
    start: Tensor


def open_group(prompts: Sequence[TokenArray], mixture: Mixture, device: torch.device) -> Opening:
    """Pads prompts: on the right for an encoder, as in training, else on the left, next to what is drawn."""
    encoded = mixture.policies[0].module.config.is_encoder_decoder
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), mixture.pad_id, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        own = slice(0, len(prompt)) if encoded else slice(width - len(prompt), width)
        ids[row, own] = torch.from_numpy(np.asarray(prompt, dtype=np.int64))
        mask[row, own] = 1
    mask = mask.to(device)
    inputs = {"input_ids": ids.to(device), "attention_mask": mask}
    if encoded:
        return Opening(inputs, encoded, 1, torch.zeros_like(mask[:, 0]))
    return Opening(inputs, encoded, width, width - mask.sum(1))
