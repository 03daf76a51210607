"""Counter-based random numbers: known values, independence of the batch, distribution."""

import numpy as np
import pytest
import torch

from py_worker.rollout.randomness import splitmix64, stream_seeds, uniforms

CPU = torch.device("cpu")
# Chi-square exceeded once in a thousand by truly uniform draws, by degrees of freedom.
CRITICAL = {63: 103.442, 255: 330.520}
MASK = (1 << 64) - 1


def splitmix64_scalar(state: int, index: int) -> int:
    """SplitMix64 with Python's unbounded integers."""
    x = (state + (index + 1) * 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def uniform_scalar(seed: int, sample: int, position: int) -> float:
    stream = splitmix64_scalar(splitmix64_scalar(seed & MASK, 0) ^ (sample & MASK), 0)
    return (splitmix64_scalar(stream, position) >> 11) / 2**53


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum())


def test_published_outputs_of_splitmix64() -> None:
    # First outputs for seed 0, and for seed 1234567 (Rosetta Code, "Pseudo-random numbers/Splitmix64").
    def outputs(seed: int, count: int) -> list[int]:
        drawn = splitmix64(torch.tensor(seed), torch.arange(count))
        return [int(x) & MASK for x in drawn]

    assert outputs(0, 3) == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert outputs(1234567, 5) == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_seeds_of_other_generators_are_the_streams_in_63_bits() -> None:
    ids = [0, 1, 2**63 - 1, -1]
    for seed in (0, 7, -1):
        states = [splitmix64_scalar(splitmix64_scalar(seed & MASK, 0) ^ (i & MASK), 0) for i in ids]
        assert stream_seeds(seed, ids) == [state & (MASK >> 1) for state in states]


def test_uniforms_equal_a_scalar_reference_at_extreme_keys() -> None:
    ids = [0, 1, 2, 2**31, 2**53 - 1, 2**63 - 1, -1]
    for seed in (0, 1, 2**53 - 1, 2**64 - 1, -5):
        expected = [[uniform_scalar(seed, i, t) for t in range(4)] for i in ids]
        assert uniforms(seed, ids, 4, CPU).tolist() == expected


def test_known_values_stay() -> None:
    # A change here changes every rollout of every seed.
    assert uniforms(7, [3], 2, CPU).tolist() == [[0.6097876641997814, 0.9049481459548339]]


def test_a_sample_does_not_depend_on_its_batch() -> None:
    ids = list(range(40))
    whole = uniforms(5, ids, 24, CPU)
    shuffled = np.random.default_rng(0).permutation(40).tolist()
    assert torch.equal(uniforms(5, shuffled, 24, CPU), whole[shuffled])
    assert torch.equal(uniforms(5, [17], 9, CPU), whole[17:18, :9])


def test_range_never_reaches_one() -> None:
    drawn = uniforms(1, range(2000), 100, CPU)
    assert drawn.dtype == torch.float64
    assert 0.0 <= drawn.min().item() < 1e-4
    assert 1 - 1e-4 < drawn.max().item() < 1.0
    # All 53 bits set is the largest value there can be, and it is below 1.
    assert (2**53 - 1) * 2.0**-53 < 1.0


@pytest.mark.parametrize("axis", ["position", "sample", "seed"])
def test_uniform_along_every_key(axis: str) -> None:
    if axis == "position":
        drawn = uniforms(11, [4], 64_000, CPU).flatten()
    elif axis == "sample":
        drawn = uniforms(11, range(64_000), 1, CPU).flatten()
    else:
        drawn = torch.cat([uniforms(s, [4], 1, CPU).flatten() for s in range(6_400)])
    counts, _ = np.histogram(drawn.numpy(), bins=64, range=(0, 1))
    assert chi_square(counts) < CRITICAL[63]


@pytest.mark.parametrize("axis", [0, 1])
def test_neighbours_are_uncorrelated(axis: int) -> None:
    """Pairs of neighbouring samples, and of neighbouring positions, fill the unit square evenly."""
    drawn = uniforms(3, range(256), 256, CPU).numpy()
    first = drawn[:-1] if axis == 0 else drawn[:, :-1]
    second = drawn[1:] if axis == 0 else drawn[:, 1:]
    counts, _, _ = np.histogram2d(first.ravel(), second.ravel(), bins=16, range=((0, 1), (0, 1)))
    assert chi_square(counts) < CRITICAL[255]


def test_swapped_seed_and_sample_are_different_streams() -> None:
    assert not torch.equal(uniforms(1, [2], 8, CPU), uniforms(2, [1], 8, CPU))
    assert not torch.equal(uniforms(1, [0], 8, CPU), uniforms(0, [1], 8, CPU))
