"""Forms of the losses, which agree up to rounding.

The setting `loss_form` (`LossForm`) decides two things. The form of a chunk of positions (`ChunkForm`) is
plain, by autograd through logits (`plain_form`), or fused, by formula a tile at a time (`fused_form`). The
form of a tile (`TileForm`) is how a formula's arithmetic is done, in a fused chunk as in the functions of
`fused`. So `fused`, `compiled` and `triton` all mean fused chunks, and differ in their tiles. A critic's form
(`models.spec`) and a decode step's (`rollout.step_runner`) are other things.
"""

import os
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor

from py_worker.losses.analytic import TileInputs, TileLoss, TileResult
from py_worker.losses.errors import LossError

TileForm = Literal["fused", "compiled", "triton"]
"""How a tile's arithmetic is done. fused: one operation after the other, in tiles that stay in a cache.
compiled: through `torch.compile`. triton: by the kernel of `triton_rows`. The last two want a C compiler when
they first run, and are experimental: neither was measured on a GPU."""

LossForm = TileForm | Literal["auto", "plain"]
"""The setting. plain: autograd through logits, as where a term has no gradient by formula. auto: what the
driver's table says for the device. Else fused chunks, with tiles of that form."""

MOST_COMPILED = 256
"""Losses with different parameters that a process may compile, where torch's own limit of 8 is an error."""


def in_form(loss: TileLoss, form: TileForm) -> TileLoss:
    """The same loss with its arithmetic done so; itself where the Triton kernel lacks it."""
    if form == "compiled":
        return compiled(loss)
    if form == "triton":
        from py_worker.losses.triton_rows import row_loss  # not there in a build of torch for CPUs

        return row_loss(loss)
    return loss


@cache
def compiled(loss: TileLoss) -> TileLoss:
    """The loss, compiled for any number of positions: the last tile of a chunk has fewer.

    A loss's parameters are constants of what is compiled. By default `dynamic` makes inputs of them, and
    torch 2.13 then takes one loss's for another's of the same class, from its cache on disk too
    (pytorch/pytorch#194976). All losses with parameters count as one function that is compiled again.
    """
    constants = {"specialize_float": True, "recompile_limit": MOST_COMPILED}
    found: TileLoss = torch.compile(loss, fullgraph=True, dynamic=True)

    def call(student: Tensor, teacher: Tensor | None, inputs: TileInputs) -> TileResult:
        with torch._dynamo.config.patch(constants):
            return found(student, teacher, inputs)

    return call


def check_form(form: str, device: torch.device) -> None:
    """Raises LossError where a `LossForm` is none, or cannot run."""
    known = ("auto", "plain", *get_args(TileForm))
    if form not in known:
        raise LossError(f"unknown form {form!r}: use one of {', '.join(known)}")
    if form != "triton":
        return
    if find_spec("triton") is None:
        raise LossError("the form triton needs the package triton, which is not installed: use fused")
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise LossError(f"the form triton needs a CUDA device, and this is {device}: use fused")
