"""A policy at work for one generation: a snapshot of its weights, and what it keeps of the rows in slots."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from py_worker.models.encoder_decoder import encode
from py_worker.rollout.cross_cache import CrossCache
from py_worker.rollout.families import decoder_of
from py_worker.rollout.kv_cache import KeyValueCache, make_cache
from py_worker.rollout.policy import GenerationPolicy
from py_worker.rollout.t5 import T5Decoder
from py_worker.rollout.weights import arranged, pays_to_copy


class Begun(NamedTuple):
    """What rows have said before anything is drawn.

    Attributes:
        tokens: [k, T] int64, padded on the right.
        lengths: [k] int64, of them each row's own.
    """

    tokens: Tensor
    lengths: Tensor


class Running(Protocol):
    """See above; `open` comes before the first row.

    Attributes:
        row_bytes: that the caches of one slot take.
    """

    row_bytes: int

    def open(self, slots: int) -> None:
        """Makes the caches."""
        ...

    def opening(self, prompt_length: int) -> int:
        """Columns that a row with such a prompt begins with."""
        ...

    def begun(self, tokens: Tensor, lengths: Tensor) -> Begun:
        """What rows with prompts [k, P] of `lengths` [k] begin with."""
        ...

    def prefill(self, first: int, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Takes prompts [k, P] of `lengths` [k] into the slots from `first`; logits [k, V] behind each."""
        ...

    def decode(self, tokens: Tensor, lengths: Tensor, width: int) -> Tensor:
        """Takes one token [B] per row after `lengths` [B] columns; logits [B, V]. See `begin_step`."""
        ...

    def move(self, source: Tensor, target: Tensor) -> None:
        """Copies slots `source` to slots `target` ([m] int64)."""
        ...


def running(policy: GenerationPolicy, longest_prompt: int, max_new_tokens: int) -> Running:
    """The policy at work, for prompts and responses of so many tokens at most.

    Raises:
        UnsupportedModelError: no decoder computes its architecture.
    """
    kind = RunningEncoderDecoder if policy.module.config.is_encoder_decoder else RunningDecoder
    return kind(policy, longest_prompt, max_new_tokens)


class _Logits:
    """From last hidden states [B, H] to logits [B, V], on a snapshot of the head."""

    def __init__(self, policy: GenerationPolicy, dtype: torch.dtype, max_new_tokens: int) -> None:
        head = policy.head
        copy = pays_to_copy([head.rows], max_new_tokens)
        self._project = arranged(head.rows.t(), None, dtype, copy=copy)
        self._finish = head.finish

    def __call__(self, hidden: Tensor) -> Tensor:
        return self._finish(self._project(hidden))


class RunningDecoder:
    """A decoder alone: the prompt is the beginning of its sequence."""

    def __init__(self, policy: GenerationPolicy, longest_prompt: int, max_new_tokens: int) -> None:
        self._columns = longest_prompt + max_new_tokens - 1
        self._decoder = decoder_of(policy.module)(
            policy.module,
            capacity=self._columns,
            max_new_tokens=max_new_tokens,
            compute_dtype=policy.compute_dtype,
        )
        self._device: torch.device = policy.module.device
        self._logits = _Logits(policy, self._decoder.dtype, max_new_tokens)
        self.row_bytes = self._decoder.cache_shape(1, self._columns).bytes(self._decoder.dtype)

    def open(self, slots: int) -> None:
        """See `Running`."""
        shape = self._decoder.cache_shape(slots, self._columns)
        self._cache: KeyValueCache = make_cache(shape, self._decoder.dtype, self._device)

    def opening(self, prompt_length: int) -> int:
        """See `Running`."""
        return prompt_length

    def begun(self, tokens: Tensor, lengths: Tensor) -> Begun:
        """See `Running`."""
        return Begun(tokens, lengths)

    def prefill(self, first: int, tokens: Tensor, lengths: Tensor) -> Tensor:
        """See `Running`."""
        rows, width = tokens.shape
        cache = self._cache
        cache.admit(first, lengths)

        def attention(layer: int, qkv: Tensor) -> Tensor:
            return cache.prefill(layer, first, qkv.view(rows, width, *qkv.shape[1:]))

        positions = torch.arange(width, device=tokens.device).repeat(rows)
        last = torch.arange(rows, device=tokens.device) * width + lengths - 1
        return self._logits(self._decoder.hidden(tokens.view(-1), positions, attention, keep=last))

    def decode(self, tokens: Tensor, lengths: Tensor, width: int) -> Tensor:
        """See `Running`."""
        self._cache.begin_step(lengths, width)
        return self._logits(self._decoder.hidden(tokens, lengths, self._cache.attend))

    def move(self, source: Tensor, target: Tensor) -> None:
        """See `Running`."""
        self._cache.move(source, target)


