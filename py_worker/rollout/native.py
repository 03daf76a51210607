"""The engine of our own: right-padded prefill, then one token per row and step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from py_worker.rollout.families import refusal
from py_worker.rollout.mixture import Mixture
from py_worker.rollout.policy import GenerationPolicy
from py_worker.rollout.randomness import uniforms
from py_worker.rollout.request import Tick, TokenArray, check_request
from py_worker.rollout.responses import Responses, collect
from py_worker.rollout.running import running
from py_worker.rollout.sampling import Context, Sampling
from py_worker.rollout.slots import Admission, Moves, SlotScheduler
from py_worker.rollout.step_runner import StepForm, make_runner

# Rows of the per-slot integers: the token to feed, how many precede it, where the next one goes, and 1 (0 in
# a slot that is computed though nobody sits in it).
_TOKEN, _LENGTH, _OUTPUT, _ALIVE = range(4)


@dataclass(frozen=True)
class Limits:
    """Sizes that change speed and rounding, hence fixed per kind of device and never measured.

    Attributes:
        slots: rows at work at the same time, at most.
        cache_bytes: memory for keys and values of all models, at most (one row is always allowed).
        prefill_tokens: padded prompt tokens computed at once.
        check_every: decode steps between looks at which rows have ended. On a CPU looking is free; on a GPU
            it waits for the device. Until the look a row that has ended is computed on, (check_every - 1) / 2
            steps on average: over 512 ragged responses of 15 tokens on average, rows computed per token
            drawn are 0.93 with 1, 1.02 with 4 and 1.16 with 8.
        steps: how decode steps are run, see `step_runner`; "graph" is for `GraphEngine`.
    """

    slots: int
    cache_bytes: int
    prefill_tokens: int
    check_every: int
    steps: StepForm = "exact"


# 512 prompts of 12 to 35 tokens, 1 to 16 new ones, hidden size 64, one core: 64 slots take 201 ms, 128
# slots 169, 256 slots 152, 512 slots 151; prefills of 8,192 tokens instead of 2,048 leave the caches and
# cost 12 % more.
_SLOTS = 256
LIMITS = {"cpu": Limits(slots=_SLOTS, cache_bytes=1 << 30, prefill_tokens=2_048, check_every=1)}
LIMITS_ELSEWHERE = Limits(slots=_SLOTS, cache_bytes=8 << 30, prefill_tokens=16_384, check_every=4)


class NativeEngine:
    """Generates with the training weights; finished rows leave, waiting prompts take their slots."""

    name = "native"
    concurrent = True

    def __init__(self, limits: Limits | None = None) -> None:
        """
        Args:
            limits: None takes those of the policy's device.
        """
        self._limits = limits

    @property
    def rows(self) -> int:
        """See `Engine`."""
        return _SLOTS if self._limits is None else self._limits.slots

    def refusal(self, policy: GenerationPolicy) -> str | None:
        """Why this engine cannot serve the policy, or None."""
        return refusal(policy.module)

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
        if not prompts:
            return Responses([], [], [], 0)
        with mixture.resident(), torch.inference_mode():
            return self._begin(mixture, prompts, sample_ids, sampling, seed, rows).run(tick)

    def rehearse(
        self,
        mixture: Mixture,
        prompts: Sequence[TokenArray],
        sampling: Sampling,
        tick: Tick,
        rows: int | None = None,
    ) -> None:
        """See `Engine`."""
        with mixture.resident(), torch.inference_mode():
            generation = self._begin(mixture, prompts, range(len(prompts)), sampling, 0, rows)
            tick()
            generation.rehearse()

    def _begin(
        self,
        mixture: Mixture,
        prompts: Sequence[TokenArray],
        sample_ids: Sequence[int],
        sampling: Sampling,
        seed: int,
        rows: int | None,
    ) -> "_Generation":
        device = mixture.policies[0].module.device
        limits = self._limits or LIMITS.get(device.type, LIMITS_ELSEWHERE)
        limits = limits if rows is None else replace(limits, slots=min(rows, limits.slots))
        # One response more than there are: see `_Generation`.
        drawn = uniforms(seed, [*sample_ids, 0], sampling.max_new_tokens, device)
        return _Generation(mixture, prompts, sampling, drawn, limits)


class _Generation:
    """State of one request. Slot-indexed buffers are on the device; who sits where is the scheduler's."""

    def __init__(
        self,
        mixture: Mixture,
        prompts: Sequence[TokenArray],
        sampling: Sampling,
        drawn: Tensor,
        limits: Limits,
    ) -> None:
        self._mixture, self._prompts, self._sampling, self._limits = mixture, prompts, sampling, limits
        device, count = drawn.device, sampling.max_new_tokens
        lengths = [len(p) for p in prompts]
        self._models = [running(policy, max(lengths), count) for policy in mixture.policies]
        opening = [self._models[0].opening(length) for length in lengths]
        capacity = max(opening) + count - 1
        slots = min(limits.slots, len(prompts), limits.cache_bytes // sum(m.row_bytes for m in self._models))
        slots = max(1, slots)
        for model in self._models:
            model.open(slots)
        self._scheduler = SlotScheduler(
            lengths, opening, max_new_tokens=count, slots=slots, prefill_tokens=limits.prefill_tokens
        )
        self._runner = make_runner(limits.steps, slots, capacity)
        self._largest_step = slots, capacity
        self._decoded_rows = self._steps_unseen = 0
        self._eos = torch.tensor(mixture.eos_ids, dtype=torch.int64, device=device)
        # A table: one look-up, however many ids there are.
        self._is_eos = torch.zeros(mixture.vocab_size, dtype=torch.bool, device=device)
        self._is_eos[list(mixture.eos_ids)] = True
        # Uniforms, drawn tokens and log-probabilities share one flat index: request * max_new_tokens + step.
        # What empty slots draw goes behind the last, for ever to the same place.
        self._uniforms = drawn.view(-1)
        self._tokens = torch.zeros(drawn.numel(), dtype=torch.int64, device=device)
        self._log_probs = torch.zeros(drawn.numel(), dtype=torch.float32, device=device)
        self._empty = torch.tensor([[0], [0], [len(prompts) * count], [0]], device=device)
        self._state = self._empty.repeat(1, slots)
        self._ended = torch.zeros(slots, dtype=torch.bool, device=device)
        # Tokens so far, for the n-gram ban only.
        width = capacity + 1 if sampling.no_repeat_ngram_size > 0 else 0
        self._history = torch.zeros(slots, width, dtype=torch.int64, device=device) if width else None

    def run(self, tick: Tick) -> Responses:
        """Runs until no prompt waits and no row is active."""
        scheduler = self._scheduler
        while True:
            while (admission := scheduler.admit()) is not None:
                self._prefill(admission)
                self._retire()
                tick()
            if scheduler.active == 0:
                break
            width = scheduler.step()
            self._decoded_rows += self._runner.run(self._step, scheduler.active, width)
            self._retire()
            tick()
        rows = len(self._prompts)
        tokens, log_probs = (
            buffer.view(-1, self._sampling.max_new_tokens)[:rows].cpu().numpy()
            for buffer in (self._tokens, self._log_probs)
        )
        return collect(tokens, log_probs, self._mixture.eos_ids, self._decoded_rows)

    def rehearse(self) -> None:
        """One prefill, and one step of all slots over all columns: what takes most memory, once."""
        admission = self._scheduler.admit()
        if admission is not None:
            self._prefill(admission)
        self._step(*self._largest_step)

    def _prefill(self, admission: Admission) -> None:
        """Computes the prompts, padded on the right, and draws their first tokens."""
        device, first = self._state.device, admission.first
        prompts = [self._prompts[r] for r in admission.requests]
        rows, width = len(prompts), max(map(len, prompts))
        padded = np.zeros((rows, width), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            padded[row, : len(prompt)] = prompt
        tokens = torch.from_numpy(padded).to(device)
        lengths = torch.tensor([len(p) for p in prompts], device=device)
        slots = slice(first, first + rows)
        begun = self._models[0].begun(tokens, lengths)
        self._state[_LENGTH, slots] = begun.lengths
        requests = torch.tensor(admission.requests, device=device)
        self._state[_OUTPUT, slots] = requests * self._sampling.max_new_tokens
        self._state[_ALIVE, slots] = 1
        self._ended[slots] = False
        if self._history is not None:
            self._history[slots, : begun.tokens.shape[1]] = begun.tokens
        self._emit([model.prefill(first, tokens, lengths) for model in self._models], slots)

    def _step(self, rows: int, width: int) -> None:
        """Feeds each of the first `rows` slots its last token and draws the next."""
        slots = slice(0, rows)
        token, length, _, alive = self._state[:, slots]
        logits = [model.decode(token, length, width) for model in self._models]
        self._state[_LENGTH:_ALIVE, slots] += alive
        self._emit(logits, slots)

    def _emit(self, logits: Sequence[Tensor], slots: slice) -> None:
        """Draws and keeps one token per row of `slots` from each model's logits [B, V]."""
        state = self._state[:, slots]
        output = state[_OUTPUT]
        context = None
        if self._history is not None:
            ends = state[_LENGTH]
            context = Context(self._history[slots], torch.zeros_like(ends), ends)
        drawn = self._uniforms.index_select(0, output)
        tokens, log_probs = self._mixture.draw(logits, drawn, self._sampling, self._eos, context)
        self._tokens.index_copy_(0, output, tokens)
        self._log_probs.index_copy_(0, output, log_probs)
        state[_TOKEN] = tokens
        self._ended[slots] |= self._is_eos.index_select(0, tokens)
        if self._history is not None:
            self._history[slots].scatter_(1, state[_LENGTH, :, None], tokens[:, None])

    def _retire(self) -> None:
        """Where it is time, frees the slots of finished rows and closes the gaps."""
        self._steps_unseen += 1
        if not self._scheduler.exhausted() and self._steps_unseen < self._limits.check_every:
            return
        self._steps_unseen = 0
        active = self._scheduler.active
        ended = self._ended[:active].tolist()
        if not self._scheduler.exhausted() and True not in ended:
            return
        moves = self._scheduler.retire(ended)
        if moves.source:
            self._move(moves)
        self._ended[:active] = False
        self._state[:, self._scheduler.active : active] = self._empty

    def _move(self, moves: Moves) -> None:
        source = torch.tensor(moves.source, device=self._state.device)
        target = torch.tensor(moves.target, device=self._state.device)
        for model in self._models:
            model.move(source, target)
        self._state.index_copy_(1, target, self._state.index_select(1, source))
        if self._history is not None:
            self._history.index_copy_(0, target, self._history.index_select(0, source))
