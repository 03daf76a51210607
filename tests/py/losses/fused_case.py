"""Random problems for fused losses, the same losses in plain form, and a watch over what is computed."""

from dataclasses import dataclass, replace
from typing import get_args

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from py_worker.losses.divergence import DivergenceKind, divergence
from py_worker.losses.fused import fused_divergence, fused_moment_gap
from py_worker.losses.moment import moment_gap
from py_worker.models.head import OutputHead

KINDS = get_args(DivergenceKind)
LOSSES = (*KINDS, "moment")
END_POINTS = ({"beta": 0.0, "alpha": 0.0}, {"beta": 1.0, "alpha": 1.0}, {"beta": 0.3, "alpha": 0.6})


@dataclass(frozen=True)
class Case:
    """Hidden states [B, T, H] and heads of a student (with gradients) and a teacher of another width."""

    hidden: Tensor
    head: Tensor
    teacher_hidden: Tensor
    teacher_head: Tensor
    mask: Tensor
    upstream: Tensor
    tokens: Tensor
    values: Tensor

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As the fused losses take them."""
        return self.hidden, self.head, self.teacher_hidden, self.teacher_head

    @property
    def logits(self) -> tuple[Tensor, Tensor]:
        """Of student and teacher."""
        return self.hidden @ self.head.t(), self.teacher_hidden @ self.teacher_head.t()

    def to(self, dtype: torch.dtype) -> "Case":
        """The same numbers, as far as the dtype holds them, with new leaves."""
        moved = {
            name: getattr(self, name).detach().to(dtype)
            for name in ("hidden", "head", "teacher_hidden", "teacher_head")
        }
        case = replace(self, **moved)
        case.hidden.requires_grad_(), case.head.requires_grad_()
        return case

    def critic(self, features: Tensor) -> Tensor:
        """A function of the teacher's states, with values of size 1."""
        return torch.tanh(features.double() @ self.values).to(
            torch.promote_types(features.dtype, torch.float32)
        )


def case(seed=0, batch=3, time=5, width=6, vocab=11, scale=1.0, keep=0.6, dtype=torch.float64) -> Case:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    made = Case(
        draw(batch, time, width),
        scale * draw(vocab, width),
        draw(batch, time, width + 1),
        scale * draw(vocab, width + 1),
        torch.rand((batch, time), generator=generator) < keep,
        draw(batch, time),
        torch.randint(vocab, (batch, time), generator=generator),
        draw(width + 1, vocab),
    )
    return made.to(dtype)


def gradients(output: Tensor, made: Case, upstream: Tensor | None = None) -> tuple[Tensor, ...]:
    upstream = made.upstream.to(output.dtype) if upstream is None else upstream
    return torch.autograd.grad(output, (made.hidden, made.head), upstream, retain_graph=True)


def assert_same(found, expected, tolerance=1e-12):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def fused(loss: str, made: Case, **options) -> Tensor:
    """The loss of that name; the moment gap with the case's own critic."""
    if loss == "moment":
        return fused_moment_gap(*made.inputs, made.critic, made.mask, **options)
    return fused_divergence(loss, *made.inputs, made.mask, **options)


def plain(loss: str, made: Case, **params) -> Tensor:
    """The same by whole logits, 0 where masked."""
    student, teacher = (OutputHead(weight, None, len(weight)) for weight in (made.head, made.teacher_head))
    logits = student.logits(made.hidden), teacher.logits(made.teacher_hidden)
    if loss == "moment":
        return moment_gap(*logits, made.critic(made.teacher_hidden)) * made.mask
    return divergence(loss, *logits, **params) * made.mask


class Watch(TorchDispatchMode):
    """Counts matrix products and read-backs, and measures what is alive."""

    def __init__(self) -> None:
        super().__init__()
        self.products = self.read_backs = self.largest = self.peak = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        self.products += name in ("mm", "addmm", "addmm_")
        self.read_backs += name in ("nonzero", "_local_scalar_dense", "equal", "is_nonzero")
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.largest = max(self.largest, storage.nbytes() // tensor.element_size())
                self._alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self._alive = {key: held for key, held in self._alive.items() if not held[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self._alive.values()))
        return result


def watched(loss: str, made: Case, chunk_size: int, upstream: Tensor | None = None, **options) -> Watch:
    """Both passes, with an upstream as `sum()` makes it by default."""
    with Watch() as watch:
        found = fused(loss, made, chunk_size=chunk_size, **options)
        found.backward(torch.ones(()).expand_as(found) if upstream is None else upstream)
    return watch
