"""Passes over the heads in chunks and tiles: rounding, memory, compilation."""

import os
import shutil
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from py_worker.losses import head_pass, loss_form
from py_worker.losses.analytic import TileInputs, moment_loss
from py_worker.losses.fused import fused_divergence, fused_moment_gap
from py_worker.losses.loss_form import TileForm
from py_worker.models.critics.critic import build_critic
from py_worker.models.head import OutputHead
from py_worker.models.spec import CriticSpec
from tests.py.losses.fused_case import LOSSES, assert_same, case, fused, gradients, plain, watched
from tests.py.tiny_models import tiny_policy

torch.set_num_threads(1)


@pytest.mark.parametrize("common", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("loss", LOSSES)
def test_no_further_from_float64_than_the_plain_form(loss, dtype, common):
    """Root mean squares over cases of the errors in values and both gradients, from the same inputs."""

    def all_of(output: Tensor, made, upstream: Tensor) -> tuple[Tensor, ...]:
        return output.detach(), *gradients(output, made, upstream.to(output.dtype))

    squares = torch.zeros(2, 3, dtype=torch.float64)
    for seed in range(6):
        low = case(seed, 4, 16, 32, 200, scale=0.4).to(dtype)
        high = low.to(torch.float64)
        upstream = torch.full_like(low.upstream, 0.37) if common else low.upstream
        exact = all_of(plain(loss, high), high, upstream)
        found = fused(loss, low, chunk_size=7)
        assert found.dtype == torch.float32
        for row, output in enumerate((found, plain(loss, low))):
            pairs = zip(all_of(output, low, upstream), exact, strict=True)
            squares[row] += torch.stack([(one.double() - other).square().sum() for one, other in pairs])
    ratio = (squares[0] / squares[1]).sqrt()
    assert (ratio < 1.1).all(), ratio.tolist()


@pytest.mark.parametrize("loss", LOSSES)
def test_chunk_and_tile_change_rounding_only(loss, monkeypatch):
    made = case(12, 4, 9, 16, 64, dtype=torch.float32)
    results = []
    for chunk_size, tile in ((1, 2**16), (5, 2**16), (64, 2**16), (64, 3 * 64)):
        monkeypatch.setitem(head_pass.TILE_LOGITS, "cpu", tile)
        found = fused(loss, made, chunk_size=chunk_size)
        results.append((found, *gradients(found, made)))
    for result in results[1:]:
        assert_same(result, results[0], 1e-5)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("loss", ["jsd", "moment"])
def test_memory_grows_with_the_chunk_not_with_the_positions(loss, recompute):
    vocab, tensors = 4096, 16
    peaks = {}
    for positions, chunk_size in ((128, 4), (128, 16), (512, 16)):
        made = case(13, 8, positions // 8, 2, vocab, keep=1.0, dtype=torch.float32)
        watch = watched(loss, made, chunk_size, made.upstream.float(), recompute=recompute)
        assert watch.largest <= max(chunk_size, 3) * vocab < positions * vocab
        assert watch.peak < tensors * chunk_size * vocab * 4 + 2**17
        peaks[positions, chunk_size] = watch.peak
    assert peaks[512, 16] < 1.05 * peaks[128, 16]
    assert peaks[128, 4] < 0.6 * peaks[128, 16]


@pytest.mark.parametrize("kind", LOSSES)
def test_a_loss_compiles_whole_and_once(kind, monkeypatch):
    torch.compiler.reset()
    made = case(22, width=15, vocab=13, keep=1.0, dtype=torch.float32)
    loss_form.compiled.cache_clear()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    critic = build_critic(CriticSpec(hidden_size=8, seed=3), tiny_policy(2))
    inputs = (made.hidden, OutputHead(made.head, None, 13, 0.5, 5.0), made.teacher_hidden, made.teacher_head)

    def run(form: TileForm) -> tuple[Tensor, ...]:
        options = {"chunk_size": 5, "form": form}
        if kind == "moment":
            found, _ = fused_moment_gap(*inputs, critic, made.mask, tokens=made.tokens, **options)
        else:
            found = fused_divergence(kind, *inputs, made.mask, temperature=1.5, **options)
        return found, *gradients(found, made)

    assert_same(run("compiled"), run("fused"), 1e-5)
    with torch.compiler.set_stance("fail_on_recompile"):
        run("compiled")


@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("kind", ["jsd", "moment"])
def test_compiled_to_machine_code(kind, tmp_path, monkeypatch):
    """As above with what `torch.compile` takes by itself, Inductor."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    loss_form.compiled.cache_clear()
    made = case(22, width=15, vocab=13, keep=1.0, dtype=torch.float32)
    found, expected = (fused(kind, made, chunk_size=5, form=form) for form in ("compiled", "fused"))
    assert_same((found, *gradients(found, made)), (expected, *gradients(expected, made)), 1e-5)


def test_tiles_grow_with_the_threads_of_a_cpu(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert head_pass.tile_logits(torch.device("cpu")) == 3 * head_pass.TILE_LOGITS["cpu"]
    assert head_pass.tile_logits(torch.device("cuda")) == head_pass.TILE_LOGITS["cuda"]


@pytest.mark.parametrize(
    ("device", "vocab_size", "positions"),
    [("cpu", 49152, 341), ("cpu", 2**30, 1), ("cuda", 49152, 2730), ("mps", 49152, 341)],
)
def test_positions_at_once_go_by_the_device_unless_given(device, vocab_size, positions):
    policy = SimpleNamespace(vocab_size=vocab_size, device=torch.device(device))
    assert head_pass.positions_at_once(policy) == positions
    assert head_pass.positions_at_once(policy, 7) == 7


def test_a_moment_needs_values():
    logits = torch.zeros(1, 2)
    with pytest.raises(ValueError, match="critic's values"):
        moment_loss(logits, logits, TileInputs(torch.ones(1)))
