"""The chunk driver against a plain float64 computation that holds every logit, and its invariances."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from py_worker.data.batch import TokenBatch, collate
from py_worker.losses.diagnostics import PART_DIAGNOSTICS
from py_worker.losses.divergence import divergence
from py_worker.losses.driver import student_backward
from py_worker.losses.moment import moment_gap
from py_worker.losses.scored import ScoredBatch, score_batch
from py_worker.losses.terms import Term
from py_worker.models.critics.critic import Critic, build_critic
from py_worker.models.head import OutputHead
from py_worker.models.policy import Policy
from py_worker.models.spec import CriticSpec
from tests.py.rows import rows_of
from tests.py.tiny_models import PAD, cut, tiny_batch, tiny_policy, tiny_rows

torch.set_num_threads(1)

TERMS = (
    Term("on", "moment", "on", 0.5, critic="on"),
    Term("off", "moment", "off", 0.5, critic="off"),
    Term("kd", "forward_kl", "off", 0.1),
    Term("lm", "cross_entropy", "all", 0.3),
    Term("jsd", "jsd", "on", 0.2, params={"beta": 0.3}),
)


def setting(dtype: torch.dtype = torch.float64) -> tuple[Policy, Policy, dict[str, Critic]]:
    teacher = tiny_policy(1, hidden=24, dtype=dtype)
    teacher.freeze()
    student = tiny_policy(2, dtype=dtype)
    critics = {
        "on": build_critic(
            CriticSpec(seed=3, hidden_size=8, form="ratio", bound="mixture", bound_value=2.0), teacher
        ),
        "off": build_critic(CriticSpec(seed=4, hidden_size=8, features="student"), student),
    }
    for critic in critics.values():
        critic.to(dtype)
    return student, teacher, critics


def gradients(policy: Policy) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in policy.trainable() if p.grad is not None}
    policy.module.zero_grad(set_to_none=True)
    return found


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], **tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(
            found[name], expected[name], **tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


def plain_loss(student: Policy, teacher: Policy, critics: dict[str, Critic], batch: TokenBatch) -> Tensor:
    """The objective of TERMS, sequence by sequence without padding, from the module's own logits."""
    sums = dict.fromkeys([t.name for t in TERMS], torch.zeros((), dtype=student.dtype))
    tokens = {"all": 0, "on": 0, "off": 0}
    for row, part in enumerate(batch.parts):
        ids = batch.tokens[row : row + 1, : batch.lengths[row]]
        where = slice(batch.prompt_lengths[row] - 1, batch.lengths[row] - 1)
        q = student.module(input_ids=ids).logits[0, where]
        with torch.no_grad():
            p = teacher.module(input_ids=ids).logits[0, where]
            hidden = {
                "teacher": teacher.body(input_ids=ids).last_hidden_state[0, where],
                "student": student.body(input_ids=ids).last_hidden_state[0, where],
            }
            values = critics[part].values(hidden[critics[part].spec.features], p)
        target = ids[0, where.start + 1 : where.stop + 1]
        sums[part] = sums[part] + moment_gap(q, p, values).sum()
        sums["lm"] = sums["lm"] - q.log_softmax(-1).gather(-1, target[:, None]).sum()
        if part == "off":
            sums["kd"] = sums["kd"] + divergence("forward_kl", q, p).sum()
        else:
            sums["jsd"] = sums["jsd"] + divergence("jsd", q, p, beta=0.3).sum()
        for key in ("all", part):
            tokens[key] += len(target)
    return sum(t.weight * sums[t.name] / tokens[t.part] for t in TERMS)


