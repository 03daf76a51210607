"""Forms of the losses that are none, or cannot run; and what compiling must keep apart."""

from functools import partial

import pytest
import torch

from py_worker.losses import loss_form
from py_worker.losses.analytic import AlphaBetaLoss, DivergenceLoss, TileInputs
from py_worker.losses.driver import student_backward
from py_worker.losses.fused import fused_divergence, fused_moment_gap
from py_worker.losses.loss_form import check_form
from py_worker.losses.scored import score_batch
from tests.py.losses.fused_case import case
from tests.py.losses.test_driver import TERMS, setting
from tests.py.tiny_models import tiny_batch

CPU = torch.device("cpu")


@pytest.fixture
def with_triton(monkeypatch):
    """As if it were installed, and not to be interpreted."""
    monkeypatch.setattr(loss_form, "find_spec", lambda _name: object())
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


def test_options_that_are_none():
    made = case(31, 2, 5, 6, 40)
    inputs = (made.hidden, made.head, made.teacher_hidden, made.teacher_head, made.mask)
    with pytest.raises(ValueError, match="unknown form 'Triton': use one of fused, compiled, triton"):
        fused_divergence("tvd", *inputs, chunk_size=3, form="Triton")
    with pytest.raises(TypeError, match="no options of a fused loss: compiled"):
        fused_divergence("tvd", *inputs, chunk_size=3, compiled=True)


@pytest.mark.usefixtures("with_triton")
def test_without_a_gpu_it_is_refused_before_anything_runs():
    made = case(31, 2, 5, 6, 40)
    inputs = (made.hidden, made.head, made.teacher_hidden, made.teacher_head)
    for call in (
        lambda: check_form("triton", CPU),
        lambda: fused_divergence("tvd", *inputs, made.mask, chunk_size=3, form="triton"),
        lambda: fused_moment_gap(*inputs, lambda h: h, made.mask, chunk_size=3, form="triton"),
    ):
        with pytest.raises(ValueError, match="needs a CUDA device, and this is cpu: use fused"):
            call()
    check_form("triton", torch.device("cuda:0"))
    check_form("fused", CPU)


def test_without_the_package_it_is_refused(monkeypatch):
    monkeypatch.setattr("py_worker.losses.loss_form.find_spec", lambda _name: None)
    with pytest.raises(ValueError, match="needs the package triton"):
        check_form("triton", torch.device("cuda:0"))


def test_a_form_of_a_step_that_is_none():
    student, teacher, critics = setting()
    scored = score_batch(tiny_batch(9), teacher=teacher, student=student)
    with pytest.raises(
        ValueError, match="unknown form 'Triton': use one of auto, plain, fused, compiled, triton"
    ):
        student_backward(student, scored, TERMS, teacher=teacher, critics=critics, form="Triton")  # type: ignore[arg-type]


def test_parameters_of_a_compiled_loss_are_its_own(monkeypatch):
    """None is an input of what is compiled, and there may be more of them than torch's limit of eight."""
    graphs = []
    monkeypatch.setattr(
        torch,
        "compile",
        partial(torch.compile, backend=lambda graph, inputs: graphs.append(inputs) or graph.forward),
    )
    torch.compiler.reset()
    loss_form.compiled.cache_clear()
    student, teacher = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    inputs = TileInputs(torch.ones(3))
    losses = [
        *(DivergenceLoss("jsd", beta=0.1 * tenths) for tenths in range(1, 10)),
        *(AlphaBetaLoss(alpha, beta) for alpha, beta in ((0.2, 0.7), (1.5, -0.5))),
    ]
    for loss in losses:
        found, expected = loss_form.compiled(loss)(student, teacher, inputs), loss(student, teacher, inputs)
        torch.testing.assert_close(found.loss, expected.loss)
        torch.testing.assert_close(found.gradient, expected.gradient)
    assert len(graphs) == len(losses)
    assert all(x.dim() > 0 for given in graphs for x in given if isinstance(x, torch.Tensor))
