"""Fused losses in autograd: what each pass computes, and what it refuses."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from py_worker.losses.fused import fused_moment_gap
from py_worker.models.critics.critic import build_critic
from py_worker.models.spec import CriticSpec
from tests.py.losses.fused_case import Watch, assert_same, case, fused, gradients, watched
from tests.py.tiny_models import tiny_policy

torch.set_num_threads(1)


@pytest.mark.parametrize("loss", ["jsd", "moment"])
def test_matrix_products_of_one_chunk(loss):
    """A common upstream costs what the plain form does, any other one more pass; see the module's text."""
    made = case(14, keep=1.0, dtype=torch.float32)
    count = lambda *upstream, **options: watched(loss, made, 15, *upstream, **options).products  # noqa: E731
    asked = int(loss == "moment")  # the case's critic multiplies a matrix, each time it is asked
    assert count() == 4 + asked
    assert count(torch.full((3, 5), 0.2)) == 4 + asked
    again = 2 * asked - int(loss == "moment")  # whose gradient does without the teacher
    assert count(made.upstream.float()) == 7 + again
    assert count(recompute=True) == 6 + again
    frozen = replace(made, head=made.head.detach())
    assert watched(loss, frozen, 15, made.upstream.float()).products == 3 + asked
    made = made.to(torch.bfloat16)
    assert count(made.upstream.float()) == 8 + again


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("loss", ["jsd", "moment"])
def test_nothing_is_read_back_from_the_device(loss, recompute):
    made = case(15, dtype=torch.float32)
    positions = made.mask.flatten().nonzero().squeeze(1)
    options = {"positions": positions, "recompute": recompute, "weights": made.upstream.float()}
    assert watched(loss, made, 4, **options).read_backs == 0
    del options["positions"]
    assert watched(loss, made, 4, **options).read_backs == 1, "the mask's positions"


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("loss", ["skew_forward_kl", "moment"])
def test_weights_are_an_upstream_known_before(loss, recompute):
    made = case(16)
    take = partial(fused, loss, made, chunk_size=4, recompute=recompute)
    unweighted, weighted = take(), take(weights=made.upstream)
    assert_same([weighted], [unweighted * made.upstream])
    of_sum = torch.autograd.grad(weighted.sum(), (made.hidden, made.head))
    assert_same(of_sum, gradients(unweighted, made))
    assert_same(gradients(take(weights=made.upstream), made), gradients(unweighted, made, made.upstream**2))


def test_positions_take_the_place_of_the_mask():
    made = case(24)
    positions = made.mask.flatten().nonzero().squeeze(1)
    found, expected = fused("jsd", made, chunk_size=4, positions=positions), fused("jsd", made, chunk_size=4)
    assert_same((found, *gradients(found, made)), (expected, *gradients(expected, made)), 0.0)


def test_both_outputs_of_the_moment_gap_share_one_gradient():
    made = case(25)
    gap, log_prob = fused_moment_gap(*made.inputs, made.critic, made.mask, chunk_size=4, tokens=made.tokens)
    expected = [a + b for a, b in zip(gradients(gap, made), gradients(log_prob, made), strict=True)]
    assert_same(gradients(gap + log_prob, made), expected)


@pytest.mark.parametrize("recompute", [False, True])
def test_a_kept_graph_can_be_used_again(recompute):
    made = case(17)
    loss = fused("tvd", made, chunk_size=4, recompute=recompute).sum()
    leaves = (made.hidden, made.head)
    first = torch.autograd.grad(loss, leaves, retain_graph=True)
    assert_same(torch.autograd.grad(loss, leaves), first)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, leaves)


def test_differentiable_once():
    made = case(18)
    loss = fused("jsd", made, chunk_size=4).sum()
    with pytest.raises(RuntimeError, match="differentiable once"):
        torch.autograd.grad(loss, made.hidden, create_graph=True)


def test_without_gradients_nothing_is_prepared():
    made = case(19)
    with torch.no_grad(), Watch() as watch:
        loss = fused("jsd", made, chunk_size=15)
    assert watch.products == 2 and not loss.requires_grad


@pytest.mark.parametrize("recompute", [False, True])
def test_what_changed_between_the_passes_is_noticed_where_it_matters(recompute):
    student, teacher = tiny_policy(1), tiny_policy(2)
    critic = build_critic(CriticSpec(hidden_size=8, seed=3), teacher)
    made = case(20, width=16, vocab=13, dtype=torch.float32)
    inputs = (made.hidden, student.head, made.hidden.detach(), teacher.head)
    for changed in (student.head.weight, teacher.head.weight, critic.head.bias):
        loss = fused_moment_gap(*inputs, critic, made.mask, chunk_size=4, recompute=recompute)
        with torch.no_grad():
            changed.add_(1.0)
        if recompute:
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                loss.sum().backward()
        else:
            loss.sum().backward()  # of the values that it had
