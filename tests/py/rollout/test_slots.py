"""The slot scheduler, by simulating the rows it moves about."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_worker.rollout.slots import Moves, SlotScheduler


@pytest.mark.parametrize(("slots", "requests"), [(64, 2048), (128, 4096)])
def test_slots_times_steps_of_ragged_responses(slots: int, requests: int) -> None:
    """Lengths of 1 to 256, all slots counted in every step, empty ones too.

    With 8 requests a slot instead of 32 it is 1.2: the tail, in which no prompt waits any more. No step
    computes an empty slot, so that costs nothing but steps.
    """
    lengths = np.random.default_rng(0).integers(1, 257, requests).tolist()
    simulation = Simulation([8] * requests, lengths, 256, slots, 2048)
    simulation.run()
    assert simulation.drawn == lengths
    assert slots * len(simulation.widths) <= 1.1 * sum(lengths)


class Simulation:
    """Buffers as an engine has them: per slot, the request in it and what it has cached."""

    def __init__(
        self, prompts: list[int], responses: list[int], limit: int, slots: int, prefill: int
    ) -> None:
        self.prompts, self.responses, self.limit = prompts, responses, limit
        self.scheduler = SlotScheduler(prompts, max_new_tokens=limit, slots=slots, prefill_tokens=prefill)
        self.slots = slots
        self.request = [-1] * slots
        self.cached = [0] * slots
        self.drawn = [0] * len(prompts)
        self.prefills: list[list[int]] = []
        self.widths: list[int] = []

    def run(self, check_every: int = 1) -> None:
        steps = 0
        while True:
            while (admission := self.scheduler.admit()) is not None:
                self.prefills.append([self.prompts[r] for r in admission.requests])
                for slot, request in enumerate(admission.requests, admission.first):
                    self.request[slot], self.cached[slot] = request, self.prompts[request]
                    assert self.drawn[request] == 0
                    self.drawn[request] = 1
                self.retire(steps % check_every == 0)
            active = self.scheduler.active
            if active == 0:
                return
            assert active <= self.slots
            width = self.scheduler.step()
            for slot in range(active):
                self.cached[slot] += 1
                self.drawn[self.request[slot]] += 1
            assert width == max(self.cached[:active])
            self.widths.append(active)
            steps += 1
            self.retire(steps % check_every == 0)

    def retire(self, due: bool) -> None:
        active = self.scheduler.active
        at_limit = any(self.drawn[self.request[s]] == self.limit for s in range(active))
        assert self.scheduler.exhausted() == at_limit
        if not due and not at_limit:
            return
        ended = [self.drawn[r] >= self.responses[r] for r in self.request[:active]]
        stay = [
            r
            for r, e in zip(self.request[:active], ended, strict=True)
            if not e and self.drawn[r] < self.limit
        ]
        moves = self.scheduler.retire(ended)
        assert set(moves.source).isdisjoint(moves.target)
        for source, target in zip(moves.source, moves.target, strict=True):
            self.request[target], self.cached[target] = self.request[source], self.cached[source]
        assert self.scheduler.active == len(stay)
        assert sorted(self.request[: len(stay)]) == sorted(stay)


requests = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), min_size=0, max_size=30)


@settings(max_examples=150, deadline=None)
@given(
    requests=requests,
    limit=st.integers(1, 10),
    slots=st.integers(1, 12),
    prefill=st.integers(1, 40),
)
def test_every_request_draws_exactly_its_tokens(
    requests: list[tuple[int, int]], limit: int, slots: int, prefill: int
) -> None:
    simulation = Simulation([p for p, _ in requests], [r for _, r in requests], limit, slots, prefill)
    simulation.run()
    assert simulation.drawn == [min(r, limit) for _, r in requests]
    assert sum(simulation.widths) == sum(simulation.drawn) - len(requests)
    for group in simulation.prefills:
        assert len(group) == 1 or len(group) * max(group) <= prefill


@settings(max_examples=60, deadline=None)
@given(requests=requests, check_every=st.integers(2, 5), slots=st.integers(1, 8))
def test_looking_less_often_draws_more_and_never_over_the_limit(
    requests: list[tuple[int, int]], check_every: int, slots: int
) -> None:
    simulation = Simulation([p for p, _ in requests], [r for _, r in requests], 7, slots, 30)
    simulation.run(check_every)
    for drawn, (_, response) in zip(simulation.drawn, requests, strict=True):
        assert min(response, 7) <= drawn <= 7


def test_slots_stay_filled_while_prompts_wait() -> None:
    """Ragged lengths: 400 requests of 1 to 40 tokens through 32 slots."""
    lengths = [1 + (i * 17) % 40 for i in range(400)]
    simulation = Simulation([8] * 400, lengths, 64, 32, 10_000)
    simulation.run()
    busy = simulation.widths[:-40]
    assert min(busy) > 32 - 32 // 8
    assert sum(simulation.widths) <= sum(lengths)


def test_prompts_of_similar_length_share_a_prefill() -> None:
    simulation = Simulation([1, 30, 2, 29, 3, 28], [1] * 6, 4, 6, 60)
    simulation.run()
    assert simulation.prefills == [[30, 29], [28, 3], [2, 1]]


def test_moves_fill_the_first_holes_with_the_last_rows() -> None:
    scheduler = SlotScheduler([1] * 5, max_new_tokens=9, slots=5, prefill_tokens=100)
    scheduler.admit()
    scheduler.step()
    assert scheduler.retire([True, False, True, False, False]) == Moves((3, 4), (0, 2))
    assert scheduler.active == 3
    assert scheduler.retire([False, False, True]) == Moves((), ())


def test_one_outcome_per_active_row() -> None:
    scheduler = SlotScheduler([1, 1], max_new_tokens=9, slots=2, prefill_tokens=100)
    scheduler.admit()
    with pytest.raises(ValueError, match="zip"):
        scheduler.retire([True])
