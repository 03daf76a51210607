"""Divergence and moment gap straight from hidden states: logits of one chunk of positions at a time.

Where the time goes. Per position and token of the vocabulary a head of width H costs 2H operations. With
equal widths a plain step makes four such products: logits of both models, gradients in the student's hidden
states and in its head. On one CPU core in float32 a product takes about 7 ns at H = 256 and 27 ns at 1,024;
the plain JSD's passes over `[N, V]` take 60 to 80 ns, those over tiles 7 ns.

The gradient in the hidden states is linear in the upstream gradient position by position, so the forward
pass can take it for an upstream of 1: `[N, H]` numbers. The head's is a sum over positions. Hence two ways:

- `recompute=True`: values in the forward pass, everything again in the backward. 6 products.
- `recompute=False`: both gradients in the forward pass, for a number common to all positions that the
  backward pass multiplies in. 4 products, as plain. `sum()` and means lead to that, and so does any
  weighting that is known before, given as `weights`. For another upstream what is missing is computed
  again, no less right: 7 products, 8 in half precision. A frozen head needs 3, whatever the upstream.

Critics are asked in both passes; the gap's gradient does without the teacher, so that a product is spared,
where its critic does too.

The second is the default. Measured against plain for a sum (CPU, float32, V = 32,768): JSD 0.35 to 0.4 of
its time at H = 256, 0.7 at 1,024, 0.9 at 4,096; by the first way 0.6, 1.0 and 1.35.

Whether an upstream is common to all positions is seen from its strides (an expanded number, as `sum()`
makes it), and on a CPU from its values. A CUDA device is not waited for: there prefer `weights` and `sum()`
to `mean()`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypedDict, Unpack, get_args, overload

from torch import Tensor, nn

from py_worker.losses.analytic import DivergenceLoss, TileLoss, moment_gradient, moment_loss
from py_worker.losses.divergence import ALPHA, BETA, DivergenceKind
from py_worker.losses.fused.autograd import Call
from py_worker.losses.fused.places import Places
from py_worker.losses.fused.position_pass import Constants
from py_worker.losses.loss_form import TileForm, check_form, in_form
from py_worker.models.critics.critic import Critic
from py_worker.models.head import OutputHead

Head = Tensor | OutputHead
"""A weight `[V, H]`, or a head with bias, scale, soft-cap or padded rows."""

Values = Critic | Callable[[Tensor], Tensor]
"""A critic, or a function from features `[n, H_c]` to values `[n, V]`."""


class Options(TypedDict, total=False):
    """What both losses understand besides their own arguments.

    Attributes:
        weights: [B, T] constant factors of the losses, 1 by default; see above why to give them here.
        positions: [N] int64, the mask's true positions counted along rows; spares a wait for the device.
        recompute: compute gradients in the backward pass only; see above. Holds nothing between the passes.
        form: how the elementwise part is done; see `TileForm`.
    """

    weights: Tensor | None
    positions: Tensor | None
    recompute: bool
    form: TileForm


def fused_divergence(
    kind: DivergenceKind,
    student_hidden: Tensor,
    student_head: Head,
    teacher_hidden: Tensor,
    teacher_head: Head,
    mask: Tensor,
    *,
    chunk_size: int,
    beta: float = BETA,
    alpha: float = ALPHA,
    temperature: float = 1.0,
    **options: Unpack[Options],
) -> Tensor:
    """`divergence(kind, …)` of two models' last hidden states, at the positions of the mask.

    Args:
        kind: see `divergence`, as for beta, alpha and temperature.
        student_hidden: [B, T, H], any float dtype; gets a gradient.
        student_head: its weight and bias get gradients, summed in float32 for half-precision heads.
        teacher_hidden: [B, T, H_teacher]; constant.
        teacher_head: constant.
        mask: [B, T] bool. Other positions are dropped before the heads, and may hold anything.
        chunk_size: positions whose logits are held at once. Changes nothing but rounding.
        beta: of `jsd`.
        alpha: of the skewed divergences.
        temperature: of both models.
        **options: see `Options`.

    Returns:
        [B, T], 0 where masked, float32 (float64 where a head is). Takes any upstream gradient, and is
        differentiable once.

    Raises:
        ValueError: parameters out of range; shapes or vocabularies that do not fit; a form that cannot run.
        TypeError: an option that is none.
        RuntimeError: in the backward pass, when it is differentiated, or when a head or critic has changed
            since the forward pass and something must be recomputed.
    """
    loss = DivergenceLoss(kind, beta, alpha, temperature)
    places = Places.of(mask, options.get("positions"))
    constants = _constants(loss, places, teacher_hidden, teacher_head, chunk_size, options)
    return _losses(constants, places, student_hidden, student_head, options)[0]


@overload
def fused_moment_gap(
    student_hidden: Tensor,
    student_head: Head,
    teacher_hidden: Tensor,
    teacher_head: Head,
    critic: Values,
    mask: Tensor,
    *,
    chunk_size: int,
    tokens: None = None,
    features: Tensor | None = None,
    **options: Unpack[Options],
) -> Tensor: ...


@overload
def fused_moment_gap(
    student_hidden: Tensor,
    student_head: Head,
    teacher_hidden: Tensor,
    teacher_head: Head,
    critic: Values,
    mask: Tensor,
    *,
    chunk_size: int,
    tokens: Tensor,
    features: Tensor | None = None,
    **options: Unpack[Options],
) -> tuple[Tensor, Tensor]: ...


def fused_moment_gap(
    student_hidden: Tensor,
    student_head: Head,
    teacher_hidden: Tensor,
    teacher_head: Head,
    critic: Values,
    mask: Tensor,
    *,
    chunk_size: int,
    tokens: Tensor | None = None,
    features: Tensor | None = None,
    **options: Unpack[Options],
) -> Tensor | tuple[Tensor, Tensor]:
    """`moment_gap` with a constant critic, from two models' last hidden states, at the mask's positions.

    Args:
        student_hidden: [B, T, H], any float dtype; gets a gradient.
        student_head: its weight and bias get gradients, summed in float32 for half-precision heads.
        teacher_hidden: [B, T, H_teacher]; constant.
        teacher_head: constant.
        critic: asked a chunk at a time, without gradient; must give the same values in both passes.
        mask: [B, T] bool. Other positions are dropped before the heads, and may hold anything.
        chunk_size: positions whose logits and values are held at once. Changes nothing but rounding.
        tokens: [B, T] int64, the tokens that follow.
        features: [B, T, H_c] for the critic. By default the hidden states of the model that its
            specification names, the teacher's for a function.
        **options: see `Options`. `weights` are factors of the gap alone.

    Returns:
        `Δ_f` [B, T], 0 where masked, float32 (float64 where a head is); with tokens also
        `log π_θ(y_t)` [B, T], at least `LOG_ZERO`. Both take any upstream gradient, and are differentiable
        once. A gradient in the second always means recomputation.

    Raises:
        ValueError: shapes or vocabularies that do not fit; a form that cannot run.
        TypeError: an option that is none.
        RuntimeError: in the backward pass, when it is differentiated, or when a head or critic has changed
            since the forward pass and something must be recomputed.
    """
    if features is None:
        of_student = isinstance(critic, Critic) and critic.spec.features == "student"
        features = student_hidden if of_student else teacher_hidden
    places = Places.of(mask, options.get("positions"))
    constants = _constants(moment_loss, places, teacher_hidden, teacher_head, chunk_size, options)
    form = options.get("form", "fused")
    # A Triton kernel with the teacher's product should take less time than torch operations without it.
    alone = form != "triton" and not (isinstance(critic, Critic) and critic.spec.form == "ratio")
    constants = replace(
        constants,
        tokens=None if tokens is None else places.take(tokens, "tokens"),
        gradient=in_form(moment_gradient, form) if alone else None,
        **_values(critic, places.take(features.detach(), "features")),
    )
    watched = tuple(critic.parameters()) if isinstance(critic, nn.Module) else ()
    gap, log_prob = _losses(constants, places, student_hidden, student_head, options, watched)
    return gap if log_prob is None else (gap, log_prob)


def _head(head: Head) -> OutputHead:
    return OutputHead(head, None, head.shape[0]) if isinstance(head, Tensor) else head


def _values(critic: Values, features: Tensor) -> dict[str, Any]:
    """Values at ranges of positions, a chunk at a time; what follows a critic's head is done in tiles."""
    if isinstance(critic, Critic):
        return {"values": lambda where: critic.raw(features[where]), "finish": critic.values_of}
    return {"values": lambda where: critic(features[where])}