class RunningEncoderDecoder:
    """An encoder that reads the prompt once, and a decoder that begins with its start token."""

    def __init__(self, policy: GenerationPolicy, longest_prompt: int, max_new_tokens: int) -> None:
        self._module, self._compute_dtype = policy.module, policy.compute_dtype
        self._columns, self._prompt_columns = max_new_tokens, longest_prompt
        self._decoder = T5Decoder(
            policy.module,
            capacity=self._columns,
            max_new_tokens=max_new_tokens,
            compute_dtype=policy.compute_dtype,
        )
        self._device: torch.device = policy.module.device
        self._start_id: int = policy.module.config.decoder_start_token_id
        self._logits = _Logits(policy, self._decoder.dtype, max_new_tokens)
        shapes = (self._decoder.cache_shape(1, columns) for columns in (self._columns, longest_prompt))
        self.row_bytes = sum(shape.bytes(self._decoder.dtype) for shape in shapes)

    def open(self, slots: int) -> None:
        """See `Running`."""
        own, crossed = (
            self._decoder.cache_shape(slots, columns) for columns in (self._columns, self._prompt_columns)
        )
        self._cache: KeyValueCache = make_cache(own, self._decoder.dtype, self._device)
        self._crossed = CrossCache(crossed, self._decoder.dtype, self._device)

    def opening(self, prompt_length: int) -> int:  # noqa: ARG002
        """See `Running`."""
        return 1

    def begun(self, tokens: Tensor, lengths: Tensor) -> Begun:
        """See `Running`."""
        return Begun(torch.full_like(tokens[:, :1], self._start_id), torch.ones_like(lengths))

    def prefill(self, first: int, tokens: Tensor, lengths: Tensor) -> Tensor:
        """See `Running`. Alone in its row, the start token attends to itself, whatever its position."""
        rows = len(tokens)
        cache, crossed = self._cache, self._crossed
        with torch.autocast(self._device.type, self._compute_dtype, enabled=self._compute_dtype is not None):
            inside = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
            states, _ = encode(self._module, tokens, inside)
        crossed.admit(first, lengths)
        for layer in range(crossed.shape.layers):
            crossed.store(layer, first, *self._decoder.crossed(layer, states))
        start = self.begun(tokens, lengths)
        cache.admit(first, start.lengths)

        def attention(layer: int, qkv: Tensor) -> Tensor:
            return cache.prefill(layer, first, qkv.view(rows, 1, *qkv.shape[1:]))

        def crossing(layer: int, queries: Tensor) -> Tensor:
            return crossed.attend(layer, first, queries)

        return self._logits(self._decoder.hidden(start.tokens.view(-1), attention, crossing))

    def decode(self, tokens: Tensor, lengths: Tensor, width: int) -> Tensor:
        """See `Running`."""
        columns = self._cache.bias_columns(width)
        self._cache.begin_step(lengths, width, self._decoder.position_bias(lengths, columns))

        def crossing(layer: int, queries: Tensor) -> Tensor:
            return self._crossed.attend(layer, 0, queries)

        return self._logits(self._decoder.hidden(tokens, self._cache.attend, crossing))

    def move(self, source: Tensor, target: Tensor) -> None:
        """See `Running`."""
        self._cache.move(source, target)
        self._crossed.move(source, target)
