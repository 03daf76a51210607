"""Losses straight from hidden states, as functions for a training loop of one's own.

The worker's own step does not call them: it takes the same pass over both heads without autograd
(`fused_form`). `functions` has what is public, `autograd` says what is computed forward and what backward,
`position_pass` goes through the positions, and `places` says which those are.
"""

from py_worker.losses.fused.functions import Head, Options, Values, fused_divergence, fused_moment_gap

__all__ = ["Head", "Options", "Values", "fused_divergence", "fused_moment_gap"]
