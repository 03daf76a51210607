"""Policy gradients: from costs per position to a surrogate loss. Pure functions.

`E_τ Σ_t γ^t c_t` over the student's own responses depends on `π_θ` twice: through each cost at its state, and
through the distribution of the states. The gradient of the second part is that of `γ^t·log π_θ(y_t|s_t)·A_t`
with `A_t` the costs that come after `y_t`, held constant (derived: policy gradient theorem). Grids are
`[B, T]`, one row a response, with a mask that is true at its tokens.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from py_worker.losses.moment import cost_to_go


@dataclass(frozen=True)
class Returns:
    """How the costs of later positions reach the tokens drawn before them.

    Attributes:
        gradient: `return`: the loss at each state, and `log π_θ(y_t)` times the costs of t' > t; exact where
            `norm` is none. `reinforce`: `log π_θ(y_t)` times the sampled costs of t' ≥ t, and nothing else.
        costs: under `return`: the loss of the state, or its one-sample estimate at the token drawn.
        norm: `length`: a return is the mean over the positions from t on (biased); a sum of positive costs
            pays for ending early. So would a mean over t' > t, which is 0 where none follow: under `return`
            the loss of the state at t counts, too. Never its estimate, which has the token drawn in it.
        baseline: `leave_one_out` subtracts the mean return of the other responses at the same position;
            `whiten` gives the returns of all positions mean 0 and deviation 1, as MiniLLM does with sampled
            costs. With exact costs of a divergence take `leave_one_out`: they differ so little (deviations of
            0.01 for `jsd`) that whitened they outweigh the loss at the states. Responses of 9 tokens fell to
            2 to 4 in training, and to 1 with `leave_one_out` times 100: it is the scale, not the mean.
        importance: weights for responses that another distribution drew. `token`: the ratio of its token
            for each surrogate; later costs stay those of the distribution that drew them. `sequence`: the
            ratio of the whole response, for all of its loss; without limit that is the exact gradient.
        ratio_limit: largest importance weight; 0 is no limit.
        clip: PPO's ε for the ratio of a token; 0 is off.
    """

    gradient: Literal["return", "reinforce"] = "return"
    costs: Literal["exact", "sampled"] = "exact"
    norm: Literal["none", "length"] = "none"
    baseline: Literal["none", "leave_one_out", "whiten"] = "none"
    importance: Literal["none", "token", "sequence"] = "none"
    ratio_limit: float = 0.0
    clip: float = 0.0

    @property
    def means_losses(self) -> bool:
        """Whether a return is a mean that begins with the loss of the position's own state."""
        return self.gradient == "return" and self.norm == "length"

    @property
    def sampled(self) -> bool:
        """Whether the costs are one-sample estimates."""
        return self.gradient == "reinforce" or self.costs == "sampled"


@dataclass(frozen=True)
class Advantages:
    """What multiplies a token's log-probability, without gradient: grids `[B, T]`, or positions `[N]`.

    Attributes:
        advantage: `A_t` in the units of the cost; positive where the token did worse than the baseline.
        weight: importance weight, truncated; None where there are none.
    """

    advantage: Tensor
    weight: Tensor | None

    def at(self, where: slice) -> "Advantages":
        """Advantages at a range of positions."""
        return Advantages(self.advantage[where], None if self.weight is None else self.weight[where])


def estimate(
    costs: Tensor,
    log_ratio: Tensor | None,
    mask: Tensor,
    gamma: float,
    returns: Returns,
    *,
    losses: Tensor | None = None,
) -> tuple[Advantages, dict[str, Tensor]]:
    """Advantages of a step's responses.

    Args:
        costs: `[B, T]`, anything where `mask` is false.
        log_ratio: `[B, T]`, `log π_θ(y_t) − log μ(y_t)` for the distribution μ that drew the tokens; None
            where `returns.importance` is `none`.
        mask: `[B, T]`, true at the tokens of responses; rows without any are no responses.
        gamma: discount per position in [0, 1]. The factor γ^t of the position itself is not in here.
        returns: how.
        losses: `[B, T]`, the loss of each state where `costs` are one-sample estimates of it; None where they
            are the losses. Read where `returns.means_losses`.

    Returns:
        The advantages, and device scalars: `return`, the mean return; `advantage`, its root mean square after
        the baseline; with importance `ratio` and `ratio_max`, mean and largest ratio, of tokens or of
        responses; `truncated`, the share of ratios beyond the limit, and `clipped`, the share of positions
        that PPO's clip leaves without gradient, where these are on.
    """
    to_go = _to_go(costs, costs if losses is None else losses, mask, gamma, returns)
    advantage = (to_go - _baseline(to_go, mask, returns)).masked_fill(~mask, 0.0)
    if returns.baseline == "whiten":
        advantage = _unit_deviation(advantage, to_go, mask)
    metrics = {
        "return": _mean(to_go, mask),
        "advantage": _mean(advantage.square(), mask).sqrt(),
    }
    if log_ratio is None:
        return Advantages(advantage, None), metrics
    ratio, counted = _ratios(log_ratio, mask, returns)
    limited = ratio.clamp(max=returns.ratio_limit) if returns.ratio_limit else ratio
    weight = limited.expand_as(mask)
    metrics |= {"ratio": _mean(ratio, counted), "ratio_max": ratio.masked_fill(~counted, 0.0).max()}
    if returns.ratio_limit:
        metrics["truncated"] = _mean((ratio > returns.ratio_limit).to(ratio.dtype), counted)
    if returns.clip:
        beyond = (weight > 1.0 + returns.clip) & (advantage < 0.0)
        below = (weight < 1.0 - returns.clip) & (advantage > 0.0)
        metrics["clipped"] = _mean((beyond | below).to(ratio.dtype), mask)
    return Advantages(advantage, weight), metrics


