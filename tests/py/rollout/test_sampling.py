"""Sampling against transformers' processors, brute force, and exact quantiles."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import NoRepeatNGramLogitsProcessor, TopKLogitsWarper, TopPLogitsWarper

from py_worker.rollout.errors import RolloutError
from py_worker.rollout.sampling import (
    Context,
    Sampling,
    draw,
    inverse_cdf,
    keep_top_k,
    keep_top_p,
    mix,
    repeated_ngrams,
)

torch.set_num_threads(1)

EOS = torch.tensor([2])
LAST = 1 - 2.0**-53


def random_logits(rows: int, vocab: int, seed: int = 0, scale: float = 3.0) -> Tensor:
    return torch.randn(rows, vocab, generator=torch.Generator().manual_seed(seed)) * scale


def halves(rows: int) -> Tensor:
    """Uniforms that draw the median token."""
    return torch.full((rows,), 0.5, dtype=torch.float64)


def context_of(rows: list[list[int]], pad_left: bool) -> Context:
    """Rows padded on one side with a token that would match if padding were taken for text."""
    width = max(map(len, rows)) + 3
    tokens = torch.full((len(rows), width), rows[0][-1])
    start = torch.tensor([width - len(r) if pad_left else 0 for r in rows])
    for b, row in enumerate(rows):
        tokens[b, start[b] : start[b] + len(row)] = torch.tensor(row)
    return Context(tokens, start, start + torch.tensor([len(r) for r in rows]))


def banned_by_hand(row: list[int], size: int, vocab: int) -> list[bool]:
    banned = [False] * vocab
    for i in range(len(row) - size + 1):
        if row[i : i + size - 1] == row[len(row) - size + 1 :]:
            banned[row[i + size - 1]] = True
    return banned


@pytest.mark.parametrize("k", [1, 3, 20, 50])
def test_top_k_equals_transformers(k: int) -> None:
    logits = random_logits(8, 20)
    logits[0, :10] = 1.5  # ties at the threshold all stay
    assert torch.equal(keep_top_k(logits, k), TopKLogitsWarper(k)(None, logits.clone()))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 0.999])
def test_top_p_equals_transformers(p: float) -> None:
    logits = random_logits(16, 30).double()
    assert torch.equal(keep_top_p(logits, p), TopPLogitsWarper(p)(None, logits.clone()))


def test_top_p_keeps_one_token_at_least_and_the_lowest_id_of_a_tie() -> None:
    kept = keep_top_p(torch.zeros(1, 5), 0.0)
    assert kept.isfinite().tolist() == [[True, False, False, False, False]]
    assert keep_top_p(torch.zeros(1, 4), 0.5).isfinite().tolist() == [[True, True, False, False]]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=14), min_size=1, max_size=4),
    size=st.integers(1, 4),
    pad_left=st.booleans(),
)
def test_repeated_ngrams_equal_brute_force_whatever_the_padding(
    rows: list[list[int]], size: int, pad_left: bool
) -> None:
    banned = repeated_ngrams(context_of(rows, pad_left), size, 5)
    assert banned.tolist() == [banned_by_hand(row, size, 5) for row in rows]


def test_repeated_ngrams_equal_transformers() -> None:
    tokens = torch.randint(0, 6, (12, 25), generator=torch.Generator().manual_seed(1))
    whole = Context(tokens, torch.zeros(12, dtype=torch.int64), torch.full((12,), 25))
    for size in (2, 3):
        theirs = NoRepeatNGramLogitsProcessor(size)(tokens, torch.zeros(12, 6)) == -math.inf
        assert torch.equal(repeated_ngrams(whole, size, 6), theirs)


def test_ids_outside_the_vocabulary_ban_nothing() -> None:
    context = context_of([[1, 9, 1]], pad_left=False)
    assert not repeated_ngrams(context, 2, 5).any()


def test_inverse_cdf_hits_every_quantile() -> None:
    """With N evenly spaced uniforms each token is drawn N times its probability, to within one."""
    logits = random_logits(1, 12, seed=3)
    probabilities = logits.double().softmax(-1)
    n = 10_000
    evenly = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    tokens, _ = draw(logits.expand(n, -1), evenly, Sampling(), EOS)
    counts = torch.bincount(tokens, minlength=12)
    assert (counts - n * probabilities[0]).abs().max() <= 1.0
    assert torch.equal(tokens, tokens.sort().values)


@pytest.mark.parametrize("sampling", [Sampling(temperature=0.5), Sampling(temperature=2.0, top_k=5)])
def test_tempered_frequencies(sampling: Sampling) -> None:
    logits = random_logits(1, 9, seed=4)
    scores = logits[0].double() / sampling.temperature
    if sampling.top_k:
        scores[scores < scores.sort(descending=True).values[sampling.top_k - 1]] = -math.inf
    n = 10_000
    evenly = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    tokens, _ = draw(logits.expand(n, -1), evenly, sampling, EOS)
    counts = torch.bincount(tokens, minlength=9)
    assert (counts - n * scores.softmax(-1)).abs().max() <= 1.0


@pytest.mark.parametrize("total", [1.0, 0.75, 0.3, 1.5, 1 + 2.0**-20])
def test_a_token_without_probability_is_never_drawn(total: float) -> None:
    probabilities = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]]).repeat(3, 1) * total
    drawn = inverse_cdf(probabilities, torch.tensor([0.0, 0.5, LAST], dtype=torch.float64))
    assert drawn.tolist() == [1, 3, 3]


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.3),
        Sampling(temperature=1e-3),
        Sampling(top_k=2),
        Sampling(top_k=3, temperature=2.0),
        Sampling(top_p=0.4),
        Sampling(top_p=0.9, top_k=4, suppress_eos=True),
        Sampling(suppress_eos=True),
    ],
)
def test_log_probabilities_are_of_the_distribution_drawn_from(sampling: Sampling) -> None:
    """Against the formula in float64: bans, temperature, top-k, top-p, and what is left sums to 1."""
    logits = random_logits(6, 10, seed=5)
    tokens, log_probs = draw(logits, halves(6), sampling, EOS)
    behaviour = (logits.double() / sampling.temperature).softmax(-1)
    if sampling.suppress_eos:
        behaviour[:, EOS] = 0.0
    if sampling.top_k:
        behaviour[behaviour < behaviour.sort(descending=True).values[:, [sampling.top_k - 1]]] = 0.0
    ordered, index = behaviour.sort(descending=True)
    dropped = (ordered.cumsum(-1) - ordered) / ordered.sum(-1, keepdim=True) >= sampling.top_p
    behaviour.scatter_(1, index, ordered.masked_fill(dropped, 0.0))
    expected = (behaviour / behaviour.sum(-1, keepdim=True)).gather(1, tokens[:, None]).squeeze(1).log()
    assert log_probs.dtype == torch.float32
    np.testing.assert_allclose(log_probs, expected, rtol=1e-5, atol=1e-6)


def test_log_probabilities_after_an_ngram_ban() -> None:
    """Of four equal tokens the ban leaves three."""
    context = context_of([[0, 1, 0]], pad_left=True)
    tokens, log_probs = draw(torch.zeros(1, 4), halves(1), Sampling(no_repeat_ngram_size=2), EOS, context)
    assert tokens.item() != 1
    assert log_probs.item() == pytest.approx(math.log(1 / 3))


def test_without_truncation_log_probabilities_are_the_policys() -> None:
    logits = random_logits(6, 10, seed=5)
    settings = (Sampling(), Sampling(max_new_tokens=3), Sampling(temperature=0.9))
    policy = logits.double().log_softmax(-1)
    for sampling in settings:
        tokens, log_probs = draw(logits, halves(6), sampling, EOS)
        same = np.allclose(log_probs, policy.gather(1, tokens[:, None]).squeeze(1), rtol=1e-5)
        assert same == (not sampling.truncates)
    assert [sampling.truncates for sampling in settings] == [False, False, True]


def test_a_greedy_token_has_probability_one() -> None:
    for sampling in (Sampling(temperature=0.0), Sampling(temperature=0.0, suppress_eos=True)):
        _, log_probs = draw(random_logits(6, 10, seed=5), halves(6), sampling, EOS)
        assert log_probs.tolist() == [0.0] * 6


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_mix_is_the_mean_of_tempered_distributions(temperature: float) -> None:
    logits = [random_logits(5, 12, seed=seed, scale=6.0) for seed in range(3)]
    weights = [0.5, 0.3, 0.2]
    expected = sum(
        weight * (each.double() / temperature).softmax(-1)
        for weight, each in zip(weights, logits, strict=True)
    )
    mixed = mix(logits, weights, temperature)
    assert mixed.dtype == torch.float32
    np.testing.assert_allclose(mixed.double().exp(), expected, rtol=1e-5)
    np.testing.assert_allclose(mixed.double().exp().sum(-1), 1.0, rtol=1e-6)


def test_mix_keeps_the_probability_that_one_policy_gives_alone() -> None:
    """One policy is certain of token 0, the other of token 1; neither may vanish."""
    certain = torch.tensor([[120.0, 0.0, 0.0]]), torch.tensor([[0.0, 120.0, 0.0]])
    mixed = mix(certain, (0.25, 0.75), 1e-3)
    np.testing.assert_allclose(mixed.exp(), [[0.25, 0.75, 0.0]], rtol=1e-6)
    assert mixed.isfinite().all()
    wide = mix([certain[0], certain[1].double()], (0.25, 0.75), 1.0)
    assert wide.dtype == torch.float64


def test_greedy_takes_the_lowest_id_of_a_tie() -> None:
    logits = torch.tensor([[0.0, 7.0, 7.0, 7.0], [3.0, 3.0, 3.0, 3.0]])
    tokens, _ = draw(logits, torch.full((2,), LAST, dtype=torch.float64), Sampling(temperature=0.0), EOS)
    assert tokens.tolist() == [1, 0]


@pytest.mark.parametrize("temperature", [1e-30, 1e-6])
def test_a_tiny_temperature_is_greedy_and_does_not_overflow(temperature: float) -> None:
    logits = random_logits(5, 8, scale=1e4)
    uniforms = torch.full((5,), LAST, dtype=torch.float64)
    tokens, _ = draw(logits, uniforms, Sampling(temperature=temperature), EOS)
    assert torch.equal(tokens, logits.argmax(-1))


def test_suppressed_eos_is_never_drawn() -> None:
    logits = torch.full((200, 4), -20.0)
    logits[:, 2] = 20.0
    evenly = torch.arange(200, dtype=torch.float64) / 200
    for temperature in (0.0, 1.0):
        tokens, _ = draw(logits, evenly, Sampling(temperature=temperature, suppress_eos=True), EOS)
        assert (tokens != 2).all()


def test_ngram_ban_applies_and_is_lifted_where_nothing_would_be_left() -> None:
    context = context_of([[0, 1, 0], [3, 2, 0]], pad_left=True)
    logits = torch.tensor([[0.0, 9.0, 1.0, 2.0]]).repeat(2, 1)
    greedy = Sampling(temperature=0.0, no_repeat_ngram_size=2)
    tokens, _ = draw(logits, torch.zeros(2, dtype=torch.float64), greedy, EOS, context)
    assert tokens.tolist() == [3, 1]
    everything = context_of([[0, 1, 2, 3]], pad_left=True)
    unigrams = Sampling(temperature=0.0, no_repeat_ngram_size=1)
    tokens, _ = draw(logits[:1], torch.zeros(1, dtype=torch.float64), unigrams, EOS, everything)
    assert tokens.tolist() == [1]


def test_not_a_number_gives_a_valid_id_and_shows_in_the_log_probability() -> None:
    logits = torch.full((2, 5), math.nan)
    logits[1] = torch.arange(5.0)
    tokens, log_probs = draw(logits, torch.full((2,), 0.3, dtype=torch.float64), Sampling(), EOS)
    assert 0 <= int(tokens[0]) < 5
    assert log_probs.isnan().tolist() == [True, False]
    for sampling in (Sampling(temperature=0.0), Sampling(temperature=0.5), Sampling(top_k=2)):
        _, log_probs = draw(logits, halves(2), sampling, EOS)
        assert log_probs.isnan().tolist() == [True, False]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_p", 1.01),
        ("top_p", math.nan),
        ("top_k", -1),
        ("max_new_tokens", 0),
        ("no_repeat_ngram_size", -1),
    ],
)
def test_bad_settings_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(RolloutError, match=rf"sampling\.{name} is .*; it must"):
        Sampling(**{name: value})


def test_the_ngram_ban_needs_the_context() -> None:
    with pytest.raises(RolloutError, match="no_repeat_ngram_size"):
        draw(torch.zeros(1, 4), torch.zeros(1), Sampling(no_repeat_ngram_size=2), EOS)
