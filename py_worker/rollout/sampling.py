"""How the next token is drawn: pure functions of a batch of logits and one uniform number per row.

Order of the transformations (as in transformers, so that settings from the literature mean the same): n-gram
ban and EOS suppression, temperature, top-k, top-p.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from py_worker.rollout.errors import RolloutError

_NEVER = float("-inf")


@dataclass(frozen=True)
class Sampling:
    """Settings of one generation request.

    Attributes:
        temperature: divides the logits; 0 is greedy (the lowest id wins a tie).
        top_p: smallest set of most probable tokens whose mass reaches this; 1 is off.
        top_k: number of most probable tokens kept (all that tie with the last one stay); 0 is off.
        max_new_tokens: response length at most, EOS included.
        no_repeat_ngram_size: no n-gram of this size occurs twice in prompt and response, of an encoder's
            decoder in the response; 0 is off.
        suppress_eos: never draw EOS, so that every response has `max_new_tokens` tokens; for measurements.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 256
    no_repeat_ngram_size: int = 0
    suppress_eos: bool = False

    def __post_init__(self) -> None:
        bounds = (
            (
                "temperature",
                0.0 <= self.temperature < float("inf"),
                "must be finite and at least 0 (0 is greedy)",
            ),
            ("top_p", 0.0 <= self.top_p <= 1.0, "must lie between 0 and 1 (1 is off)"),
            ("top_k", self.top_k >= 0, "must be at least 0 (0 is off)"),
            ("max_new_tokens", self.max_new_tokens >= 1, "must be at least 1"),
            ("no_repeat_ngram_size", self.no_repeat_ngram_size >= 0, "must be at least 0 (0 is off)"),
        )
        for name, holds, rule in bounds:
            if not holds:
                raise RolloutError(f"sampling.{name} is {getattr(self, name)}; it {rule}.")

    @property
    def truncates(self) -> bool:
        """Whether tokens are drawn from something else than the softmax of the logits."""
        return (
            self.temperature != 1.0
            or self.top_p < 1.0
            or self.top_k > 0
            or self.no_repeat_ngram_size > 0
            or self.suppress_eos
        )

    @property
    def after_mixing(self) -> "Sampling":
        """What is left to apply to a mixture, whose policies were divided by the temperature before."""
        return replace(self, temperature=1.0 if self.temperature > 0.0 else 0.0)


@dataclass(frozen=True)
class Context:
    """What each row has said so far; needed by the n-gram ban alone.

    Attributes:
        tokens: [B, T] int64; row b's prompt and response are `tokens[b, start[b]:end[b]]`.
        start: [B] int64.
        end: [B] int64.
    """

    tokens: Tensor
    start: Tensor
    end: Tensor


def repeated_ngrams(context: Context, size: int, vocab_size: int) -> Tensor:
    """Tokens that would complete an n-gram for the second time.

    Args:
        context: [B, T] tokens so far.
        size: length of the n-grams, at least 1.
        vocab_size: `V`; larger ids in the context are left out.

    Returns:
        [B, V] bool.
    """
    tokens, start, end = context.tokens, context.start[:, None], context.end[:, None]
    rows, width = tokens.shape
    banned = torch.zeros(rows, vocab_size, dtype=torch.int32, device=tokens.device)
    if width < size:
        return banned.bool()
    recent = torch.arange(1 - size, 0, device=tokens.device)[None, :] + end
    prefix = tokens.gather(1, recent.clamp_(min=0))
    windows = tokens.unfold(1, size, 1)
    first = torch.arange(windows.shape[1], device=tokens.device)[None, :]
    following = windows[..., -1]
    match = (windows[..., :-1] == prefix[:, None, :]).all(-1)
    match &= (first >= start) & (first + size <= end) & (following < vocab_size)
    # Adding up instead of assigning: the same token follows several windows, some of which do not match.
    return banned.scatter_add_(1, following.clamp(max=vocab_size - 1), match.to(torch.int32)).bool()


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """[B, V] logits with everything below the k-th largest of its row at -inf."""
    threshold = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < threshold, _NEVER)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """[B, V] logits outside the smallest set of most probable tokens with mass >= p at -inf; one stays."""
    ordered, index = logits.sort(dim=-1, descending=True, stable=True)
    mass = ordered.softmax(-1).cumsum(-1, dtype=torch.float64)
    drop = torch.zeros_like(logits, dtype=torch.bool)
    # A token goes when those before it hold p already: the mass up to its predecessor.
    drop[..., 1:] = mass[..., :-1] >= p
    return logits.masked_fill(drop.scatter(-1, index, drop), _NEVER)


