"""Identities that hold for any model and data, measured: what `preflight` reports."""

import math
from collections.abc import Callable, Sequence
from typing import Final, cast

import numpy as np
import torch
import torch.nn.functional as F
from msgspec import UNSET
from torch import Tensor

from py_worker.data.batch import TokenBatch
from py_worker.data.dataset import TokenizedRow
from py_worker.data.row import Row
from py_worker.losses.divergence import DivergenceKind, divergence
from py_worker.losses.moment import moment_gap
from py_worker.losses.scored import score_batch
from py_worker.models.critics.critic import Critic
from py_worker.models.policy import Policy
from py_worker.protocol_gen import Check
from py_worker.rollout.engine import Engine, Mixture, Sampling
from py_worker.rollout.request import TokenArray
from py_worker.session.session import RoleName

POSITIONS: Final = 64
"""Positions that divergences are tried on: their logits must exist at once."""
KINDS: Final[tuple[DivergenceKind, ...]] = ("forward_kl", "reverse_kl", "jsd", "tvd")
ZERO: Final = 1e-5
"""Rounding of float32 sums over a vocabulary; a wrong formula is off by 1e-2 and more."""
DRAWN_TOKENS: Final = 8
LOG_PROB_LIMITS: Final = {torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.25}
"""Generation and scoring take different kernels; in bfloat16 (8 bits) a logit of 30 is rounded to 1/8."""


def check(name: str, value: float, limit: float | None, detail: str) -> Check:
    """Holds when `value` is finite and not over `limit`, if there is one. Only finite figures are sent."""
    finite = math.isfinite(value)
    return Check(
        name=name,
        ok=finite and (limit is None or value <= limit),
        value=value if finite else UNSET,
        limit=UNSET if limit is None else limit,
        detail=detail if finite else f"{detail}; found {value}",
    )


def response_hidden(policy: Policy, batch: TokenBatch) -> Tensor:
    """[N, H] of the first positions, without gradient."""
    hidden = score_batch(batch, teacher=policy).teacher_hidden
    return cast(Tensor, hidden)[:POSITIONS]


def labels(rows: Sequence[TokenizedRow], batch: TokenBatch, eos_ids: Sequence[int]) -> list[Check]:
    """Whether the batch learns exactly the responses, and an EOS for each response that ended."""
    expected = np.concatenate([row.response for row in rows])
    found = batch.positions().target.cpu().numpy()
    wrong = int((expected != found).sum()) if len(expected) == len(found) else len(expected)
    ends = sum(row.has_eos for row in rows)
    learned = int(np.isin(found, eos_ids).sum())
    return [
        check(
            "labels", wrong, 0.0, f"{len(found)} labels are the {len(expected)} response tokens of the data"
        ),
        check("eos_labels", abs(ends - learned), 0.0, f"{ends} responses end, and {learned} labels are EOS"),
    ]


def divergence_from_itself(name: str, policy: Policy, hidden: Tensor) -> list[Check]:
    """Every divergence of a policy from itself is zero, and so is its gradient."""
    values, gradients = [], []
    constant = policy.logits(hidden).detach()
    for kind in KINDS:
        logits = constant.clone().requires_grad_()
        losses = divergence(kind, logits, constant)
        torch.autograd.backward(losses.sum())
        values.append(losses.detach().abs().max())
        gradients.append(cast(Tensor, logits.grad).abs().max())
    kinds = ", ".join(KINDS)
    return [
        check(f"{name}_divergence", _largest(values), ZERO, f"{kinds} of the {name} from itself"),
        check(f"{name}_gradient", _largest(gradients), ZERO, f"their gradient at the {name}'s own logits"),
    ]


@torch.no_grad()
def gap_from_itself(name: str, policy: Policy, hidden: Tensor, critics: dict[str, Critic]) -> Check:
    """The moment gap of a policy from itself is zero for every critic on its features and a made-up one."""
    logits = policy.logits(hidden)
    made_up = torch.sin(torch.arange(logits.numel(), device=logits.device, dtype=torch.float32))
    values = [made_up.view_as(logits)]
    values += [critic.values(hidden, logits) for critic in critics.values() if critic.spec.features == name]
    gaps = [moment_gap(logits, logits, value).abs().max() for value in values]
    return check(f"{name}_moment_gap", _largest(gaps), ZERO, f"moment gap of the {name} from itself")


@torch.no_grad()
def finite_losses(policies: dict[RoleName, Policy], batch: TokenBatch) -> list[Check]:
    """Cross-entropy of each policy on the data, and the student's divergence from the teacher."""
    checks, logits = [], {}
    targets = batch.positions().target[:POSITIONS]
    for name, policy in policies.items():
        logits[name] = policy.logits(response_hidden(policy, batch))
        loss = float(F.cross_entropy(logits[name], targets))
        checks.append(check(f"{name}_cross_entropy", loss, None, f"the {name} on the data, nats a token"))
    if len(logits) == 2:
        loss = float(divergence("forward_kl", logits["student"], logits["teacher"]).mean())
        checks.append(check("forward_kl", loss, None, "of the student from the teacher, nats a token"))
    return checks


@torch.no_grad()
def generation_agrees(
    name: str, policy: Policy, engine: Engine, prompts: Sequence[TokenArray], tick: Callable[[], None]
) -> Check:
    """Log-probabilities that come with drawn tokens are those that scoring finds for them."""
    drawn = engine.generate(
        Mixture.of(policy), prompts, range(len(prompts)), Sampling(max_new_tokens=DRAWN_TOKENS), 0, tick
    )
    rows = [Row(*each, sample, "all") for sample, each in enumerate(zip(prompts, drawn.tokens, strict=True))]
    batch = policy.collate(rows)
    hidden = cast(Tensor, score_batch(batch, teacher=policy).teacher_hidden)
    scored = policy.logits(hidden).log_softmax(-1).gather(1, batch.positions().target[:, None]).squeeze(1)
    difference = np.abs(scored.float().cpu().numpy() - np.concatenate(drawn.log_probs)).max()
    limit = LOG_PROB_LIMITS.get(policy.compute_dtype or policy.dtype, ZERO)
    detail = f"log-probabilities of {len(scored)} tokens that the {name} drew with engine {engine.name}"
    return check(f"{name}_generation", float(difference), limit, detail)


def _largest(values: Sequence[Tensor]) -> float:
    return float(torch.stack(list(values)).max())
