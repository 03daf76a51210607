"""Our `jsd` against TRL's `generalized_jsd_loss`, where TRL is installed (the optional group `trl`)."""

import importlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from py_worker.losses.divergence import divergence

torch.set_num_threads(1)

# Where releases have kept it; the newest first.
MODULES = ("trl.experimental.gkd.gkd_trainer", "trl.trainer.gkd_trainer")
BETAS = (0.0, 0.1, 0.5, 0.9, 1.0)


@pytest.fixture(scope="module")
def theirs() -> Callable[..., Tensor]:
    pytest.importorskip("trl", reason="TRL is not installed: npm run setup -- --with trl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
        for name in MODULES:
            try:
                return importlib.import_module(name).GKDTrainer.generalized_jsd_loss
            except ModuleNotFoundError:
                continue
    pytest.fail(f"this TRL has its loss elsewhere than in {' or '.join(MODULES)}")


def logits(seed: int, vocabulary: int, scale: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (scale * torch.randn(3, 5, vocabulary, generator=generator) for _ in range(2))
    return student.requires_grad_(), teacher


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("beta", BETAS)
def test_jsd_is_theirs_in_value_and_gradient(theirs, beta, temperature, record_property):
    largest = 0.0
    for seed, (vocabulary, scale) in enumerate([(7, 1.0), (40, 3.0), (1000, 3.0), (5, 20.0)]):
        student, teacher = logits(seed, vocabulary, scale)
        ours = divergence("jsd", student, teacher, beta=beta, temperature=temperature)
        # Without their reduction: one term per position and token.
        other = theirs(student, teacher, beta=beta, temperature=temperature, reduction="none").sum(-1)
        gradients = [torch.autograd.grad(loss.sum(), student)[0] for loss in (ours, other)]
        pairs = ((ours.detach(), other.detach()), gradients)
        largest = max(largest, *(float((a - b).abs().max()) for a, b in pairs))
    record_property("largest_difference", largest)
    assert largest <= 1e-5


@pytest.mark.parametrize("beta", BETAS)
def test_their_mean_over_labels_is_ours_over_response_positions(theirs, beta):
    student, teacher = logits(9, 40, 3.0)
    valid = torch.tensor([[0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [1, 0, 0, 0, 0]], dtype=torch.bool)
    labels = torch.zeros(3, 5, dtype=torch.int64).masked_fill(~valid, -100)
    with torch.no_grad():
        other = theirs(student, teacher, labels=labels, beta=beta)  # "batchmean" is over labels
        ours = divergence("jsd", student, teacher, beta=beta)[valid].mean()
    assert abs(float(ours - other)) <= 1e-5
