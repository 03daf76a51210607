"""The Triton kernel against the formulas that run as torch operations, and for a GPU that is not here."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="Triton is not installed: npm run setup -- --with triton")

from py_worker.losses import triton_rows
from py_worker.losses.analytic import DivergenceLoss, TileInputs, TileLoss, cross_entropy_loss, moment_loss
from py_worker.losses.fused import fused_divergence, fused_moment_gap
from py_worker.losses.tile_form import check_form
from py_worker.losses.triton_rows import RowLoss, row_loss
from tests.py.losses.fused_case import LOSSES, assert_same, case, fused, gradients, plain

torch.set_num_threads(1)

CPU = torch.device("cpu")
KINDS = ("forward_kl", "reverse_kl", "jsd", "tvd", "skew_forward_kl", "skew_reverse_kl")


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def logits(tokens: int = 50, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Of five positions, with tokens that the student, the teacher or both forbid."""
    student, teacher = (
        3.0 * drawn(5, tokens, seed=1, dtype=dtype),
        3.0 * drawn(5, tokens, seed=2, dtype=dtype),
    )
    student[1, 3] = teacher[2, 4] = student[3, 7] = teacher[3, 7] = -torch.inf
    return student, teacher


def assert_same_rows(loss: TileLoss, student: Tensor, teacher: Tensor | None, inputs: TileInputs) -> None:
    tolerance = {torch.float64: 1e-12, torch.float32: 2e-5}[student.dtype]
    before = student.clone()
    found = row_loss(loss)(student, teacher, inputs)
    expected = loss(student.clone(), None if teacher is None else teacher.clone(), inputs)
    assert torch.equal(student, before), "logits are left as they are"
    for one, other in zip(found, expected, strict=True):
        if other is None:
            assert one is None
        else:
            torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.fixture(params=[16, 64], ids=["several blocks", "one block"])
def block(request, monkeypatch):
    monkeypatch.setattr(triton_rows, "BLOCK", request.param)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("block")
def test_divergences(kind, dtype):
    for mix, temperature in ((0.5, 1.0), (0.1, 1.7)):
        loss = DivergenceLoss(kind, mix, mix, temperature)
        assert isinstance(row_loss(loss), RowLoss)
        assert_same_rows(loss, *logits(dtype=dtype), TileInputs(drawn(5, dtype=dtype)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.usefixtures("block")
def test_moment_gap_and_tokens(dtype):
    upstream, values = drawn(5, dtype=dtype), drawn(5, 50, seed=3, dtype=dtype)
    tokens, of_tokens = torch.tensor([1, 3, 49, 16, 0]), drawn(5, seed=4, dtype=dtype)  # [1, 3] is forbidden
    for inputs in (
        TileInputs(upstream, values),
        TileInputs(upstream, values, tokens),
        TileInputs(upstream, values, tokens, of_tokens),
    ):
        assert_same_rows(moment_loss, *logits(dtype=dtype), inputs)
    assert_same_rows(cross_entropy_loss, logits(dtype=dtype)[0], None, TileInputs(upstream, None, tokens))


def test_rows_of_a_larger_tensor():
    """As a chunk's projections are, and values whose tokens are not side by side."""
    wide = 3.0 * drawn(7, 60, seed=5)
    values = drawn(20, 4, seed=6).t()
    assert_same_rows(moment_loss, wide[1:5, 3:23], wide[2:6, 30:50], TileInputs(drawn(4), values))


def test_the_ends_of_a_mixture_stay_as_they_are():
    for kind, beta, alpha in (
        ("jsd", 0.0, 0.5),
        ("skew_forward_kl", 0.5, 1.0),
        ("skew_reverse_kl", 0.5, 0.0),
    ):
        loss = DivergenceLoss(kind, beta, alpha, 1.0)
        assert row_loss(loss) is loss


def test_what_a_loss_needs():
    student, teacher = logits()
    with pytest.raises(ValueError, match="a teacher's logits"):
        RowLoss("tvd")(student, None, TileInputs(drawn(5)))
    with pytest.raises(ValueError, match="a critic's values"):
        RowLoss("moment")(student, teacher, TileInputs(drawn(5)))


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_public_losses(loss, recompute):
    made = case(31, 2, 5, 6, 40)
    found = fused(loss, made, chunk_size=3, form="triton", recompute=recompute)
    expected = plain(loss, made)
    assert_same((found, *gradients(found, made)), (expected, *gradients(expected, made)), 1e-9)


def test_without_a_gpu_it_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET")
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


def test_compiles_for_gpus_without_spilling_registers():
    """To machine code for Ampere and Hopper, which takes no GPU; what it does there only one can tell."""
    script = Path(__file__).with_name("compile_rows.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")[:-1]
    assert len(lines) == 2 * (len(KINDS) + 3)
    assert all(line.endswith(" 0 bytes spilled") for line in lines), done.stdout
