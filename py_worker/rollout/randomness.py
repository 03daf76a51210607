"""Counter-based uniform random numbers: one per (seed, sample id, position), whatever batch asks for it.

Each (seed, sample id) owns a SplitMix64 stream (Steele, Lea, Flood 2014, *Fast splittable pseudorandom
number generators*), and `position` is the index into it. SplitMix64 reaches any index directly (its state is
a counter), so a rollout draws the same numbers in any batch, in any order, on any device, and nothing has to
be saved on a checkpoint.

int64 arithmetic wraps modulo 2^64 on every backend, so the unsigned algorithm runs in signed tensors; only
the right shift needs care (it copies the sign bit).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_MASK = (1 << 64) - 1


def _signed(value: int) -> int:
    """The int64 with the same 64 bits as `value` modulo 2^64."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


_GAMMA = _signed(0x9E3779B97F4A7C15)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)


def _xor_shift(x: Tensor, bits: int) -> Tensor:
    """`x ^ (x >>> bits)` with a logical shift; int64 to int64."""
    return x ^ ((x >> bits) & (_MASK >> bits))


def splitmix64(state: Tensor, index: Tensor) -> Tensor:
    """Outputs of SplitMix64 streams.

    Args:
        state: int64, the seeds of the streams.
        index: int64, broadcastable to `state`; 0 is a stream's first output.

    Returns:
        int64 (64 random bits), of the broadcast shape.
    """
    x = state + (index + 1) * _GAMMA
    x = _xor_shift(x, 30) * _MIX_1
    x = _xor_shift(x, 27) * _MIX_2
    return _xor_shift(x, 31)


def uniforms(seed: int, sample_ids: Sequence[int], positions: int, device: torch.device) -> Tensor:
    """One uniform number per sample and position.

    Args:
        seed: any integer; its low 64 bits count.
        sample_ids: identities of the `B` samples; low 64 bits count.
        positions: `T`, positions from 0.
        device: where they are computed (the bits are the same everywhere).

    Returns:
        [B, T] float64 in [0, 1): multiples of 2^-53, hence never 1. (Rounding them to float32 could give 1.)
    """
    streams = _streams(seed, sample_ids, device)
    bits = splitmix64(streams[:, None], torch.arange(positions, device=device)[None, :])
    return ((bits >> 11) & (_MASK >> 11)).to(torch.float64) * 2.0**-53


def stream_seeds(seed: int, sample_ids: Sequence[int]) -> list[int]:
    """One seed per sample, for a generator of somebody else's; 63 bits, so that it is no negative number."""
    return (_streams(seed, sample_ids, torch.device("cpu")) & (_MASK >> 1)).tolist()


def _streams(seed: int, sample_ids: Sequence[int], device: torch.device) -> Tensor:
    """[B] int64, the state of each sample's stream.

    Seed and sample id pass through the mixer one after the other, so that neither their sum nor their
    exclusive-or decides the stream: (seed 1, sample 2) and (seed 2, sample 1) are unrelated.
    """
    ids = torch.tensor([_signed(i) for i in sample_ids], dtype=torch.int64, device=device)
    zero = torch.zeros((), dtype=torch.int64, device=device)
    return splitmix64(splitmix64(zero + _signed(seed), zero) ^ ids, zero)
