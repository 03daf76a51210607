"""The fused form of a step against the plain one: gradients, metrics, dtypes, heads."""

from functools import partial

import pytest
import torch

from py_worker.losses import loss_form
from py_worker.losses.driver import student_backward
from py_worker.losses.fused_form import FusedForm
from py_worker.losses.objectives import OBJECTIVES
from py_worker.losses.plain_form import PlainForm
from py_worker.losses.returns import Returns
from py_worker.losses.scored import score_batch
from py_worker.losses.terms import Term
from py_worker.models.critics.critic import build_critic
from py_worker.models.spec import CriticSpec
from tests.py.losses.test_driver import TERMS, gradients, setting
from tests.py.losses.test_driver_returns import drawn_batch
from tests.py.tiny_models import tiny_batch, tiny_policy

torch.set_num_threads(1)

RETURNS = (
    Returns(baseline="leave_one_out", norm="length"),
    Returns("reinforce"),
    Returns(costs="sampled", norm="length", baseline="whiten", importance="token", clip=0.2, ratio_limit=1.1),
    Returns(importance="sequence"),
)


def step(form: str, policies, batch, terms=TERMS, **options):
    """Metrics and gradients of one step."""
    student, teacher, critics = policies
    scored = score_batch(batch, teacher=teacher, student=student)
    found = student_backward(student, scored, terms, teacher=teacher, critics=critics, form=form, **options)
    return found, gradients(student)


def assert_forms_agree(policies, batch, *, rtol=1e-10, atol=1e-13, **options) -> None:
    plain, of_plain = step("plain", policies, batch, **options)
    fused, of_fused = step("fused", policies, batch, **options)
    assert plain.keys() == fused.keys() and of_plain.keys() == of_fused.keys() and of_plain
    for name, value in plain.items():
        torch.testing.assert_close(fused[name], value, rtol=rtol, atol=atol, check_dtype=False)
    for name, gradient in of_plain.items():
        assert gradient.dtype == of_fused[name].dtype
        error = (of_fused[name].double() - gradient.double()).norm()
        assert error <= rtol * gradient.double().norm() + atol, name


@pytest.mark.parametrize("chunk_size", [1, 4, 1000])
def test_all_terms_at_once(chunk_size):
    assert_forms_agree(setting(), tiny_batch(9), chunk_size=chunk_size, diagnostics=True)


@pytest.mark.parametrize("name", [name for name, one in OBJECTIVES.items() if one.analytic])
@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_each_objective(name, gamma):
    critic = "on" if OBJECTIVES[name].needs_critic else None
    params = {"temperature": 1.7} if "temperature" in OBJECTIVES[name].defaults else {}
    term = Term("t", name, "on", 0.7, critic, params, gamma)
    assert_forms_agree(setting(), tiny_batch(3), terms=[term], chunk_size=5)


@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.7), (1.5, -0.5), (0.7, 0.3001)])
def test_powers_of_alpha_beta(alpha, beta):
    term = Term("t", "alpha_beta", "on", 0.7, params={"alpha": alpha, "beta": beta})
    assert_forms_agree(setting(), tiny_batch(3), terms=[term], chunk_size=5)


@pytest.mark.parametrize("objective", ["moment", "reverse_kl"])
@pytest.mark.parametrize("returns", RETURNS, ids=lambda r: f"{r.gradient}-{r.importance}")
def test_returns(objective, returns):
    policies = setting()
    # Drawn by another policy, so that ratios are not 1 and some are clipped.
    batch = drawn_batch(tiny_policy(7, dtype=torch.float64))
    critic = "on" if objective == "moment" else None
    terms = [Term("t", objective, "on", critic=critic, gamma=0.9, returns=returns)]
    assert_forms_agree(policies, batch, terms=terms, chunk_size=3)


def test_a_scale_multiplies_every_gradient():
    policies, batch = setting(), tiny_batch(9)
    options = {"loss_scale": torch.tensor(1024.0, dtype=torch.float64)}
    assert_forms_agree(policies, batch, **options)
    _, scaled = step("fused", policies, batch, **options)
    _, single = step("fused", policies, batch)
    for name, gradient in single.items():
        torch.testing.assert_close(scaled[name], 1024.0 * gradient)


