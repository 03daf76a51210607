"""Teacher-mixed sampling with both engines, against plain forward passes in float64."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaForCausalLM, T5ForConditionalGeneration

from py_worker.rollout.engine import Engine, select_engine
from py_worker.rollout.errors import RolloutError
from py_worker.rollout.forward import ForwardEngine
from py_worker.rollout.mixture import Mixture
from py_worker.rollout.native import NativeEngine
from py_worker.rollout.sampling import Sampling
from tests.py.rollout.doubles import (
    TOLERANCE,
    VOCAB,
    ModulePolicy,
    as_lists,
    generate,
    gpt2_config,
    limited,
    llama_config,
    reference_log_probs,
    seeded,
    t5_config,
)

SAMPLED = Sampling(max_new_tokens=20)
ENGINES: dict[str, Engine] = {"native": limited(slots=5), "forward": ForwardEngine(rows=7)}


@pytest.fixture(scope="module")
def teacher() -> ModulePolicy:
    """Of another size, with a wider table, and weights of its own."""
    config = llama_config(hidden_size=24, num_hidden_layers=3, vocab_size=VOCAB + 4, initializer_range=0.3)
    return ModulePolicy(seeded(lambda: LlamaForCausalLM(config)))


@pytest.fixture(scope="module")
def gpt2() -> ModulePolicy:
    return ModulePolicy(seeded(lambda: GPT2LMHeadModel(gpt2_config()), torch.float32))


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_the_ends_are_the_policies_themselves(
    engine: Engine, llama: ModulePolicy, teacher: ModulePolicy, prompts: list[np.ndarray]
) -> None:
    own = {
        name: generate(engine, policy, prompts, SAMPLED) for name, policy in (("s", llama), ("t", teacher))
    }
    for share, name in ((0.0, "s"), (1.0, "t")):
        mixed = generate(engine, Mixture.blend(llama, teacher, share), prompts, SAMPLED)
        assert as_lists(mixed.tokens) == as_lists(own[name].tokens)
        assert as_lists(mixed.log_probs) == as_lists(own[name].log_probs)
    between = generate(engine, Mixture.blend(llama, teacher, 0.5), prompts, SAMPLED)
    assert as_lists(between.tokens) not in (as_lists(own["s"].tokens), as_lists(own["t"].tokens))


@pytest.mark.parametrize(
    "sampling",
    [
        SAMPLED,
        Sampling(temperature=0.6, max_new_tokens=20),
        Sampling(temperature=1.5, top_k=4, max_new_tokens=20),
        Sampling(top_p=0.7, max_new_tokens=20),
        Sampling(temperature=0.0, max_new_tokens=20),
        Sampling(temperature=1.2, no_repeat_ngram_size=2, suppress_eos=True, max_new_tokens=12),
    ],
)
def test_engines_agree_and_log_probabilities_are_the_mixtures(
    llama: ModulePolicy, teacher: ModulePolicy, prompts: list[np.ndarray], sampling: Sampling
) -> None:
    mixture = Mixture.blend(llama, teacher, 0.3)
    ours = generate(ENGINES["native"], mixture, prompts, sampling)
    theirs = generate(ENGINES["forward"], mixture, prompts, sampling)
    assert as_lists(ours.tokens) == as_lists(theirs.tokens)
    assert ours.ended == theirs.ended
    expected = np.concatenate(reference_log_probs(mixture, prompts, ours.tokens, sampling))
    for responses in (ours, theirs):
        np.testing.assert_allclose(np.concatenate(responses.log_probs), expected, atol=TOLERANCE)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_models_of_two_families_share_an_engine(
    engine: Engine, gpt2: ModulePolicy, teacher: ModulePolicy, prompts: list[np.ndarray]
) -> None:
    """Whichever leads: the other one follows with its own cache, masks and positions."""
    drawn = {}
    for first, second, share in ((gpt2, teacher, 0.4), (teacher, gpt2, 0.6)):
        mixture = Mixture.blend(first, second, share)
        responses = generate(engine, mixture, prompts, SAMPLED)
        expected = reference_log_probs(mixture, prompts, responses.tokens, SAMPLED)
        np.testing.assert_allclose(np.concatenate(responses.log_probs), np.concatenate(expected), atol=1e-4)
        drawn[share] = as_lists(responses.tokens)
    assert drawn[0.4] == drawn[0.6]


@pytest.mark.parametrize("sampling", [SAMPLED, Sampling(temperature=0.0, max_new_tokens=9)])
def test_two_encoder_decoders_share_an_engine(prompts: list[np.ndarray], sampling: Sampling) -> None:
    """Each follows with the states of an encoder of its own."""
    student = ModulePolicy(seeded(lambda: T5ForConditionalGeneration(t5_config())))
    wider = t5_config(d_model=24, num_decoder_layers=3)
    teacher = ModulePolicy(seeded(lambda: T5ForConditionalGeneration(wider)))
    mixture = Mixture.blend(student, teacher, 0.4)
    assert isinstance(select_engine(student, teacher).engine, NativeEngine)
    drawn = []
    for engine in ENGINES.values():
        responses = generate(engine, mixture, prompts, sampling)
        drawn.append(as_lists(responses.tokens))
        expected = reference_log_probs(mixture, prompts, responses.tokens, sampling)
        np.testing.assert_allclose(np.concatenate(responses.log_probs), np.concatenate(expected), atol=1e-5)
    assert drawn[0] == drawn[1]


def test_two_of_a_family_keep_the_native_engine(llama: ModulePolicy, teacher: ModulePolicy) -> None:
    assert isinstance(select_engine(llama, teacher).engine, NativeEngine)


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_frequencies_of_first_tokens(llama: ModulePolicy, teacher: ModulePolicy, share: float) -> None:
    prompt = np.array([5], dtype=np.int32)
    with torch.no_grad():
        ids = torch.from_numpy(prompt.astype(np.int64))[None]
        student_p, teacher_p = (
            p.module(input_ids=ids).logits[0, -1, :VOCAB].double().softmax(-1).numpy()
            for p in (llama, teacher)
        )
    count = 20_000
    first = Sampling(max_new_tokens=1)
    mixture = Mixture.blend(llama, teacher, share)
    responses = generate(NativeEngine(), mixture, [prompt] * count, first)
    counts = np.bincount(np.concatenate(responses.tokens), minlength=VOCAB)

    def chi_square(probabilities: np.ndarray) -> float:
        """Over tokens that are expected five times at least; the others are one bin."""
        expected = count * probabilities
        often = expected >= 5
        found = np.append(counts[often], counts[~often].sum())
        wanted = np.append(expected[often], max(expected[~often].sum(), 1e-9))
        return float(((found - wanted) ** 2 / wanted).sum())

    # Exceeded once in a thousand with 23 degrees of freedom.
    critical = 49.73
    assert chi_square(share * teacher_p + (1 - share) * student_p) < critical
    for wrong in (student_p, teacher_p, (1 - share) * teacher_p + share * student_p):
        assert chi_square(wrong) > 10 * critical


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_a_sample_does_not_depend_on_its_batch(
    engine: Engine, llama: ModulePolicy, teacher: ModulePolicy, prompts: list[np.ndarray]
) -> None:
    mixture = Mixture.blend(llama, teacher, 0.5)
    together = generate(NativeEngine(), mixture, prompts, SAMPLED)
    order = [7, 0, 3, 11, 5, 2]
    few = generate(engine, mixture, [prompts[i] for i in order], SAMPLED, order)
    assert as_lists(few.tokens) == [together.tokens[i].tolist() for i in order]


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_responses_end_where_the_students_do(
    engine: Engine, share: float, llama: ModulePolicy, teacher: ModulePolicy, prompts: list[np.ndarray]
) -> None:
    mixture = Mixture.blend(replace(llama, eos_ids=(5, 7)), replace(teacher, eos_ids=(11,)), share)
    responses = generate(engine, mixture, prompts, SAMPLED)
    assert 0 < sum(responses.ended) < len(prompts)
    for row, ended in zip(responses.tokens, responses.ended, strict=True):
        assert (row[-1] in (5, 7)) == ended
        assert not np.isin(row[:-1], (5, 7)).any()
    assert 11 in np.concatenate([row[:-1] for row in responses.tokens])


def test_each_policy_runs_in_its_own_precision(
    llama: ModulePolicy, teacher: ModulePolicy, prompts: list[np.ndarray]
) -> None:
    """The follower is called from within the leader's autocast."""
    seen: dict[str, set[bool]] = {"student": set(), "teacher": set()}
    parts = {"student": replace(llama, compute_dtype=torch.bfloat16), "teacher": teacher}
    hooks = []
    for name, policy in parts.items():

        def note(*_: Any, name: str = name) -> None:
            seen[name].add(torch.is_autocast_enabled("cpu"))

        hooks.append(policy.module.register_forward_pre_hook(note))
    try:
        mixture = Mixture.blend(parts["student"], parts["teacher"], 0.5)
        generate(ForwardEngine(), mixture, prompts[:2], Sampling(max_new_tokens=3))
    finally:
        for hook in hooks:
            hook.remove()
    assert seen == {"student": {True}, "teacher": {False}}


