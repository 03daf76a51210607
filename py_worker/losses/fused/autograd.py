"""The fused losses' place in autograd: what is computed when, and what a backward pass needs again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from py_worker.losses.fused.places import Places
from py_worker.losses.fused.position_pass import Constants, PositionPass, Upstream, Wanted
from py_worker.models.head import OutputHead


@dataclass(frozen=True)
class Call:
    """One call of a fused loss, without what carries a gradient.

    Attributes:
        constants: of the passes over the positions.
        places: the positions that count.
        head: the student's, with its weight cut to the vocabulary.
        weights: [N], factors of the losses; None is 1.
        recompute: compute gradients in the backward pass only.
        watched: other tensors that must stay as they are until the backward pass.
    """

    constants: Constants
    places: Places
    head: OutputHead
    weights: Tensor | None
    recompute: bool
    watched: Sequence[Tensor]

    def losses(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        """Losses, and log-probabilities if there are tokens, `[B, T]`, of hidden states `[N, H]`."""
        head = self.head
        hidden = hidden.to(head.weight.dtype)
        gradients = torch.is_grad_enabled()
        found: tuple[Tensor, Tensor | None]
        found = _Fused.apply(self, gradients, hidden, head.weight, head.bias)  # type: ignore[no-untyped-call]
        return found

    def pass_over(
        self,
        constants: Constants,
        student: Sequence[Tensor | None],
        upstream: Upstream,
        wanted: Wanted,
    ) -> PositionPass:
        """A pass with the student's hidden states `[N, H]`, weight `[V, H]` and bias `[V]` or None.

        The call's weights are multiplied into the upstream gradient of the losses.
        """
        hidden, weight, bias = student
        assert hidden is not None and weight is not None
        head = replace(self.head, weight=weight, bias=bias)
        upstream = upstream._replace(loss=self.weighted(upstream.loss))
        return PositionPass(constants, head, hidden, upstream, wanted).run()

    def weighted(self, loss: Tensor) -> Tensor:
        """`[N]` times the weights."""
        return loss if self.weights is None else loss * self.weights.to(loss.dtype)


class _Fused(torch.autograd.Function):
    """`(call, gradients, hidden [N, H], weight [V, H], bias [V] or None) -> losses, log_probs [B, T]`."""

    @staticmethod
    def forward(
        ctx: Any, call: Call, gradients: bool, hidden: Tensor, weight: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        wanted = Wanted(*ctx.needs_input_grad[2:]) if gradients else Wanted()
        early = Wanted() if call.recompute else wanted
        upstream = Upstream(hidden.new_ones(len(hidden), dtype=call.constants.dtype(weight)))
        done = call.pass_over(call.constants, (hidden, weight, bias), upstream, early)
        ctx.call, ctx.wanted, ctx.early = call, wanted, done if any(early) else None
        ctx.save_for_backward(hidden, weight, bias, *call.watched)
        ctx.set_materialize_grads(False)
        log_prob = None if done.log_prob is None else call.places.spread(done.log_prob)
        return call.places.spread(call.weighted(done.loss)), log_prob

    @staticmethod
    def backward(ctx: Any, of_loss: Tensor | None, of_log_prob: Tensor | None = None) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            # once_differentiable would let a gradient without a graph through where the upstream is constant.
            raise RuntimeError(
                "a fused loss is differentiable once (create_graph was set): use the plain form for more"
            )
        if of_loss is None and of_log_prob is None:
            return None, None, None, None, None
        call: Call = ctx.call
        missing: Wanted = ctx.wanted
        # Used up, and so its memory is free: a second backward pass, of a graph that is kept, recomputes.
        early: PositionPass | None = ctx.early
        ctx.early = None
        found: dict[str, Tensor | None] = {}
        if early is not None and of_loss is not None and of_log_prob is None:
            found, missing = _scaled(early, call.places, of_loss, missing)
        if any(missing):
            upstream = _taken(call.places, of_loss, of_log_prob)
            done = call.pass_over(call.constants.of_gradients(), ctx.saved_tensors[:3], upstream, missing)
            found |= {name: getattr(done, name) for name in Wanted._fields if getattr(missing, name)}
        return None, None, *(found.get(name) for name in Wanted._fields)


def _scaled(
    early: PositionPass, places: Places, upstream: Tensor, wanted: Wanted
) -> tuple[dict[str, Tensor | None], Wanted]:
    """Gradients for `upstream [B, T]` from those for 1, and which of them cannot be had from those."""
    hidden = early.hidden
    scaled = None if hidden is None else hidden * places.take(upstream, "upstream")[:, None]
    if not (wanted.weight or wanted.bias):
        return {"hidden": scaled}, Wanted()
    common = places.common(upstream)
    if common is not None:
        heads = {"weight": early.weight, "bias": early.bias}
        scaled_heads = {name: None if g is None else g.mul_(common) for name, g in heads.items()}
        return {"hidden": scaled, **scaled_heads}, Wanted()
    if hidden is not None and torch.finfo(hidden.dtype).bits < 32:
        # Scaled, it would be rounded twice; the logits are needed again anyhow.
        return {}, wanted
    return {"hidden": scaled}, wanted._replace(hidden=False)


def _taken(places: Places, of_loss: Tensor | None, of_log_prob: Tensor | None) -> Upstream:
    log_prob = None if of_log_prob is None else places.take(of_log_prob, "upstream")
    if of_loss is not None:
        return Upstream(places.take(of_loss, "upstream"), log_prob)
    assert log_prob is not None
    return Upstream(torch.zeros_like(log_prob), log_prob)
