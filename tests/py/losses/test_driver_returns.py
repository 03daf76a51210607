"""Terms with returns on real models: against a computation row by row without padding, and invariances."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from py_worker.data.batch import TokenBatch, collate
from py_worker.losses.driver import student_backward
from py_worker.losses.moment import moment_gap
from py_worker.losses.returns import Returns
from py_worker.losses.scored import score_batch
from py_worker.losses.terms import Term
from py_worker.models.critics.critic import Critic, build_critic
from py_worker.models.policy import Policy
from py_worker.models.spec import CriticSpec
from tests.py.rows import rows_of
from tests.py.tiny_models import PAD, cut, tiny_batch, tiny_policy, tiny_rows

torch.set_num_threads(1)

PARTS = ("off", "on", "on", "off", "on", "on", "on")
VARIANTS = {
    "return": Returns(),
    "sampled, by length": Returns("return", "sampled", norm="length", baseline="leave_one_out"),
    "reinforce": Returns("reinforce", baseline="whiten"),
    "whole responses": Returns(baseline="leave_one_out", importance="sequence", ratio_limit=1.5),
    "reinforce, whole responses": Returns("reinforce", importance="sequence"),
    "tokens": Returns(norm="length", importance="token", ratio_limit=1.1),
    "PPO": Returns("return", "sampled", baseline="whiten", importance="token", clip=0.1),
}


def setting(dtype: torch.dtype = torch.float64) -> tuple[Policy, Policy, dict[str, Critic]]:
    teacher, student = tiny_policy(1, hidden=24, dtype=dtype), tiny_policy(2, dtype=dtype)
    teacher.freeze()
    critics = {
        "t": build_critic(CriticSpec(seed=3, hidden_size=8), teacher),
        "s": build_critic(CriticSpec(seed=4, hidden_size=8, features="student"), student),
    }
    return student, teacher, {name: critic.to(dtype) for name, critic in critics.items()}


def drawn_batch(student: Policy, seed: int = 0) -> TokenBatch:
    """Rows of part `on` come from a policy near the student; rows of `off` are data."""
    rows, prompts = tiny_rows(seed, len(PARTS))
    generator = np.random.default_rng(seed)
    log_probs: list[np.ndarray | None] = []
    for row, prompt, part in zip(rows, prompts, PARTS, strict=True):
        ids = torch.tensor([row])
        with torch.no_grad():
            own = student.module(input_ids=ids).logits[0, prompt - 1 : -1].log_softmax(-1)
        exact = own.gather(1, ids[0, prompt:, None]).squeeze(1).double().numpy()
        log_probs.append(exact + generator.normal(0.0, 0.2, exact.shape) if part == "on" else None)
    return collate(rows_of(rows, prompts, PARTS, log_probs=log_probs), pad_id=PAD, device="cpu")


def gradients(policy: Policy) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in policy.trainable() if p.grad is not None}
    policy.module.zero_grad(set_to_none=True)
    return found


def assert_near(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Relative to the norm of the whole gradient."""
    assert found.keys() == expected.keys()
    norm = math.sqrt(sum(float(g.square().sum()) for g in expected.values()))
    error = math.sqrt(sum(float((found[name] - g).square().sum()) for name, g in expected.items()))
    assert norm > 1e-3 and error <= tolerance * norm


def term(returns: Returns | None, objective: str = "moment", **more: object) -> Term:
    critic = "t" if objective == "moment" else None
    fields = {"part": "on", "weight": 0.7, "critic": critic, "gamma": 0.9, "returns": returns}
    return Term("on", objective, **{**fields, **more})


def run(student, teacher, critics, batch, terms, *, graph: bool = False, micro_batch: int = 0, **options):
    scored = score_batch(cut(batch, micro_batch), teacher=teacher, student=student, student_graph=graph)
    metrics = student_backward(
        student, scored, terms, teacher=teacher, critics=critics, reuse_graph=graph, **options
    )
    return metrics, gradients(student)


