"""Every objective written out from its formula: the value, and its slope in the student's probabilities.

The reference is float64 and works on probabilities, `exp(z − max) / Σ`, exact enough for logits within ±300.
The slope `g = ∂L/∂q` is a formula too and goes through the softmax by hand,
`∂L/∂z_k = q_k (g_k − Σ_y q_y g_y) / T`, so no automatic derivative is trusted. `plain` evaluates the same
value formulas in float32, step by step from torch's log-softmax: what float32 costs anybody.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from py_worker.losses.divergence import LOG_ZERO
from py_worker.losses.objectives import Chunk

Params = Mapping[str, float]


@dataclass(frozen=True)
class Pair:
    """Next-token distributions `[N, V]` of teacher `p` and student `q`, and what else a loss may look at."""

    p: Tensor
    log_p: Tensor
    q: Tensor
    log_q: Tensor
    targets: Tensor
    values: Tensor


@dataclass(frozen=True)
class Reference:
    """One objective.

    Attributes:
        value: `[N]`.
        slope: `∂value/∂q` `[N, V]`; anything where `q` is 0.
        params: the parameters to test with; together they name every one that the objective has but the
            temperature, which all are tested with.
        sample: `[N]`, the one-sample estimate at the target, where the objective has one.
    """

    value: Callable[[Pair, Params], Tensor]
    slope: Callable[[Pair, Params], Tensor]
    params: tuple[Params, ...] = ({},)
    sample: Callable[[Pair, Params], Tensor] | None = None


def kl(p: Tensor, log_p: Tensor, log_q: Tensor) -> Tensor:
    return (p * (log_p - log_q)).sum(-1)


def mixed(weight: float, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """`m = weight·a + (1 − weight)·b` and its logarithm; where m is 0 so is what that is multiplied by."""
    m = (weight * a + (1.0 - weight) * b).clamp(min=torch.finfo(a.dtype).tiny)
    return m, m.log()


def jsd(d: Pair, params: Params) -> Tensor:
    beta = params["beta"]
    if beta in (0.0, 1.0):
        return kl(d.p, d.log_p, d.log_q) if beta == 0.0 else kl(d.q, d.log_q, d.log_p)
    _, log_m = mixed(beta, d.p, d.q)
    return beta * kl(d.p, d.log_p, log_m) + (1.0 - beta) * kl(d.q, d.log_q, log_m)


def jsd_slope(d: Pair, params: Params) -> Tensor:
    beta = params["beta"]
    if beta in (0.0, 1.0):
        return -d.p / d.q if beta == 0.0 else d.log_q - d.log_p
    _, log_m = mixed(beta, d.p, d.q)
    return (1.0 - beta) * (d.log_q - log_m)


def skew_forward(d: Pair, params: Params) -> Tensor:
    if params["alpha"] == 0.0:
        return kl(d.p, d.log_p, d.log_q)
    return kl(d.p, d.log_p, mixed(params["alpha"], d.p, d.q)[1])


def skew_reverse(d: Pair, params: Params) -> Tensor:
    if params["alpha"] == 0.0:
        return kl(d.q, d.log_q, d.log_p)
    return kl(d.q, d.log_q, mixed(params["alpha"], d.q, d.p)[1])


def skew_reverse_slope(d: Pair, params: Params) -> Tensor:
    if params["alpha"] == 0.0:
        return d.log_q - d.log_p
    m, log_m = mixed(params["alpha"], d.q, d.p)
    return d.log_q - log_m - params["alpha"] * d.q / m


def at_target(d: Pair, x: Tensor) -> Tensor:
    return x.gather(-1, d.targets[:, None])[:, 0]


def power(a: float, log_a: Tensor, b: float, log_b: Tensor) -> Tensor:
    return (a * log_a + b * log_b).exp()


def alpha_beta(d: Pair, params: Params) -> Tensor:
    a, b = params["alpha"], params["beta"]
    mixed_powers = power(a, d.log_p, b, d.log_q)
    own = a / (a + b) * power(a + b, d.log_p, 0.0, d.log_p) + b / (a + b) * power(
        a + b, d.log_q, 0.0, d.log_q
    )
    return -(mixed_powers - own).sum(-1) / (a * b)


def alpha_beta_slope(d: Pair, params: Params) -> Tensor:
    a, b = params["alpha"], params["beta"]
    return -(power(a, d.log_p, b - 1.0, d.log_q) - power(a + b - 1.0, d.log_q, 0.0, d.log_q)) / a


def best_bounded(d: Pair, params: Params) -> Tensor:
    return params["bound_value"] * torch.sign(d.p - d.q).detach()


def best_penalised(d: Pair, _params: Params) -> Tensor:
    return ((d.p - d.q) / mixed(0.5, d.p, d.q)[0]).detach()


def moment(critic: Callable[[Pair, Params], Tensor], *params: Params) -> Reference:
    """`Σ (p − q)·f` with a constant critic, though its best values depend on `q`."""
    return Reference(
        lambda d, given: ((d.p - d.q) * critic(d, given)).sum(-1),
        lambda d, given: -critic(d, given),
        params or ({},),
        lambda d, given: (d.p * critic(d, given)).sum(-1) - at_target(d, critic(d, given)),
    )


REFERENCES: Mapping[str, Reference] = {
    "cross_entropy": Reference(
        lambda d, _: -at_target(d, d.log_q),
        lambda d, _: -torch.zeros_like(d.q).scatter(-1, d.targets[:, None], 1.0) / d.q,
    ),
    "forward_kl": Reference(lambda d, _: kl(d.p, d.log_p, d.log_q), lambda d, _: -d.p / d.q),
    "reverse_kl": Reference(
        lambda d, _: kl(d.q, d.log_q, d.log_p),
        lambda d, _: d.log_q - d.log_p,
        sample=lambda d, _: at_target(d, d.log_q - d.log_p),
    ),
    "jsd": Reference(jsd, jsd_slope, tuple({"beta": b} for b in (0.0, 0.02, 0.5, 0.9, 1.0))),
    "tvd": Reference(lambda d, _: 0.5 * (d.p - d.q).abs().sum(-1), lambda d, _: 0.5 * torch.sign(d.q - d.p)),
    "skew_forward_kl": Reference(
        skew_forward,
        lambda d, params: -(1.0 - params["alpha"]) * d.p / mixed(params["alpha"], d.p, d.q)[0],
        tuple({"alpha": a} for a in (0.0, 0.1, 0.9, 1.0)),
    ),
    "skew_reverse_kl": Reference(
        skew_reverse, skew_reverse_slope, tuple({"alpha": a} for a in (0.0, 0.1, 0.9, 1.0))
    ),
    "alpha_beta": Reference(
        alpha_beta,
        alpha_beta_slope,
        tuple(
            {"alpha": a, "beta": b}
            for a, b in ((0.5, 0.5), (0.2, 0.7), (0.7, 0.3001), (1.0, 0.1), (0.9, 1.0))
        ),
    ),
    "moment": moment(lambda d, _: d.values),
    "exact_moment_tanh": moment(best_bounded, {"bound_value": 1.0}, {"bound_value": 2.5}),
    "exact_moment_mixture": moment(best_penalised),
}


def by_definition(logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Probabilities in float64 and their logarithms, that of 0 being LOG_ZERO."""
    z = logits.detach().double() / temperature
    z = (z - z.amax(-1, keepdim=True)).exp()
    p = z / z.sum(-1, keepdim=True)
    return p, torch.where(p > 0, p, 1.0).log().masked_fill(p == 0, LOG_ZERO)


