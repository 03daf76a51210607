"""The fallback engine: transformers' own generation loop, with our random numbers.

`generate` is the one entry point that serves every causal language model of transformers: it knows each
architecture's cache, masks and position ids. A logits processor draws the token as every engine does and
leaves nothing else to choose, so the same seed gives the same rollout as the native engine (up to
rounding).
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from py_worker.rollout.randomness import uniforms
from py_worker.rollout.rollouts import GenerationPolicy, Rollouts, Tick, TokenArray, check_request, collect
from py_worker.rollout.sampling import Context, Sampling, draw


class ForwardEngine:
    """Generates with the model's forward pass, prompts padded on the left."""

    name = "forward"

    def __init__(self, *, rows: int = 64) -> None:
        """
        Args:
            rows: prompts generated together; each such group runs until its last row has ended.
        """
        self._rows = rows

    def refusal(self, policy: GenerationPolicy) -> str | None:
        """Why this engine cannot serve the policy, or None."""
        if policy.module.config.is_encoder_decoder:
            return "it is an encoder-decoder"
        if not policy.module.can_generate():
            return f"{type(policy.module).__name__} has no language-model head"
        return None

    def generate(
        self,
        policy: GenerationPolicy,
        prompts: Sequence[TokenArray],
        sample_ids: Sequence[int],
        sampling: Sampling,
        seed: int,
        tick: Tick,
    ) -> Rollouts:
        """See `Engine`."""
        check_request(policy, prompts, sample_ids, sampling)
        shape = (len(prompts), sampling.max_new_tokens)
        tokens, log_probs = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.float32)
        decoded_rows = 0
        # Neighbours of similar length share a group, so that little is padding.
        order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
        with _plain_generation(policy.module):
            for start in range(0, len(order), self._rows):
                group = order[start : start + self._rows]
                ids, mask = _pad_left([prompts[i] for i in group], policy.pad_id)
                drawn = uniforms(seed, [sample_ids[i] for i in group], shape[1], policy.module.device)
                processor = _Draw(policy, mask, drawn, sampling, tick)
                _generate(policy, ids, mask, sampling, processor)
                steps = len(processor.tokens)
                decoded_rows += (steps - 1) * len(group)
                tokens[group, :steps] = torch.stack(processor.tokens, dim=1).cpu().numpy()
                log_probs[group, :steps] = torch.stack(processor.log_probs, dim=1).cpu().numpy()
        return collect(tokens, log_probs, policy.eos_ids, decoded_rows)


class _Draw(LogitsProcessor):  # type: ignore[misc]
    """Draws each next token, keeps it, and leaves it as the only one that can be chosen."""

    def __init__(
        self, policy: GenerationPolicy, mask: Tensor, drawn: Tensor, sampling: Sampling, tick: Tick
    ) -> None:
        device = policy.module.device
        self._vocab_size = policy.vocab_size
        self._eos = torch.tensor(policy.eos_ids, dtype=torch.int64, device=device)
        self._width = mask.shape[1]
        self._start = (self._width - mask.sum(1)).to(device)
        self._uniforms = drawn
        self._sampling = sampling
        self._tick = tick
        self.tokens: list[Tensor] = []
        self.log_probs: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[B, T] ids so far and [B, >= V] logits to scores of which one per row is finite."""
        self._tick()
        context = Context(input_ids, self._start, torch.full_like(self._start, input_ids.shape[1]))
        logits = scores[:, : self._vocab_size].float()
        step = input_ids.shape[1] - self._width
        tokens, log_probs = draw(logits, self._uniforms[:, step], self._sampling, self._eos, context)
        self.tokens.append(tokens)
        self.log_probs.append(log_probs)
        return torch.full_like(scores, float("-inf")).scatter_(1, tokens[:, None], 0.0)


def _generate(
    policy: GenerationPolicy, ids: Tensor, mask: Tensor, sampling: Sampling, processor: LogitsProcessor
) -> None:
    device = policy.module.device
    with _autocast(policy):
        policy.module.generate(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            logits_processor=LogitsProcessorList([processor]),
            generation_config=GenerationConfig(
                do_sample=False,
                use_cache=True,
                max_new_tokens=sampling.max_new_tokens,
                eos_token_id=list(policy.eos_ids),
                pad_token_id=policy.pad_id,
            ),
        )


def _pad_left(prompts: Sequence[TokenArray], pad_id: int) -> tuple[Tensor, Tensor]:
    """[B, P] int64 ids and [B, P] int64 mask, 1 at prompt tokens."""
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), pad_id, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.from_numpy(np.asarray(prompt, dtype=np.int64))
        mask[row, width - len(prompt) :] = 1
    return ids, mask


@contextmanager
def _plain_generation(module: Any) -> Iterator[None]:
    """Dropout off, and none of the settings that a model brings along (Qwen's repetition penalty)."""
    # One flag per part: gradient checkpointing sets it on layers of a module that is in evaluation mode.
    training = [part for part in module.modules() if part.training]
    config = module.generation_config
    module.eval()
    module.generation_config = GenerationConfig()
    try:
        yield
    finally:
        module.generation_config = config
        for part in training:
            part.training = True


def _autocast(policy: GenerationPolicy) -> AbstractContextManager[Any]:
    if policy.compute_dtype is None:
        return nullcontext()
    return torch.autocast(policy.module.device.type, policy.compute_dtype)