class Response:
    """One row of the part, from the modules' own logits, unpadded: costs and log-probabilities `[T]`."""

    def __init__(self, student: Policy, teacher: Policy, critic: Critic, batch: TokenBatch, row: int):
        ids = batch.tokens[row : row + 1, : batch.lengths[row]]
        where = slice(batch.prompt_lengths[row] - 1, batch.lengths[row] - 1)
        q = student.module(input_ids=ids).logits[0, where]
        with torch.no_grad():
            p = teacher.module(input_ids=ids).logits[0, where]
            f = critic.values(teacher.body(input_ids=ids).last_hidden_state[0, where], p)
        target = ids[0, where.start + 1 : where.stop + 1, None]
        self.cost = moment_gap(q, p, f)
        self.sample = ((p.softmax(-1) * f).sum(-1) - f.gather(1, target).squeeze(1)).tolist()
        self.log_prob = q.log_softmax(-1).gather(1, target).squeeze(1)
        drawn = batch.log_probs[row]
        self.ratio = (self.log_prob.detach() - torch.from_numpy(drawn)).exp().tolist()
        self.to_go: list[float] = []

    def fill(self, returns: Returns, gamma: float) -> None:
        sampled = returns.gradient == "reinforce" or returns.costs == "sampled"
        losses, by_length = self.cost.tolist(), returns.norm == "length"
        costs = self.sample if sampled else losses
        for t in range(len(costs)):
            total = sum(gamma ** (u - t) * costs[u] for u in range(t + 1, len(costs)))
            if returns.gradient == "reinforce":
                total += costs[t]
            elif by_length:
                total += losses[t]
            self.to_go.append(total / (len(costs) - t) if by_length else total)


def advantage(responses: list[Response], mine: Response, t: int, baseline: str) -> float:
    if baseline == "leave_one_out":
        others = [r.to_go[t] if t < len(r.to_go) else 0.0 for r in responses if r is not mine]
        return mine.to_go[t] - sum(others) / len(others)
    if baseline == "whiten":
        everything = [value for r in responses for value in r.to_go]
        return (mine.to_go[t] - np.mean(everything)) / np.std(everything)
    return mine.to_go[t]


def plain_loss(responses: list[Response], returns: Returns, gamma: float) -> Tensor:
    """`Σ γ^t (w·c_t + surrogate) / tokens`, position by position."""
    total = torch.zeros((), dtype=torch.float64)
    for r in responses:
        whole = math.prod(r.ratio)
        for t in range(len(r.to_go)):
            weight = {"none": 1.0, "token": r.ratio[t], "sequence": whole}[returns.importance]
            weight = min(weight, returns.ratio_limit) if returns.ratio_limit else weight
            a = advantage(responses, r, t, returns.baseline)
            ratio = weight * (r.log_prob[t] - r.log_prob[t].detach()).exp()
            surrogate = ratio * a
            if returns.clip and (
                (a > 0 and weight < 1 - returns.clip) or (a < 0 and weight > 1 + returns.clip)
            ):
                surrogate = surrogate.detach()
            if returns.gradient == "return":
                surrogate = surrogate + (weight if returns.importance == "sequence" else 1.0) * r.cost[t]
            total = total + gamma**t * surrogate
    return total / sum(len(r.to_go) for r in responses)


@pytest.mark.parametrize("options", [{}, {"chunk_size": 3, "micro_batch": 2}])
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_equal_those_row_by_row_without_padding(variant, options):
    returns = VARIANTS[variant]
    student, teacher, critics = setting()
    batch = drawn_batch(student)
    assert PAD in student.eos_ids
    own = [row for row, part in enumerate(PARTS) if part == "on"]
    responses = [Response(student, teacher, critics["t"], batch, row) for row in own]
    for response in responses:
        response.fill(returns, 0.9)
    (0.7 * plain_loss(responses, returns, 0.9)).backward()
    expected = gradients(student)
    metrics, found = run(student, teacher, critics, batch, [term(returns)], **options)
    assert_near(found, expected, 1e-9)
    tokens = sum(len(r.to_go) for r in responses)
    discounted = sum(0.9**t * float(c) for r in responses for t, c in enumerate(r.cost.tolist()))
    assert float(metrics["loss_on"]) == pytest.approx(discounted / tokens)
    assert float(metrics["loss"]) == pytest.approx(0.7 * discounted / tokens)
    assert float(metrics["d_on"]) == pytest.approx(discounted / len(own))
    assert float(metrics["return_on"]) == pytest.approx(sum(sum(r.to_go) for r in responses) / tokens)
    squares = [
        advantage(responses, r, t, returns.baseline) ** 2 for r in responses for t in range(len(r.to_go))
    ]
    assert float(metrics["advantage_on"]) == pytest.approx(math.sqrt(sum(squares) / tokens))
    weighted = {"ratio_on", "ratio_max_on"} if returns.importance != "none" else set()
    limited = {"truncated_on"} if returns.ratio_limit else set()
    clipped = {"clipped_on"} if returns.clip else set()
    expected_names = {"loss", "loss_on", "d_on", "return_on", "advantage_on"} | weighted | limited | clipped
    assert metrics.keys() == expected_names


