"""The fallback engine: transformers' own generation loop, with our random numbers.

`generate` is the one entry point that serves every causal language model of transformers: it knows each
architecture's cache, masks and position ids. A logits processor draws the token as every engine does and
leaves nothing else to choose, so the same seed gives the same rollout as the native engine (up to
rounding). In a mixture the first policy's loop leads; the others follow it token by token, from within its
logits processor.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from py_worker.rollout.mixture import Mixture
from py_worker.rollout.randomness import uniforms
from py_worker.rollout.rollouts import GenerationPolicy, Rollouts, Tick, TokenArray, check_request, collect
from py_worker.rollout.sampling import Context, Sampling


class ForwardEngine:
    """Generates with the model's forward pass, prompts padded on the left."""

    name = "forward"
    concurrent = False
    """It sets the module's generation settings, and masks of transformers are made with global functions."""

    def __init__(self, *, rows: int = 64) -> None:
        """
        Args:
            rows: prompts generated together; each such group runs until its last row has ended.
        """
        self.rows = rows

    def refusal(self, policy: GenerationPolicy) -> str | None:
        """Why this engine cannot serve the policy, or None."""
        if policy.module.config.is_encoder_decoder:
            return "it is an encoder-decoder"
        if not policy.module.can_generate():
            return f"{type(policy.module).__name__} has no language-model head"
        return None

    def generate(
        self,
        mixture: Mixture,
        prompts: Sequence[TokenArray],
        sample_ids: Sequence[int],
        sampling: Sampling,
        seed: int,
        tick: Tick,
        rows: int | None = None,
    ) -> Rollouts:
        """See `Engine`."""
        check_request(mixture.policies, prompts, sample_ids, sampling)
        shape = (len(prompts), sampling.max_new_tokens)
        tokens, log_probs = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.float32)
        decoded_rows, together = 0, min(rows or self.rows, self.rows)
        # Neighbours of similar length share a group, so that little is padding.
        order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
        with ExitStack() as stack:
            stack.enter_context(mixture.resident())
            device = mixture.policies[0].module.device
            for policy in mixture.policies:
                stack.enter_context(_plain_generation(policy.module))
            for start in range(0, len(order), together):
                group = order[start : start + together]
                ids, mask = _pad_left([prompts[i] for i in group], mixture.pad_id, device)
                drawn = uniforms(seed, [sample_ids[i] for i in group], shape[1], device)
                processor = _Draw(mixture, mask, drawn, sampling, tick)
                _run(mixture, mixture.policies[0], ids, mask, sampling.max_new_tokens, processor)
                steps = len(processor.tokens)
                decoded_rows += (steps - 1) * len(group)
                tokens[group, :steps] = torch.stack(processor.tokens, dim=1).cpu().numpy()
                log_probs[group, :steps] = torch.stack(processor.log_probs, dim=1).cpu().numpy()
        return collect(tokens, log_probs, mixture.eos_ids, decoded_rows)

    def rehearse(
        self,
        mixture: Mixture,
        prompts: Sequence[TokenArray],
        sampling: Sampling,
        tick: Tick,
        rows: int | None = None,
    ) -> None:
        """See `Engine`. A cache of the longest prompts is made longer, as it gets token by token."""
        together, width = min(rows or self.rows, self.rows, len(prompts)), max(map(len, prompts))
        with ExitStack() as stack:
            stack.enter_context(mixture.resident())
            stack.enter_context(torch.inference_mode())
            tick()
            device = mixture.policies[0].module.device
            ids = torch.zeros(together, width, dtype=torch.int64, device=device)
            start, end = torch.zeros_like(ids[:, 0]), torch.full_like(ids[:, 0], width)
            eos = torch.tensor(mixture.eos_ids, dtype=torch.int64, device=device)
            caches: list[Any] = [None] * len(mixture.policies)
            for given in (ids, ids[:, :1]):
                passes = [_one_pass(*each, given) for each in zip(mixture.policies, caches, strict=True)]
                caches = [cache for cache, _ in passes]
                logits = [scores[:, : mixture.vocab_size].float() for _, scores in passes]
                context = Context(ids, start, end)
                mixture.draw(logits, start.double(), sampling, eos, context)
                for cache in caches:
                    _lengthen(cache, sampling.max_new_tokens - 2)


def _one_pass(policy: GenerationPolicy, cache: Any, ids: Tensor) -> tuple[Any, Tensor]:
    """The cache with `ids` [B, T] in it, and logits [B, >= V] behind them."""
    module, dtype = policy.module, policy.compute_dtype
    last = {"logits_to_keep": 1} if module._supports_logits_to_keep() else {}
    with _plain_generation(module), torch.autocast(module.device.type, dtype, enabled=dtype is not None):
        output = module(input_ids=ids, past_key_values=cache, use_cache=True, **last)
    return getattr(output, "past_key_values", None), output.logits[:, -1]