def _constants(
    loss: TileLoss, places: Places, teacher_hidden: Tensor, teacher: Head, chunk_size: int, options: Options
) -> Constants:
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, not {chunk_size}")
    if unknown := set(options) - set(Options.__annotations__):
        raise TypeError(f"no options of a fused loss: {', '.join(sorted(unknown))}")
    form = options.get("form", "fused")
    if form not in get_args(TileForm):
        raise ValueError(f"unknown form {form!r}: use one of {', '.join(get_args(TileForm))}")
    check_form(form, teacher_hidden.device)
    head = _head(teacher)
    hidden = places.take(teacher_hidden.detach(), "teacher_hidden")
    _check_width(hidden, head, "teacher")
    return Constants(
        in_form(loss, form),
        head,
        hidden.to(head.weight.dtype),
        chunk_size=chunk_size,
    )


def _losses(
    constants: Constants,
    places: Places,
    student_hidden: Tensor,
    student: Head,
    options: Options,
    watched: Sequence[Tensor] = (),
) -> tuple[Tensor, Tensor | None]:
    head, teacher = _head(student), constants.teacher
    hidden = places.take(student_hidden, "student_hidden")
    _check_width(hidden, head, "student")
    if head.vocab_size != teacher.vocab_size:
        raise ValueError(
            f"the student's head has {head.vocab_size} tokens and the teacher's {teacher.vocab_size}: "
            "cut both to the shared vocabulary first"
        )
    bias = None if head.bias is None else head.bias[: head.vocab_size]
    weights = options.get("weights")
    call = Call(
        constants,
        places,
        replace(head, weight=head.rows, bias=bias),
        None if weights is None else places.take(weights.detach(), "weights"),
        options.get("recompute", False),
        (teacher.weight, *watched),
    )
    return call.losses(hidden)


def _check_width(hidden: Tensor, head: OutputHead, name: str) -> None:
    if hidden.dim() != 2 or hidden.shape[1] != head.weight.shape[1]:
        raise ValueError(
            f"{name}_hidden of width {tuple(hidden.shape[1:])} does not fit {name}_head "
            f"{tuple(head.weight.shape)}"
        )