TERMS = [
    *(replace(term(returns), name=name) for name, returns in VARIANTS.items()),
    Term("student's features", "moment", "on", critic="s", returns=Returns(baseline="leave_one_out")),
    Term("divergence", "jsd", "all", returns=Returns(norm="length"), params={"beta": 0.3}),
    Term("token", "moment", "off", critic="t"),
]


@pytest.mark.parametrize("micro_batch", [1, 3])
def test_micro_batches_change_nothing_but_rounding(micro_batch):
    student, teacher, critics = setting(torch.float32)
    batch = drawn_batch(student, 1)
    metrics, whole = run(student, teacher, critics, batch, TERMS)
    split_metrics, split = run(student, teacher, critics, batch, TERMS, micro_batch=micro_batch, chunk_size=2)
    assert_near(split, whole, 1e-5)
    assert split_metrics.keys() == metrics.keys()
    for name in metrics:
        torch.testing.assert_close(split_metrics[name], metrics[name], rtol=1e-5, atol=1e-5)


def test_padding_and_rows_without_responses_change_nothing():
    student, teacher, critics = setting()
    batch = drawn_batch(student, 2)
    metrics, expected = run(student, teacher, critics, batch, TERMS)
    wide = F.pad(batch.tokens, (0, 5), value=4)
    more = TokenBatch(
        torch.cat([wide, torch.full_like(wide[:1], 4)]),
        (*batch.prompt_lengths, 3),
        (*batch.lengths, 3),
        (*batch.parts, "on"),
        (*batch.sample_ids, 7),
        (*batch.log_probs, None),
    )
    more_metrics, found = run(student, teacher, critics, more, TERMS)
    assert_near(found, expected, 1e-9)
    torch.testing.assert_close(more_metrics["return_PPO"], metrics["return_PPO"])


def test_the_scored_graph_serves_both_passes():
    student, teacher, critics = setting(torch.float32)
    batch = drawn_batch(student, 3)
    _, expected = run(student, teacher, critics, batch, TERMS)
    _, found = run(student, teacher, critics, batch, TERMS, graph=True)
    assert_near(found, expected, 1e-6)


def test_of_a_part_without_rows_nothing_is_told():
    student, teacher, critics = setting()
    batch = tiny_batch(0, ("off", "off"))
    metrics, found = run(student, teacher, critics, batch, [term(Returns())])
    assert set(metrics) == {"loss"} and not found


def test_the_pass_before_may_be_stopped_at_each_chunk():
    student, teacher, critics = setting(torch.float32)
    batch, ticks = drawn_batch(student), []
    options = {"chunk_size": 4, "tick": lambda: ticks.append(1)}
    run(student, teacher, critics, batch, [term(Returns())], **options)
    chunks = [piece for piece in score_batch(batch).pieces(4) if piece.part == "on"]
    assert len(ticks) == len(chunks) + 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            term(Returns(), "cross_entropy"),
            "'on': returns need costs of states, and 'cross_entropy' is a loss",
        ),
        (term(Returns("reinforce"), "tvd"), "gradient reinforce .* and 'tvd' has none; take gradient return"),
        (term(Returns("return", "sampled"), "jsd"), "costs sampled need one-sample estimates"),
        (term(Returns("reinforce"), "reverse_kl", params={"temperature": 2.0}), "temperature 1, .* not 2.0"),
        (term(Returns(clip=0.2)), "set importance to token, not none"),
        (
            term(Returns(importance="token"), part="off"),
            r"2 rows of part 'off' \(sample 0 first\) have no log",
        ),
        (term(Returns(importance="sequence"), part="all"), "2 rows of part 'all'"),
    ],
)
def test_returns_that_cannot_be_are_named(bad, message):
    student, teacher, critics = setting(torch.float32)
    with pytest.raises(ValueError, match=message):
        run(student, teacher, critics, drawn_batch(student), [bad])
    assert not gradients(student)


def test_missing_states_and_log_probabilities_are_named():
    student, teacher, critics = setting(torch.float32)
    scored = score_batch(drawn_batch(student), teacher=teacher)
    with pytest.raises(
        ValueError, match=r"'on': returns need the student's hidden states .* score the batch"
    ):
        student_backward(student, scored, [term(Returns())], teacher=teacher, critics=critics)
    data = score_batch(tiny_batch(), teacher=teacher, student=student)
    weighted = term(Returns(importance="token"))
    with pytest.raises(ValueError, match="take rollouts, or importance none"):
        student_backward(student, data, [weighted], teacher=teacher, critics=critics)