def run(
    student, teacher, critics, batch, *, micro_batch=0, **options
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    scored = score_batch(cut(batch, micro_batch), teacher=teacher)
    metrics = student_backward(student, scored, TERMS, teacher=teacher, critics=critics, **options)
    return metrics, gradients(student)


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("options", [{}, {"chunk_size": 1}, {"chunk_size": 3, "micro_batch": 2}])
def test_gradients_equal_a_plain_computation_row_by_row(options, tie):
    student, teacher, critics = setting()
    if not tie:
        student = tiny_policy(2, dtype=torch.float64, tie=False)
    batch = tiny_batch()
    assert PAD in student.eos_ids
    loss = plain_loss(student, teacher, critics, batch)
    loss.backward()
    expected = gradients(student)
    metrics, found = run(student, teacher, critics, batch, **options)
    assert_same(found, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(metrics["loss"], loss.detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("micro_batch", [1, 2, 3, 4])
def test_micro_batches_change_nothing_but_rounding(micro_batch):
    student, teacher, critics = setting(torch.float32)
    batch = tiny_batch(7)
    metrics, whole = run(student, teacher, critics, batch, diagnostics=True)
    split_metrics, split = run(
        student, teacher, critics, batch, micro_batch=micro_batch, chunk_size=2, diagnostics=True
    )
    assert_same(split, whole, rtol=1e-4, atol=1e-6)
    assert split_metrics.keys() == metrics.keys()
    for name in metrics:
        torch.testing.assert_close(split_metrics[name], metrics[name], rtol=1e-5, atol=1e-6)


def test_the_same_inputs_give_the_same_bits():
    outcomes = []
    for _ in range(2):
        student, teacher, critics = setting(torch.float32)
        outcomes.append(run(student, teacher, critics, tiny_batch(3), chunk_size=4, micro_batch=2))
    for first, second in zip(*outcomes, strict=True):
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_padding_adds_nothing():
    student, teacher, critics = setting()
    rows, prompts = tiny_rows(5, 3)
    parts = ["off", "on", "off"]
    batch = collate(rows_of(rows, prompts, parts), pad_id=PAD, device="cpu")
    metrics, expected = run(student, teacher, critics, batch)
    wide = TokenBatch(
        torch.cat([batch.tokens, torch.full((3, 9), 4)], 1),
        tuple(prompts),
        batch.lengths,
        tuple(parts),
        (0, 1, 2),
    )
    wide_metrics, found = run(student, teacher, critics, wide)
    assert_same(found, expected, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(wide_metrics["loss"], metrics["loss"])


def test_reusing_the_scored_graph_gives_the_same_gradient():
    student, teacher, critics = setting(torch.float32)
    batch = tiny_batch()
    _, expected = run(student, teacher, critics, batch)
    scored = score_batch(batch, teacher=teacher, student=student, student_graph=True)
    forwards = []
    handle = student.body.register_forward_hook(lambda *_: forwards.append(1))
    student_backward(student, scored, TERMS, teacher=teacher, critics=critics, reuse_graph=True)
    handle.remove()
    assert not forwards
    assert_same(gradients(student), expected, rtol=0, atol=0)


def test_graph_reuse_is_refused_where_it_cannot_be():
    student, teacher, critics = setting(torch.float32)
    batch = tiny_batch()
    options = {"teacher": teacher, "critics": critics, "reuse_graph": True}
    with pytest.raises(ValueError, match="not scored"):
        student_backward(student, score_batch(batch, teacher=teacher, student=student), TERMS, **options)
    graph = score_batch(batch, teacher=teacher, student=student, student_graph=True)
    with pytest.raises(ValueError, match="several"):
        student_backward(student, replace(graph, batch=cut(batch, 2)), TERMS, **options)
    several = score_batch(cut(batch, 2), student=student, student_graph=True)
    assert not several.student_hidden.requires_grad


def test_a_policy_against_itself_has_no_divergence_and_no_gap():
    student, _, _ = setting()
    batch = tiny_batch()
    scored = score_batch(batch, teacher=student)
    critic = build_critic(CriticSpec(seed=3, hidden_size=8), student).double()
    for objective in ("forward_kl", "reverse_kl", "jsd", "tvd", "skew_forward_kl", "skew_reverse_kl"):
        metrics = student_backward(student, scored, [Term("t", objective, "all")], teacher=student)
        assert abs(metrics["loss"]) < 1e-13
        assert max(g.abs().max() for g in gradients(student).values()) < 1e-13
    term = Term("t", "moment", "all", critic="c")
    metrics = student_backward(student, scored, [term], teacher=student, critics={"c": critic})
    assert metrics["loss"] == 0 and metrics["d_t"] == 0
    assert max(g.abs().max() for g in gradients(student).values()) > 1e-6


@pytest.mark.parametrize("form", ["plain", "fused"])
def test_never_more_logits_than_one_chunk(monkeypatch, form):
    student, teacher, critics = setting(torch.float32)
    sizes, finish = [], OutputHead.finish
    batch = tiny_batch()
    scored = score_batch(batch, teacher=teacher, student=student)
    monkeypatch.setattr(
        OutputHead, "finish", lambda self, projected: sizes.append(len(projected)) or finish(self, projected)
    )
    options = {"teacher": teacher, "critics": critics, "chunk_size": 4, "diagnostics": True, "form": form}
    student_backward(student, scored, TERMS, **options)
    # Once per position and policy, never more than a chunk.
    assert max(sizes) <= 4 and sum(sizes) == 2 * sum(batch.positions().counts)


def test_diagnostics_per_part_match_the_definitions():
    student, teacher, critics = setting()
    batch = tiny_batch(9)
    metrics, _ = run(student, teacher, critics, batch, chunk_size=3, diagnostics=True)
    positions = batch.positions()
    scored = score_batch(batch, teacher=teacher, student=student)
    q, p = student.logits(scored.student_hidden), teacher.logits(scored.teacher_hidden)
    in_part = torch.tensor([batch.parts[r] == "on" for r in positions.row.tolist()])
    entropy = -(q.softmax(-1) * q.log_softmax(-1)).sum(-1)
    expected = {
        "tv_on": divergence("tvd", q, p)[in_part].mean(),
        "forward_kl_on": divergence("forward_kl", q, p)[in_part].mean(),
        "reverse_kl_off": divergence("reverse_kl", q, p)[~in_part].mean(),
        "student_entropy_off": entropy[~in_part].mean(),
        "teacher_entropy_on": -(p.softmax(-1) * p.log_softmax(-1)).sum(-1)[in_part].mean(),
        "d_on": moment_gap(q, p, critics["on"].values(scored.teacher_hidden, p))[in_part].sum() / 2,
        "loss_off": moment_gap(q, p, critics["off"].values(scored.student_hidden))[~in_part].mean(),
    }
    for name, value in expected.items():
        torch.testing.assert_close(
            metrics[name], value, rtol=1e-9, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}"
        )
    assert {f"{n}_{part}" for n in PART_DIAGNOSTICS for part in ("on", "off")} <= metrics.keys()
    plain, _ = run(student, teacher, critics, batch)
    assert not [name for name in plain if name.startswith("tv")]


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("objective", ["moment", "forward_kl", "cross_entropy"])
def test_discount_weights_a_loss_by_the_step_within_the_response(objective, drop):
    student, teacher, critics = setting()
    batch = tiny_batch(9)
    scored = score_batch(batch, teacher=teacher)
    hidden = student.response_hidden(batch)
    q, p = student.logits(hidden), teacher.logits(scored.teacher_hidden)
    losses = {
        "moment": lambda: moment_gap(q, p, critics["on"].values(scored.teacher_hidden, p).detach()),
        "forward_kl": lambda: divergence("forward_kl", q, p),
        "cross_entropy": lambda: -q.log_softmax(-1).gather(1, batch.positions().target[:, None]).squeeze(1),
    }[objective]()
    weights = 1.0 if drop else 0.5 ** batch.positions().step.double()
    expected = (losses * weights).sum()
    (expected / len(losses)).backward()  # the mean is over tokens, whatever their weights
    wanted = gradients(student)
    critic = "on" if objective == "moment" else None
    term = Term("t", objective, "all", critic=critic, gamma=0.5, drop_discount=drop)
    metrics = student_backward(student, scored, [term], teacher=teacher, critics=critics)
    torch.testing.assert_close(metrics["loss_t"], expected.detach() / len(losses))
    assert_same(gradients(student), wanted, rtol=1e-9, atol=1e-12)
    if critic:
        torch.testing.assert_close(metrics["d_t"], expected.detach() / len(batch))


def test_given_counts_are_the_denominators():
    student, teacher, critics = setting()
    batch = tiny_batch()
    _, whole = run(student, teacher, critics, batch)
    counts = score_batch(batch).token_counts()
    doubled = {part: 2 * count for part, count in counts.items()}
    _, half = run(student, teacher, critics, batch, token_counts=doubled)
    assert_same({k: 2 * v for k, v in half.items()}, whole, rtol=1e-10, atol=1e-13)


def test_parts_without_rows_and_rows_without_responses_contribute_nothing():
    student, teacher, _ = setting()
    batch = collate(rows_of([[2, 3, 4], [5, 6]], [3, 1], "off"), pad_id=PAD, device="cpu")
    scored = score_batch(cut(batch, 1), teacher=teacher)
    terms = [Term("kd", "forward_kl", "off"), Term("on", "forward_kl", "on")]
    metrics = student_backward(student, scored, terms, teacher=teacher)
    assert set(metrics) == {"loss", "loss_kd"}
    assert scored.token_counts() == {"all": 1, "off": 1} and scored.sequence_counts() == {"all": 1, "off": 1}
    gradients(student)
    idle = student_backward(student, scored, terms[1:], teacher=teacher)
    assert idle == {"loss": 0} and not gradients(student)


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (Term("x", "kl", "off"), "unknown objective 'kl'"),
        (Term("x", "jsd", "off", params={"alpha": 0.1}), "no parameter alpha"),
        (Term("x", "jsd", "off", params={"beta": 2.0}), r"term 'x': beta of objective 'jsd' must lie in \[0"),
        (Term("x", "moment", "off", critic="of"), "names 'of', and there is off, on"),
        (Term("x", "moment", "off"), "needs a critic"),
        (Term("x", "moment", "off", critic="off", params={"gamma": 1.0}), "no parameter gamma"),
        (Term("x", "moment", "off", critic="off", gamma=1.01), "gamma must lie in"),
        (Term("x", "moment", "off", critic="off", gamma=-0.5), "gamma must lie in"),
    ],
)
def test_bad_terms_are_named(term, message):
    student, teacher, critics = setting()
    scored = score_batch(tiny_batch(), teacher=teacher)
    with pytest.raises(ValueError, match=message):
        student_backward(student, scored, [term], teacher=teacher, critics=critics)


def test_two_terms_of_one_name_are_refused():
    student, teacher, _ = setting()
    scored = score_batch(tiny_batch(), teacher=teacher)
    terms = [Term("x", "forward_kl", "off"), Term("y", "tvd", "off"), Term("x", "cross_entropy", "on")]
    with pytest.raises(ValueError, match="used twice in x, y, x"):
        student_backward(student, scored, terms, teacher=teacher)
    assert not gradients(student)


def test_a_missing_teacher_is_named():
    student, teacher, _ = setting()
    with pytest.raises(ValueError, match="score the batch with the teacher"):
        student_backward(
            student, ScoredBatch(tiny_batch()), [Term("kd", "forward_kl", "off")], teacher=teacher
        )


def test_scoring_in_micro_batches_equals_scoring_at_once():
    student, teacher, _ = setting()
    batch = tiny_batch(4)
    whole = score_batch(batch, teacher=teacher, student=student)
    parts = score_batch(cut(batch, 2), teacher=teacher, student=student)
    torch.testing.assert_close(parts.teacher_hidden, whole.teacher_hidden, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(parts.student_hidden, whole.student_hidden, rtol=1e-12, atol=1e-12)
    assert not whole.student_hidden.requires_grad


def test_autocast_keeps_float32_gradients_near_the_exact_ones():
    student, teacher, critics = setting(torch.float32)
    batch = tiny_batch()
    _, exact = run(student, teacher, critics, batch)
    student.compute_dtype = teacher.compute_dtype = torch.bfloat16
    metrics, mixed = run(student, teacher, critics, batch)
    assert metrics["loss"].dtype == torch.float32
    largest = max(float(g.abs().max()) for g in exact.values())
    for name, gradient in mixed.items():
        assert gradient.dtype == torch.float32
        torch.testing.assert_close(gradient, exact[name], rtol=0.0, atol=0.05 * largest)