def policy_loss(loss: Tensor, log_prob: Tensor, advantages: Advantages, returns: Returns) -> Tensor:
    """The loss per position whose gradient is that of the policy's objective.

    The surrogate is `ρ_t·A_t` with the ratio ρ_t (1 without importance weights), whose gradient is
    `ρ_t·A_t·∇log π_θ(y_t)`. With PPO's clip it is `max(ρA, clip(ρ, 1−ε, 1+ε)·A)`, because A is a cost.

    Args:
        loss: `[N]`, the objective at each state.
        log_prob: `[N]`, `log π_θ(y_t)`, with gradient.
        advantages: at the same positions.
        returns: how they came about.

    Returns:
        `[N]`. Its value means nothing but for the gradient.
    """
    # 1 in value, and d/dθ log π_θ in gradient.
    ratio = (log_prob - log_prob.detach()).exp()
    if advantages.weight is not None:
        ratio = advantages.weight * ratio
    surrogate = ratio * advantages.advantage
    if returns.clip:
        clipped = ratio.clamp(1.0 - returns.clip, 1.0 + returns.clip)
        surrogate = torch.maximum(surrogate, clipped * advantages.advantage)
    if returns.gradient == "reinforce":
        return surrogate
    if returns.importance == "sequence" and advantages.weight is not None:
        loss = advantages.weight * loss
    return loss + surrogate


def surrogate_slopes(advantages: Advantages, returns: Returns) -> tuple[Tensor, Tensor]:
    """Gradients `[N]` of `policy_loss` in the loss and in `log π_θ(y_t)`; they depend on neither."""
    zeros = torch.zeros_like(advantages.advantage)
    with torch.enable_grad():
        loss, log_prob = zeros.requires_grad_(), torch.zeros_like(zeros).requires_grad_()
        surrogate = policy_loss(loss, log_prob, advantages, returns).sum()
        of_loss, of_log_prob = torch.autograd.grad(
            surrogate, (loss, log_prob), allow_unused=True, materialize_grads=True
        )
    return of_loss, of_log_prob


def _to_go(costs: Tensor, losses: Tensor, mask: Tensor, gamma: float, returns: Returns) -> Tensor:
    current = returns.gradient == "reinforce"
    if not returns.means_losses:
        return cost_to_go(costs, mask, gamma, include_current=current, norm=returns.norm)
    later = cost_to_go(costs, mask, gamma, include_current=False)
    remaining = cost_to_go(mask.to(later.dtype), mask, 1.0, include_current=True)
    return (losses.to(later.dtype).masked_fill(~mask, 0.0) + later) / remaining.clamp(min=1.0)


def _baseline(to_go: Tensor, mask: Tensor, returns: Returns) -> Tensor:
    """`[B, T]` or broadcastable to it."""
    if returns.baseline == "leave_one_out":
        # Responses that have ended count 0; a response alone has no others and the baseline 0.
        others = mask.any(1).sum() - 1
        return (to_go.sum(0, keepdim=True) - to_go) / others.clamp(min=1)
    return _mean(to_go, mask) if returns.baseline == "whiten" else torch.zeros_like(to_go)


def _unit_deviation(centred: Tensor, to_go: Tensor, mask: Tensor) -> Tensor:
    """0 throughout where the returns are equal: their deviation, under 1e-6 of them, would be rounding."""
    variance = _mean(centred.square(), mask)
    equal = variance <= 1e-12 * _mean(to_go.square(), mask)
    return centred * variance.rsqrt().masked_fill(equal, 0.0)


def _ratios(log_ratio: Tensor, mask: Tensor, returns: Returns) -> tuple[Tensor, Tensor]:
    """Ratios of tokens `[B, T]` or of responses `[B, 1]`, and which of them are any's."""
    clean = log_ratio.masked_fill(~mask, 0.0)
    if returns.importance == "sequence":
        return clean.sum(1, keepdim=True).exp(), mask.any(1, keepdim=True)
    return clean.exp(), mask


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)
