"""Forms of the losses that are none, or cannot run."""

import pytest
import torch

from py_worker.losses import tile_form
from py_worker.losses.driver import student_backward
from py_worker.losses.fused import fused_divergence, fused_moment_gap
from py_worker.losses.scored import score_batch
from py_worker.losses.tile_form import check_form
from tests.py.losses.fused_case import case
from tests.py.losses.test_driver import TERMS, setting
from tests.py.tiny_models import tiny_batch

CPU = torch.device("cpu")


@pytest.fixture
def with_triton(monkeypatch):
    """As if it were installed, and not to be interpreted."""
    monkeypatch.setattr(tile_form, "find_spec", lambda _name: object())
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
    monkeypatch.setattr("py_worker.losses.tile_form.find_spec", lambda _name: None)
    with pytest.raises(ValueError, match="needs the package triton"):
        check_form("triton", torch.device("cuda:0"))


def test_a_form_of_a_step_that_is_none():
    student, teacher, critics = setting()
    scored = score_batch(tiny_batch(9), teacher=teacher, student=student)
    with pytest.raises(
        ValueError, match="unknown form 'Triton': use one of auto, plain, fused, compiled, triton"
    ):
        student_backward(student, scored, TERMS, teacher=teacher, critics=critics, form="Triton")  # type: ignore[arg-type]