def inverse_cdf(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """The token at which the cumulative probability first exceeds `u` times the total.

    Args:
        probabilities: [B, V], need not sum to exactly 1.
        uniforms: [B] float64 in [0, 1).

    Returns:
        [B] int64. A token of probability 0 is never drawn: `u * total < total` holds in float64 too, and the
        cumulative sum rises at the drawn token. A row with NaN gives some valid id, so that a diverged model
        shows as NaN log-probabilities and not as an index error on the device.
    """
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    threshold = cumulative[:, -1:] * uniforms[:, None]
    drawn = torch.searchsorted(cumulative, threshold, right=True).squeeze(1)
    return drawn.clamp_(max=probabilities.shape[-1] - 1)


def _allowed(logits: Tensor, sampling: Sampling, eos: Tensor, context: Context | None) -> Tensor:
    """[B, V] logits with banned tokens at -inf; a row of which nothing would be left keeps all its logits."""
    allowed = logits.index_fill(-1, eos, _NEVER) if sampling.suppress_eos else logits
    if sampling.no_repeat_ngram_size > 0:
        if context is None:
            raise RolloutError(
                "no_repeat_ngram_size needs the tokens so far; this is a defect of the engine."
            )
        ban = repeated_ngrams(context, sampling.no_repeat_ngram_size, logits.shape[-1])
        masked = allowed.masked_fill(ban, _NEVER)
        nothing_left = masked.amax(-1, keepdim=True) == _NEVER
        allowed = torch.where(nothing_left, allowed, masked)
    return allowed


def _tempered(logits: Tensor, temperature: float) -> Tensor:
    """Logits over temperature, up to a constant per row: a tiny one must not overflow the largest logit."""
    if temperature == 1.0:
        return logits
    return (logits - logits.amax(-1, keepdim=True)) / temperature


def mix(logits: Sequence[Tensor], weights: Sequence[float], temperature: float) -> Tensor:
    """Log-probabilities of a weighted mean of distributions: teacher-mixed sampling (Gu et al. 2024).

    `log Σ_i w_i softmax(logits_i / temperature)`, in the log domain throughout.

    Args:
        logits: [B, V] of each policy, float32 or wider.
        weights: one per policy, above 0, with sum 1.
        temperature: above 0.

    Returns:
        [B, V] in the widest dtype of the logits.
    """
    parts = [
        _tempered(each, temperature).log_softmax(-1) + math.log(weight)
        for each, weight in zip(logits, weights, strict=True)
    ]
    return torch.stack(parts).logsumexp(0)


def draw(
    logits: Tensor, uniforms: Tensor, sampling: Sampling, eos: Tensor, context: Context | None = None
) -> tuple[Tensor, Tensor]:
    """Draws one token per row.

    Args:
        logits: [B, V] float32 or wider.
        uniforms: [B] float64 in [0, 1); not used when greedy.
        sampling: settings.
        eos: [E] int64, ids that end a response, on the device.
        context: tokens so far; needed if `no_repeat_ngram_size` is set.

    Returns:
        Tokens [B] int64, and their log-probabilities [B] float32 under the distribution they were drawn from:
        softmax of the logits after bans, temperature, top-k and top-p; 0 when greedy, where it is one point.
        Importance weights `π(y) / b(y)` need exactly this `b`. Where `sampling.truncates` is false it is
        the softmax of the logits as given.
    """
    if not sampling.truncates:
        log_probabilities = logits.log_softmax(-1)
        tokens = inverse_cdf(log_probabilities.exp(), uniforms)
        return tokens, _at(log_probabilities, tokens).float()
    scores = _allowed(logits, sampling, eos, context)
    if sampling.temperature == 0.0:
        tokens = scores.argmax(-1)
        # 0, or NaN where the logits are not finite: a diverged model shows.
        return tokens, (_at(scores, tokens) - scores.amax(-1)).float()
    scores = _tempered(scores, sampling.temperature)
    if sampling.top_k > 0:
        scores = keep_top_k(scores, sampling.top_k)
    if sampling.top_p < 1.0:
        scores = keep_top_p(scores, sampling.top_p)
    probabilities = scores.softmax(-1)
    tokens = inverse_cdf(probabilities, uniforms)
    return tokens, _at(probabilities, tokens).log().float()


def _at(values: Tensor, tokens: Tensor) -> Tensor:
    """[B] of [B, V] values at [B] tokens."""
    return values.gather(1, tokens[:, None]).squeeze(1)