def _lengthen(cache: Any, tokens: int) -> None:
    """Makes room for more tokens; a cache of another kind than keys and values [B, K, T, D] does not grow."""
    for layer in getattr(cache, "layers", ()):
        for name in ("keys", "values"):
            held = getattr(layer, name, None)
            if isinstance(held, Tensor) and tokens > 0:
                setattr(layer, name, F.pad(held, (0, 0, 0, tokens)))


class _Draw(LogitsProcessor):  # type: ignore[misc]
    """Draws each next token, keeps it, and leaves it as the only one that can be chosen."""

    def __init__(self, mixture: Mixture, mask: Tensor, drawn: Tensor, sampling: Sampling, tick: Tick) -> None:
        self._mixture = mixture
        self._followers = [_Follower(mixture, policy, mask) for policy in mixture.policies[1:]]
        self._eos = torch.tensor(mixture.eos_ids, dtype=torch.int64, device=mask.device)
        self._width = mask.shape[1]
        self._start = self._width - mask.sum(1)
        self._uniforms = drawn
        self._sampling = sampling
        self._tick = tick
        self.tokens: list[Tensor] = []
        self.log_probs: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[B, T] ids so far and [B, >= V] logits to scores of which one per row is finite."""
        self._tick()
        context = Context(input_ids, self._start, torch.full_like(self._start, input_ids.shape[1]))
        logits = [scores[:, : self._mixture.vocab_size].float()]
        logits += [follower.logits(input_ids) for follower in self._followers]
        drawn = self._uniforms[:, input_ids.shape[1] - self._width]
        tokens, log_probs = self._mixture.draw(logits, drawn, self._sampling, self._eos, context)
        self.tokens.append(tokens)
        self.log_probs.append(log_probs)
        return torch.full_like(scores, float("-inf")).scatter_(1, tokens[:, None], 0.0)


class _Follower:
    """A policy of the mixture that is fed what the first one's loop has drawn.

    `generate` for one more token each time, with the keys and values of the time before: it alone knows each
    architecture's masks and positions. Its set-up costs milliseconds a token. A model without such a cache
    runs over the whole sequence again.
    """

    def __init__(self, mixture: Mixture, policy: GenerationPolicy, mask: Tensor) -> None:
        self._mixture, self._policy, self._mask = mixture, policy, mask
        self._cache: Any = None

    def logits(self, input_ids: Tensor) -> Tensor:
        """[B, V] behind [B, T] ids: prompts padded on the left, and the tokens drawn since."""
        keep = _Keep()
        mask = F.pad(self._mask, (0, input_ids.shape[1] - self._mask.shape[1]), value=1)
        output = _run(self._mixture, self._policy, input_ids, mask, 1, keep, past_key_values=self._cache)
        self._cache = getattr(output, "past_key_values", None)
        return keep.logits[:, : self._mixture.vocab_size].float()


class _Keep(LogitsProcessor):  # type: ignore[misc]
    """Remembers the logits that it is given."""

    logits: Tensor

    def __call__(self, _input_ids: Tensor, scores: Tensor) -> Tensor:
        self.logits = scores
        return scores


def _run(
    mixture: Mixture,
    policy: GenerationPolicy,
    ids: Tensor,
    mask: Tensor,
    max_new_tokens: int,
    processor: LogitsProcessor,
    **options: Any,
) -> Any:
    """transformers' generation from one policy, with what decides the mixture's ends and padding."""
    kind, dtype = policy.module.device.type, policy.compute_dtype
    # Off where it is not asked for: a follower runs within the autocast of the first policy.
    with torch.autocast(kind, dtype, enabled=dtype is not None):
        return policy.module.generate(
            input_ids=ids,
            attention_mask=mask,
            logits_processor=LogitsProcessorList([processor]),
            generation_config=GenerationConfig(
                do_sample=False,
                use_cache=True,
                max_new_tokens=max_new_tokens,
                eos_token_id=list(mixture.eos_ids),
                pad_token_id=mixture.pad_id,
                return_dict_in_generate=True,
            ),
            **options,
        )


def _pad_left(prompts: Sequence[TokenArray], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """[B, P] int64 ids and [B, P] int64 mask, 1 at prompt tokens."""
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), pad_id, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.from_numpy(np.asarray(prompt, dtype=np.int64))
        mask[row, width - len(prompt) :] = 1
    return ids.to(device), mask.to(device)


@contextmanager
def _plain_generation(module: Any) -> Iterator[None]:
    """Dropout off, and none of the settings that a model brings along (Qwen's repetition penalty)."""
    # One flag per part, since a module in evaluation mode may have parts that are not.
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