def test_the_narrower_of_both_models_limits_the_prompts(
    llama: ModulePolicy, gpt2: ModulePolicy, prompts: list[np.ndarray]
) -> None:
    long = [np.tile(prompts[2], 5)[:60]]
    generate(ForwardEngine(), llama, long, Sampling(max_new_tokens=6))
    with pytest.raises(RolloutError, match="65 positions and the model has 64"):
        generate(ForwardEngine(), Mixture.blend(llama, gpt2, 0.5), long, Sampling(max_new_tokens=6))


class Away(ModulePolicy):
    """Keeps nothing but NaN where its weights are not at work."""

    @contextmanager
    def resident(self) -> Iterator[None]:
        with torch.no_grad():
            for parameter in self.module.parameters():
                parameter.data = self.kept[parameter]
            yield
            self.leave()

    def leave(self) -> None:
        self.kept = {parameter: parameter.data for parameter in self.module.parameters()}
        for parameter, weights in self.kept.items():
            parameter.data = torch.full_like(weights, float("nan"))


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_weights_that_are_kept_elsewhere_come_for_the_generation(
    engine: Engine, llama: ModulePolicy, teacher: ModulePolicy, prompts: list[np.ndarray]
) -> None:
    expected = generate(engine, Mixture.blend(llama, teacher, 0.4), prompts, SAMPLED)
    away = Away(copy.deepcopy(teacher.module))
    away.leave()
    found = generate(engine, Mixture.blend(llama, away, 0.4), prompts, SAMPLED)
    assert as_lists(found.tokens) == as_lists(expected.tokens)
    assert all(parameter.isnan().all() for parameter in away.module.parameters())


def test_mixtures_that_are_refused(llama: ModulePolicy, teacher: ModulePolicy) -> None:
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(RolloutError, match="between 0 and 1"):
            Mixture.blend(llama, teacher, share)
    with pytest.raises(RolloutError, match=f"{VOCAB} tokens, the teacher {VOCAB - 2}"):
        Mixture.blend(llama, replace(teacher, vocab_size=VOCAB - 2), 0.5)