def pair_of(chunk: Chunk, temperature: float = 1.0) -> Pair:
    p, log_p = by_definition(chunk.teacher_logits, temperature)
    q, log_q = by_definition(chunk.student_logits, temperature)
    return Pair(p, log_p, q, log_q, chunk.targets, chunk.values.double())


def exact(name: str, chunk: Chunk, params: Params) -> tuple[Tensor, Tensor]:
    """Value `[N]` and gradient `[N, V]` with respect to the student's logits, float64."""
    temperature = params.get("temperature", 1.0)
    pair, reference = pair_of(chunk, temperature), REFERENCES[name]
    q = pair.q
    # A token without probability keeps none: it adds nothing to the gradient, whatever its slope.
    pull = q * reference.slope(pair, params).masked_fill(q == 0, 0.0)
    return reference.value(pair, params), (pull - q * pull.sum(-1, keepdim=True)) / temperature


def plain(name: str, chunk: Chunk, params: Params) -> tuple[Tensor, Tensor]:
    """The same from torch's log-softmax and its automatic derivative, all in float32."""
    leaf = chunk.student_logits.detach().float().requires_grad_()
    log_p, log_q = (
        (z / params.get("temperature", 1.0)).log_softmax(-1).clamp(min=LOG_ZERO)
        for z in (chunk.teacher_logits.float(), leaf)
    )
    pair = Pair(log_p.exp(), log_p, log_q.exp(), log_q, chunk.targets, chunk.values.float())
    value = REFERENCES[name].value(pair, params)
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


def draw(seed: int, positions: int, vocabulary: int, scale: float = 3.0) -> Chunk:
    """Random float64 logits, values and targets."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher, values = (
        scale * torch.randn(positions, vocabulary, generator=generator, dtype=torch.float64) for _ in range(3)
    )
    targets = torch.randint(vocabulary, (positions,), generator=generator)
    return Chunk(student, teacher, targets, (values / scale).tanh())


def extreme(seed: int, positions: int, vocabulary: int) -> Chunk:
    """Logits near −60, 0 and 60: probabilities down to e^−120, where float32 has none left."""
    chunk = draw(seed, positions, vocabulary, 1.0)
    generator = torch.Generator().manual_seed(seed + 1)
    levels = 60.0 * (torch.randint(3, (2, positions, vocabulary), generator=generator) - 1.0)
    return replace(
        chunk,
        student_logits=(chunk.student_logits + levels[0]).clamp(-60.0, 60.0),
        teacher_logits=(chunk.teacher_logits + levels[1]).clamp(-60.0, 60.0),
    )


def masked(chunk: Chunk, *models: str) -> Chunk:
    """The first two tokens forbidden by −inf in the given models; no target is among them."""
    fields = {}
    for model in models:
        logits = getattr(chunk, f"{model}_logits").clone()
        logits[:, :2] = -torch.inf
        fields[f"{model}_logits"] = logits
    return replace(chunk, targets=chunk.targets.clamp(min=2), **fields)


def to_dtype(chunk: Chunk, dtype: torch.dtype) -> Chunk:
    return replace(
        chunk,
        student_logits=chunk.student_logits.to(dtype),
        teacher_logits=chunk.teacher_logits.to(dtype),
        values=chunk.values.to(dtype),
    )


def difference(found: Tensor, expected: Tensor) -> float:
    """Largest error relative to the largest element; absolute where all are 0 but for float64's rounding."""
    largest = float(expected.abs().max())
    error = float((found.detach().double() - expected).abs().max())
    return error / largest if largest > 1e-12 else error
