"""The forms of a decode step: which shapes are run, and that they draw the same."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from transformers import GPT2LMHeadModel, LlamaForCausalLM, T5ForConditionalGeneration

from py_worker.rollout import native
from py_worker.rollout.mixture import Mixture
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.sampling import Sampling
from py_worker.rollout.step_runner import ExactSteps, FixedSteps, GraphSteps, Step, StepForm
from tests.py.rollout.doubles import (
    VOCAB,
    ModulePolicy,
    as_lists,
    generate,
    gpt2_config,
    llama_config,
    seeded,
    t5_config,
)

Shape = tuple[int, int]
# With this one the empty slots draw EOS too.
SEED = 2


class Recorder:
    """A step that remembers what it was asked for, and a capture that does not run it."""

    def __init__(self) -> None:
        self.ran: list[Shape] = []
        self.captured: list[Shape] = []

    def step(self, rows: int, width: int) -> None:
        self.ran.append((rows, width))

    def capture(self, step: Step, rows: int, width: int) -> Callable[[], None]:
        self.captured.append((rows, width))
        return lambda: step(rows, width)


def test_exact_steps_compute_what_is_asked_for() -> None:
    recorder = Recorder()
    runner = ExactSteps(64, 300)
    assert [runner.run(recorder.step, rows, rows + 7) for rows in (64, 41, 1)] == [64, 41, 1]
    assert recorder.ran == [(64, 71), (41, 48), (1, 8)]


@pytest.mark.parametrize(
    ("slots", "capacity", "asked", "run"),
    [
        (64, 300, (64, 300), (64, 300)),
        (64, 300, (57, 257), (64, 300)),
        (64, 300, (56, 256), (56, 256)),
        (64, 300, (1, 1), (8, 128)),
        (60, 100, (57, 5), (60, 100)),
        (60, 100, (9, 5), (16, 100)),
        (3, 130, (2, 129), (2, 130)),
    ],
)
def test_fixed_steps_round_up_within_the_buffers(slots: int, capacity: int, asked: Shape, run: Shape) -> None:
    recorder = Recorder()
    assert FixedSteps(slots, capacity).run(recorder.step, *asked) == run[0]
    assert recorder.ran == [run]


def test_every_run_of_a_graph_is_one_step() -> None:
    recorder = Recorder()
    runner = GraphSteps(16, 256)
    runner._capture = recorder.capture  # type: ignore[method-assign]
    for rows, width in ((16, 30), (15, 40), (16, 128), (3, 129), (16, 50), (4, 200)):
        runner.run(recorder.step, rows, width)
    assert recorder.ran == [(16, 128), (16, 128), (16, 128), (8, 256), (16, 128), (8, 256)]
    assert recorder.captured == [(16, 128), (8, 256)]


@pytest.fixture(scope="module")
def sources() -> dict[str, ModulePolicy | Mixture]:
    llama = ModulePolicy(seeded(lambda: LlamaForCausalLM(llama_config())), eos_ids=(2, 5, 7, 11))
    gpt2 = ModulePolicy(seeded(lambda: GPT2LMHeadModel(gpt2_config())), eos_ids=(2, 5, 7, 11))
    t5 = ModulePolicy(seeded(lambda: T5ForConditionalGeneration(t5_config())), eos_ids=(2, 5, 7, 11))
    return {"llama": llama, "gpt2": gpt2, "t5": t5, "mixture": Mixture.blend(llama, gpt2, 0.4)}


@pytest.mark.parametrize("source", ["llama", "gpt2", "t5", "mixture"])
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(max_new_tokens=12),
        Sampling(no_repeat_ngram_size=2, max_new_tokens=12),
        Sampling(temperature=0.8, top_k=5, top_p=0.9, suppress_eos=True, max_new_tokens=5),
    ],
)
def test_all_forms_draw_the_same(
    sources: dict[str, ModulePolicy | Mixture],
    source: str,
    sampling: Sampling,
    prompts: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More prompts than slots, and empty slots among those computed.

    Slots are refilled by two. With one prompt a prefill one slot stays empty for longer than a response.
    """
    monkeypatch.setattr(GraphSteps, "_capture", lambda _, step, rows, width: lambda: step(rows, width))
    many = prompts * 5
    expected = generate(NativeEngine(), sources[source], many, sampling, seed=SEED)
    forms: tuple[StepForm, ...] = ("exact", "fixed", "graph")
    for form, (check_every, prefill) in product(forms, ((4, 1), (1, 2_048))):
        limits = replace(
            native.LIMITS["cpu"], slots=16, check_every=check_every, prefill_tokens=prefill, steps=form
        )
        found = generate(NativeEngine(limits), sources[source], many, sampling, seed=SEED)
        assert as_lists(found.tokens) == as_lists(expected.tokens)
        assert found.ended == expected.ended
        for row, other in zip(found.log_probs, expected.log_probs, strict=True):
            np.testing.assert_allclose(row, other, atol=1e-6)


def test_few_shapes_and_few_idle_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """512 ragged responses: at most eight row counts by two widths, and 1.1 rows computed per token."""
    shapes: list[Shape] = []
    run_shape = FixedSteps._run_shape

    def record(runner: FixedSteps, step: Step, rows: int, width: int) -> None:
        shapes.append((rows, width))
        run_shape(runner, step, rows, width)

    monkeypatch.setattr(FixedSteps, "_run_shape", record)
    generator = np.random.default_rng(0)
    prompts = [generator.integers(3, VOCAB, n).astype(np.int32) for n in generator.integers(8, 65, 512)]
    shape = llama_config(hidden_size=16, num_hidden_layers=1, initializer_range=0.1)
    policy = ModulePolicy(seeded(lambda: LlamaForCausalLM(shape)))
    limits = replace(native.LIMITS_ELSEWHERE, slots=64, steps="fixed")
    responses = generate(NativeEngine(limits), policy, prompts, Sampling(max_new_tokens=128))
    assert len(set(shapes)) <= 16
    assert {width for _, width in shapes} == {128, 191}
    assert responses.decoded_rows == sum(rows for rows, _ in shapes)
    assert responses.decoded_rows <= 1.1 * responses.token_count
