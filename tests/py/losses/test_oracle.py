"""Every objective of the registry, value and gradient, against the formulas of `oracle.py`."""

import itertools
import math
from dataclasses import replace
from decimal import Decimal, localcontext

import pytest
import torch
from torch import Tensor

from py_worker.losses.analytic import TileInputs
from py_worker.losses.divergence import LOG_ZERO
from py_worker.losses.objectives import OBJECTIVES, Chunk
from tests.py.losses.oracle import (
    REFERENCES,
    Params,
    by_definition,
    difference,
    draw,
    exact,
    extreme,
    masked,
    pair_of,
    plain,
    to_dtype,
)

torch.set_num_threads(1)

EPS = torch.finfo(torch.float32).eps
SMALL_FACTOR = 8.0  # the largest of the ratios that it bounds was 6.3 over the cases below
FORMULA_FACTOR = 12.0  # 8.2, of the skewed reverse KL at alpha 0.9, whose slopes are nearly equal


def near(chunk: Chunk) -> Chunk:
    """The student a few hundredths of a logit away from the teacher."""
    return replace(chunk, student_logits=chunk.teacher_logits + 0.02 * chunk.student_logits)


CASES = {
    "two tokens": draw(0, 8, 2),
    "many positions": draw(1, 40, 13),
    "a thousand tokens": draw(2, 8, 1000),
    "nearly equal policies": near(draw(3, 8, 13)),
    "extreme logits": extreme(4, 16, 5),
    "forbidden in both": masked(draw(5, 8, 13), "student", "teacher"),
    "forbidden by the student": masked(draw(6, 8, 13), "student"),
    "forbidden by the teacher": masked(draw(7, 8, 13), "teacher"),
}
LARGE = {"50,257 tokens": draw(8, 2, 50_257), "50,257 extreme logits": extreme(9, 2, 50_257)}


def over_the_registry(*temperatures: float) -> pytest.MarkDecorator:
    """Every objective with each of its parameters, at these temperatures where it has one."""
    settings = []
    for name in OBJECTIVES.keys() & REFERENCES.keys():
        own = temperatures if "temperature" in OBJECTIVES[name].defaults else (None,)
        for params, temperature in itertools.product(REFERENCES[name].params, own):
            full = dict(params) if temperature is None else {**params, "temperature": temperature}
            settings.append(pytest.param(name, full, id=f"{name}-{'-'.join(map(str, full.values()))}"))
    return pytest.mark.parametrize(("name", "params"), sorted(settings, key=lambda setting: setting.id))


def evaluate(name: str, chunk: Chunk, params: Params) -> tuple[Tensor, Tensor]:
    """What the registry's objective gives: value, and gradient with respect to the student's logits."""
    leaf = chunk.student_logits.detach().clone().requires_grad_()
    objective = OBJECTIVES[name]
    value = objective.loss(replace(chunk, student_logits=leaf), objective.parameters(params))
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


def by_formula(name: str, chunk: Chunk, params: Params) -> tuple[Tensor, Tensor]:
    """The same from the objective's `TileLoss`."""
    objective, student = OBJECTIVES[name], chunk.student_logits
    loss = objective.analytic(objective.parameters(params))
    inputs = TileInputs(student.new_ones(len(student)), chunk.values, chunk.targets)
    found = loss(student, chunk.teacher_logits, inputs)
    return found.loss, found.gradient


def allowed(simple: Tensor, expected: Tensor, vocabulary: int) -> float:
    """Error relative to the largest element that float32 must be granted, in units of a form's factor.

    `simple` is the formula evaluated step by step in float32: where it loses digits (a JSD near its end
    points is a small difference of large terms) so may the objective. Where it happens to be exact, a sum of
    V rounded terms still has an error of about eps·√V.
    """
    return max(difference(simple, expected), EPS * math.sqrt(vocabulary))


def assert_right(name: str, chunk: Chunk, params: Params, dtype: torch.dtype) -> None:
    """Value and gradient are within what their precision must be granted, those by formula too."""
    single, given = to_dtype(chunk, torch.float32), to_dtype(chunk, dtype)
    expected = exact(name, given, params)
    # As many digits as float32 loses, float64 loses; there the oracle loses them too.
    digits = 1.0 if dtype == torch.float32 else 4.0 * torch.finfo(dtype).eps / EPS
    simple = zip(plain(name, single, params), exact(name, single, params), strict=True)
    bounds = [digits * allowed(*pair, chunk.student_logits.shape[-1]) for pair in simple]
    forms = [(evaluate, SMALL_FACTOR)]
    if OBJECTIVES[name].analytic is not None:
        forms.append((by_formula, FORMULA_FACTOR))
    for form, factor in forms:
        for mine, true, bound in zip(form(name, given, params), expected, bounds, strict=True):
            assert mine.dtype == dtype
            assert difference(mine, true) <= factor * bound


def test_every_objective_has_an_oracle_for_all_of_its_parameters():
    assert set(REFERENCES) == set(OBJECTIVES)
    for name, objective in OBJECTIVES.items():
        assert (REFERENCES[name].sample is None) == (objective.sample is None), name
        varied = {key for params in REFERENCES[name].params for key in params}
        assert varied | {"temperature"} >= set(objective.defaults) >= varied, name


