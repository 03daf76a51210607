"""What goes into generation and what comes out of it; shared by every engine."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from py_worker.rollout.errors import RolloutError
from py_worker.rollout.sampling import Sampling

TokenArray = npt.NDArray[np.int32]
Tick = Callable[[], None]


class GenerationHead(Protocol):
    """From last hidden states to logits: `finish(hidden @ rows.T)`."""

    @property
    def rows(self) -> Tensor:
        """[V, H], cut to the policy's `vocab_size`."""
        ...

    def finish(self, projected: Tensor) -> Tensor:
        """Projections [..., V] to logits in float32 or wider: scale, bias and cap."""
        ...


class GenerationPolicy(Protocol):
    """The part of a policy that generation needs."""

    @property
    def name(self) -> str:
        """Source of the model, for messages."""
        ...

    @property
    def module(self) -> Any:
        """A language model of transformers."""
        ...

    @property
    def vocab_size(self) -> int: ...

    @property
    def eos_ids(self) -> tuple[int, ...]: ...

    @property
    def pad_id(self) -> int: ...

    @property
    def compute_dtype(self) -> torch.dtype | None:
        """Dtype of matrix products (autocast) where it differs from the weights'."""
        ...

    @property
    def max_positions(self) -> int | None:
        """Longest sequence in tokens, or None where the model names none."""
        ...

    @property
    def head(self) -> GenerationHead: ...

    def resident(self) -> AbstractContextManager[None]:
        """Within, all weights are on the device; some policies keep them elsewhere in between."""
        ...


@dataclass(frozen=True)
class Rollouts:
    """Responses, in the order of the prompts.

    Attributes:
        tokens: response ids of each row, int32, with its EOS where it ended by itself.
        ended: whether each row ended with EOS; False where it was cut at `max_new_tokens`.
        log_probs: of each response token, float32, under the distribution it was drawn from: mixture,
            temperature, truncation and bans included.
        decoded_rows: rows that went through the decoder one token at a time, summed over steps. Divided by
            the number of tokens it says how much work finished rows still cost; 1 is the ideal.
    """

    tokens: list[TokenArray]
    ended: list[bool]
    log_probs: list[npt.NDArray[np.float32]]
    decoded_rows: int

    @property
    def token_count(self) -> int:
        """Tokens of all responses, EOS included."""
        return sum(len(row) for row in self.tokens)


def collect(
    tokens: npt.NDArray[np.int64],
    log_probs: npt.NDArray[np.float32],
    eos_ids: Sequence[int],
    decoded_rows: int,
) -> Rollouts:
    """Cuts each row after its first EOS.

    Args:
        tokens: [N, T] as drawn; what follows the first EOS of a row is ignored.
        log_probs: [N, T] of those tokens.
        eos_ids: ids that end a response.
        decoded_rows: see `Rollouts`.
    """
    is_eos = np.isin(tokens, eos_ids)
    ended: npt.NDArray[np.bool_] = np.asarray(is_eos.any(axis=1))
    lengths = np.where(ended, is_eos.argmax(axis=1) + 1, tokens.shape[1])
    return Rollouts(
        tokens=[row[:n].astype(np.int32) for row, n in zip(tokens, lengths, strict=True)],
        ended=[bool(e) for e in ended],
        log_probs=[row[:n].copy() for row, n in zip(log_probs, lengths, strict=True)],
        decoded_rows=decoded_rows,
    )


def check_request(
    policies: Sequence[GenerationPolicy],
    prompts: Sequence[TokenArray],
    sample_ids: Sequence[int],
    sampling: Sampling,
) -> None:
    """Refuses prompts that no engine could continue with every one of the policies.

    Raises:
        RolloutError: naming the prompt, what is wrong with it, and the remedy. On a GPU a bad id would
            otherwise end the process with a device assertion.
    """
    if len(prompts) != len(sample_ids):
        raise RolloutError(
            f"{len(prompts)} prompts came with {len(sample_ids)} sample ids; give one per prompt."
        )
    embeddings = min(policy.module.get_input_embeddings().num_embeddings for policy in policies)
    limits = (policy.max_positions for policy in policies)
    positions = min((limit for limit in limits if limit is not None), default=None)
    for index, (prompt, sample_id) in enumerate(zip(prompts, sample_ids, strict=True)):
        place = f"Prompt {index} (sample {sample_id})"
        if len(prompt) == 0:
            raise RolloutError(f"{place} is empty; it needs one token at least.")
        if prompt.min() < 0 or prompt.max() >= embeddings:
            bad = prompt.min() if prompt.min() < 0 else prompt.max()
            raise RolloutError(
                f"{place} has token id {bad}, but the model has {embeddings} embeddings; "
                "tokenize with the model's own tokenizer."
            )
        # The last token drawn is never fed back, hence the - 1.
        needed = len(prompt) + sampling.max_new_tokens - 1
        if positions is not None and needed > positions:
            raise RolloutError(
                f"{place} has {len(prompt)} tokens; with max_new_tokens "
                f"{sampling.max_new_tokens} it needs {needed} positions and the model has "
                f"{positions}. Cut the prompt or lower max_new_tokens."
            )
