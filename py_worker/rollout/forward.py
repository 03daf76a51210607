"""The fallback engine: transformers' own generation loop, with our random numbers.

`generate` is the one entry point that serves every language model of transformers: it knows each
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
from transformers import (
    DynamicCache,
    EncoderDecoderCache,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
)

from py_worker.rollout.mixture import Mixture
from py_worker.rollout.opening import Opening, open_group
from py_worker.rollout.policy import GenerationPolicy
from py_worker.rollout.randomness import uniforms
from py_worker.rollout.request import Tick, TokenArray, check_request
from py_worker.rollout.responses import Responses, collect
from py_worker.rollout.sampling import Context, Sampling

_State = dict[str, Any]
"""What a model takes along from pass to pass, under the names of its arguments; empty before the first."""


class ForwardEngine:
    """Generates with the model's forward pass, prompts of decoders padded on the left."""

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
    ) -> Responses:
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
                opening = open_group([prompts[i] for i in group], mixture, device)
                drawn = uniforms(seed, [sample_ids[i] for i in group], shape[1], device)
                processor = _Draw(mixture, opening, drawn, sampling, tick)
                _run(mixture, mixture.policies[0], sampling.max_new_tokens, processor, opening.inputs)
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
            states: list[_State] = [{} for _ in mixture.policies]
            for given in (ids, ids[:, :1]):
                passes = [_one_pass(*each, given) for each in zip(mixture.policies, states, strict=True)]
                states = [state for state, _ in passes]
                logits = [scores[:, : mixture.vocab_size].float() for _, scores in passes]
                context = Context(ids, start, end)
                mixture.draw(logits, start.double(), sampling, eos, context)
                for state in states:
                    _lengthen(state["past_key_values"], sampling.max_new_tokens - 2)


def _one_pass(policy: GenerationPolicy, state: _State, ids: Tensor) -> tuple[_State, Tensor]:
    """What the model remembers with `ids` [B, T] in it, and logits [B, >= V] behind them.

    An encoder-decoder encodes them in its first pass; its decoder gets one token each time.
    """
    module = policy.module
    with _plain_generation(module), _computing_as(policy):
        if module.config.is_encoder_decoder:
            # Prompts that are padded add a mask to the scores, which then are each row's own.
            mask = torch.zeros(len(ids), 1, 1, ids.shape[1], dtype=module.dtype, device=ids.device)
            return _decode(module, state, {"input_ids": ids, "attention_mask": mask}, ids[:, :1])
        last = {"logits_to_keep": 1} if module._supports_logits_to_keep() else {}
        output = module(input_ids=ids, **state, use_cache=True, **last)
    return {"past_key_values": getattr(output, "past_key_values", None)}, output.logits[:, -1]


def _decode(module: Any, state: _State, prompts: dict[str, Tensor], ids: Tensor) -> tuple[_State, Tensor]:
    """What an encoder-decoder remembers when its decoder has seen `ids` [B, T] too, and logits behind them.

    Without a state it encodes `prompts` first.
    """
    given = {name: value for name, value in prompts.items() if not (state and name == "input_ids")}
    output = module(**given, **state, decoder_input_ids=ids, use_cache=True)
    encoded = (output.encoder_last_hidden_state,)
    state = {"past_key_values": output.past_key_values, "encoder_outputs": encoded}
    return state, output.logits[:, -1]


def _lengthen(cache: Any, tokens: int) -> None:
    """Puts more tokens in; a cache of another kind than keys and values [B, K, T, D] does not grow.

    By the layer's own method: one with a sliding window counts what it was given, and keeps the last of it.
    """
    for layer in getattr(getattr(cache, "self_attention_cache", cache), "layers", ()):
        held = [each for name in ("keys", "values") if isinstance(each := getattr(layer, name, None), Tensor)]
        if tokens > 0 and len(held) == 2:
            layer.update(*(each.new_zeros(*each.shape[:2], tokens, each.shape[3]) for each in held))


class _Draw(LogitsProcessor):  # type: ignore[misc]
    """Draws each next token, keeps it, and leaves it as the only one that can be chosen."""

    def __init__(
        self, mixture: Mixture, opening: Opening, drawn: Tensor, sampling: Sampling, tick: Tick
    ) -> None:
        self._mixture = mixture
        self._followers = [_Follower(mixture, policy, opening) for policy in mixture.policies[1:]]
        self._eos = torch.tensor(mixture.eos_ids, dtype=torch.int64, device=drawn.device)
        self._width, self._start = opening.width, opening.start
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
    runs over the whole sequence again. An encoder-decoder's own pass takes what it has not seen: its
    positions are relative.
    """

    def __init__(self, mixture: Mixture, policy: GenerationPolicy, opening: Opening) -> None:
        self._mixture, self._policy, self._opening = mixture, policy, opening
        self._state: _State = {}
        self._seen = 0

    def logits(self, input_ids: Tensor) -> Tensor:
        """[B, V] behind [B, T] ids that the loop has so far."""
        scores = self._decoded(input_ids) if self._opening.encoded else self._continued(input_ids)
        return scores[:, : self._mixture.vocab_size].float()

    def _decoded(self, input_ids: Tensor) -> Tensor:
        module, new = self._policy.module, input_ids[:, self._seen :]
        with _computing_as(self._policy):
            self._state, scores = _decode(module, self._state, self._opening.inputs, new)
        self._seen = input_ids.shape[1]
        return scores

    def _continued(self, input_ids: Tensor) -> Tensor:
        keep = _Keep()
        mask = self._opening.inputs["attention_mask"]
        mask = F.pad(mask, (0, input_ids.shape[1] - mask.shape[1]), value=1)
        inputs = {"input_ids": input_ids, "attention_mask": mask, **self._state}
        output = _run(self._mixture, self._policy, 1, keep, inputs)
        self._state = {"past_key_values": getattr(output, "past_key_values", None)}
        return keep.logits


class _Keep(LogitsProcessor):  # type: ignore[misc]
    """Remembers the logits that it is given."""

    logits: Tensor

    def __call__(self, _input_ids: Tensor, scores: Tensor) -> Tensor:
        self.logits = scores
        return scores


def _run(
    mixture: Mixture,
    policy: GenerationPolicy,
    max_new_tokens: int,
    processor: LogitsProcessor,
    inputs: dict[str, Any],
) -> Any:
    """transformers' generation from one policy, with what decides the mixture's ends and padding."""
    if policy.module.config.is_encoder_decoder:
        # One that the library makes has as many layers as the encoder, whatever the decoder has.
        inputs = {**inputs, "past_key_values": EncoderDecoderCache(DynamicCache(), DynamicCache())}
    with _computing_as(policy):
        return policy.module.generate(
            **inputs,
            logits_processor=LogitsProcessorList([processor]),
            generation_config=GenerationConfig(
                do_sample=False,
                use_cache=True,
                max_new_tokens=max_new_tokens,
                eos_token_id=list(mixture.eos_ids),
                pad_token_id=mixture.pad_id,
                decoder_start_token_id=getattr(policy.module.config, "decoder_start_token_id", None),
                return_dict_in_generate=True,
            ),
        )


def _computing_as(policy: GenerationPolicy) -> Any:
    """Off where it is not asked for: a follower runs within the autocast of the first policy."""
    dtype = policy.compute_dtype
    return torch.autocast(policy.module.device.type, dtype, enabled=dtype is not None)


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