def test_the_oracles_probabilities_are_exact_to_float64():
    logits = torch.tensor([60.0, -60.0, 0.0, 59.5, -math.inf], dtype=torch.float64)
    with localcontext() as context:
        context.prec = 60
        for temperature in (0.5, 1.0, 3.0):
            weights = [(Decimal(z) / Decimal(temperature)).exp() for z in logits.tolist()[:-1]]
            true = [float(w / sum(weights)) for w in weights]
            logs = [float((w / sum(weights)).ln()) for w in weights]
            p, log_p = by_definition(logits, temperature)
            assert p.tolist() == pytest.approx([*true, 0.0], rel=1e-13, abs=0.0)
            assert log_p.tolist() == pytest.approx([*logs, LOG_ZERO], rel=1e-13)


@over_the_registry(1.0)
def test_the_oracles_slopes_are_those_of_its_values(name, params):
    chunk, step = draw(20, 4, 7, 1.0), 1e-5
    _, gradient = exact(name, chunk, params)
    constant = name.startswith("exact_moment")
    for token in range(7):
        moved = []
        for sign in (1.0, -1.0):
            logits = chunk.student_logits.clone()
            logits[:, token] += sign * step
            there = replace(chunk, student_logits=logits)
            # The best critic follows the student, but is a constant to the gradient.
            values = _best_values(name, chunk, params) if constant else chunk.values
            moved.append(exact("moment" if constant else name, replace(there, values=values), params)[0])
        torch.testing.assert_close(
            (moved[0] - moved[1]) / (2 * step), gradient[:, token], rtol=1e-6, atol=1e-9
        )


def _best_values(name: str, chunk: Chunk, params: Params) -> Tensor:
    return -REFERENCES[name].slope(pair_of(chunk), params)


@over_the_registry(0.5, 1.0, 3.0)
def test_value_and_gradient(name, params):
    for chunk in CASES.values():
        for dtype in (torch.float64, torch.float32):
            assert_right(name, chunk, params, dtype)


@pytest.mark.parametrize("case", LARGE)
@over_the_registry(2.0)
def test_value_and_gradient_over_a_large_vocabulary(name, params, case):
    assert_right(name, LARGE[case], params, torch.float32)


@over_the_registry(1.0)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_lose_nothing_more(name, params, dtype):
    for case in ("many positions", "extreme logits", "forbidden in both"):
        half = to_dtype(CASES[case], dtype)
        expected, simple = exact(name, half, params), plain(name, half, params)
        value, gradient = evaluate(name, half, params)
        assert value.dtype == torch.float32
        bounds = [SMALL_FACTOR * allowed(s, e, 13) for s, e in zip(simple, expected, strict=True)]
        assert difference(value, expected[0]) <= bounds[0]
        # The gradient arrives in the logits' own type: half a unit in its last place.
        assert difference(gradient, expected[1]) <= bounds[1] + torch.finfo(dtype).eps / 2


@over_the_registry(1.0)
def test_a_target_without_probability_costs_ten_thousand_and_has_no_gradient(name, params):
    chunk = CASES["forbidden by the student"]
    forbidden = replace(chunk, targets=torch.zeros_like(chunk.targets))
    value, gradient = evaluate(name, forbidden, params)
    true_value, true_gradient = exact(name, forbidden, params)
    assert difference(value, true_value) <= 1e-11 and difference(gradient, true_gradient) <= 1e-11
    if OBJECTIVES[name].reads_target:
        assert (value == -LOG_ZERO).all() and (gradient == 0).all()


@over_the_registry(1.0)
def test_invariances(name, params):
    chunk = CASES["many positions"]
    value, gradient = evaluate(name, chunk, params)

    def same(changed: Chunk, order: Tensor | slice = slice(None)) -> None:
        found_value, found_gradient = evaluate(name, changed, params)
        torch.testing.assert_close(found_value, value, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(found_gradient, gradient[:, order], rtol=1e-10, atol=1e-12)

    shift = torch.linspace(-50.0, 50.0, 40, dtype=torch.float64)[:, None]
    same(
        replace(
            chunk, student_logits=chunk.student_logits + shift, teacher_logits=chunk.teacher_logits - shift
        )
    )
    order = torch.randperm(13, generator=torch.Generator().manual_seed(1))
    logits = {key: getattr(chunk, key)[:, order] for key in ("student_logits", "teacher_logits", "values")}
    same(replace(chunk, **logits, targets=order.argsort()[chunk.targets]), order)


@over_the_registry(1.0)
def test_positions_do_not_see_each_other(name, params):
    chunk = CASES["many positions"]
    value, gradient = evaluate(name, chunk, params)
    for where in (slice(0, 1), slice(7, 40)):
        fields = ("student_logits", "teacher_logits", "targets", "values")
        part = evaluate(name, Chunk(*(getattr(chunk, key)[where] for key in fields)), params)
        assert difference(part[0], value[where]) <= 1e-14
        assert difference(part[1], gradient[where]) <= 1e-14


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if OBJECTIVES[name].sample is not None])
def test_one_sample_estimates_are_right_and_right_on_average(name):
    objective, reference, chunk = OBJECTIVES[name], REFERENCES[name], CASES["many positions"]
    pair = pair_of(chunk)
    for params in reference.params:
        given = objective.parameters(params)
        average = torch.zeros(40, dtype=torch.float64)
        for token in range(13):
            targets = torch.full((40,), token)
            found = objective.sample(replace(chunk, targets=targets), given)
            assert difference(found, reference.sample(replace(pair, targets=targets), given)) <= 1e-12
            average += pair.q[:, token] * found
        assert difference(average, objective.loss(chunk, given)) <= 1e-12