def test_a_head_with_all_that_heads_have():
    policies = setting()
    for policy in policies[:2]:
        head = policy.head
        head.scale, head.soft_cap, head.vocab_size = 0.3, 2.0, head.vocab_size - 3
        head.bias = torch.linspace(-1, 1, len(head.weight), dtype=torch.float64)
    critics = {
        name: build_critic(CriticSpec(seed=3, hidden_size=8), policies[1]).double() for name in ("on", "off")
    }
    policies[0].head.bias.requires_grad_()
    terms = [term for term in TERMS if not OBJECTIVES[term.objective].reads_target]
    found = []
    for form in ("plain", "fused"):
        step(form, (*policies[:2], critics), tiny_batch(9), terms=terms)
        found.append(policies[0].head.bias.grad)
        policies[0].head.bias.grad = None
    torch.testing.assert_close(*found)
    assert found[0].abs().max() > 0
    assert_forms_agree((*policies[:2], critics), tiny_batch(9), terms=terms, chunk_size=4)


@pytest.mark.parametrize("form", ["plain", "fused"])
def test_critics_are_constants(form):
    policies = setting()
    step(form, policies, tiny_batch(9))
    assert all(p.grad is None for critic in policies[2].values() for p in critic.parameters())


def test_a_frozen_head_has_no_gradient():
    policies = setting()
    policies[0].head.weight.requires_grad_(False)
    assert_forms_agree(policies, tiny_batch(9), chunk_size=4)


def test_micro_batches_and_gradients_that_are_there_already():
    policies, batch = setting(), tiny_batch(9)
    weight = policies[0].head.weight
    found = []
    for form in ("plain", "fused"):
        weight.grad = torch.ones_like(weight)
        found.append(step(form, policies, batch, chunk_size=4)[1])
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient)


@pytest.mark.parametrize("dtype", ["weights", "products"])
def test_bfloat16_is_no_worse_than_the_plain_form(dtype):
    """Mean square errors against float64 over several steps, with bfloat16 weights or products."""
    errors = torch.zeros(2, dtype=torch.float64)
    for seed in range(4):
        exact, batch = setting(), tiny_batch(seed)
        low = setting(torch.bfloat16 if dtype == "weights" else torch.float32)
        for one, other in zip(exact[:2], low[:2], strict=True):
            one.module.load_state_dict(other.module.state_dict())
        if dtype == "products":
            low[0].compute_dtype = low[1].compute_dtype = torch.bfloat16
        terms = TERMS[2:]
        _, reference = step("plain", exact, batch, terms=terms)
        for row, form in enumerate(("plain", "fused")):
            _, found = step(form, low, batch, terms=terms, chunk_size=3)
            errors[row] += sum((found[n].double() - g).square().sum() for n, g in reference.items())
    assert errors[1] < 1.1 * errors[0]
    assert errors[0] > 0


@pytest.mark.parametrize("name", ["moment", "jsd", "alpha_beta", "cross_entropy"])
def test_compiled_it_is_the_same_and_compiles_once_for_all_chunks(name, monkeypatch):
    torch.compiler.reset()
    loss_form.compiled.cache_clear()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    policies, batch = setting(torch.float32), tiny_batch(9)
    term = Term("t", name, "all", 0.7, "on" if OBJECTIVES[name].needs_critic else None)
    plain, of_plain = step("plain", policies, batch, terms=[term])
    found, of_found = step("compiled", policies, batch, terms=[term], chunk_size=5)
    torch.testing.assert_close(found["loss"], plain["loss"])
    torch.testing.assert_close(of_found, of_plain, rtol=1e-4, atol=1e-6)
    with torch.compiler.set_stance("fail_on_recompile"):
        step("compiled", policies, batch, terms=[term], chunk_size=4)


@pytest.mark.parametrize("chunk_size", [1, 5, 1000])
def test_by_triton_it_is_the_same(chunk_size, monkeypatch):
    rows = pytest.importorskip(
        "py_worker.losses.triton_rows", reason="Triton is not installed: npm run setup -- --with triton"
    )
    seen, original = set(), rows.RowLoss.__call__
    monkeypatch.setattr(rows.RowLoss, "__call__", lambda self, *a: seen.add(self.kind) or original(self, *a))
    policies, batch = setting(), tiny_batch(9)
    plain, of_plain = step("plain", policies, batch, diagnostics=True)
    found, of_found = step("triton", policies, batch, chunk_size=chunk_size, diagnostics=True)
    torch.testing.assert_close(found, plain, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(of_found, of_plain, rtol=1e-9, atol=1e-12)
    assert {"cross_entropy", "moment"} <= seen


def test_terms_without_a_formula_take_the_plain_form(monkeypatch):
    used = []
    for form in (PlainForm, FusedForm):
        original = form.backward
        monkeypatch.setattr(
            form, "backward", lambda self, *a, f=original: used.append(type(self)) or f(self, *a)
        )
    policies, batch = setting(), tiny_batch(9)
    step("auto", policies, batch, terms=[Term("t", "exact_moment_tanh", "on"), TERMS[2]])
    assert set(used) == {PlainForm}
    used.clear()
    step("auto", policies, batch)
    assert set(used) == {FusedForm}
