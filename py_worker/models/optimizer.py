"""AdamW with clipping and with the decision to skip a step taken on the device."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from py_worker.models.loss_scale import LossScale
from py_worker.models.spec import OptimizerSpec

_UPDATE = "update"


class Optimizer:
    """Fused AdamW over named parameters.

    Weight decay is not applied to parameters of one dimension (norms, biases). An update whose gradient norm
    is not finite leaves weights, moments and step counts as they were, without the host looking at it: the
    fused kernel reads the flag that gradient scalers use.

    Optimistic (Daskalakis et al. 2018): with `u_t` what AdamW would add to the weights, they move by
    `2·u_t − u_{t−1}`, from `u_{−1} = 0`. Weight decay is part of `u_t` (our choice): it is extrapolated as
    the gradient is, and takes `lr · weight_decay` a step as ever.
    """

    def __init__(
        self,
        parameters: Iterable[tuple[str, nn.Parameter]],
        spec: OptimizerSpec,
        loss_scale: LossScale | None = None,
    ):
        """
        Args:
            parameters: names (for checkpoints) and parameters.
            spec: AdamW's settings.
            loss_scale: what the loss is multiplied by before backward; None is 1.

        Raises:
            ValueError: there is nothing to train.
        """
        self.parameters = dict(parameters)
        if not self.parameters:
            raise ValueError("nothing to train: no parameter carries a gradient")
        matrices = [p for p in self.parameters.values() if p.dim() > 1]
        vectors = [p for p in self.parameters.values() if p.dim() <= 1]
        self._adamw = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": spec.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=0.0,
            betas=(spec.beta1, spec.beta2),
            eps=spec.eps,
            fused=True,
        )
        # Before the first step: a device too small for the moments is found while loading.
        for parameter in self.parameters.values():
            self._adamw.state[parameter] = _fresh_moments(parameter, spec.optimistic)
        self._optimistic = spec.optimistic
        self.loss_scale = loss_scale

    @property
    def size(self) -> int:
        """Numbers that it moves."""
        return sum(parameter.numel() for parameter in self.parameters.values())

    @property
    def temporary_bytes(self) -> int:
        """Bytes of temporary memory that an update takes.

        If it is optimistic: the weights before it, their change and a difference.
        """
        weights = sum(parameter.nbytes for parameter in self.parameters.values())
        return 3 * weights if self._optimistic else 0

    def step(self, *, lr: float, clip_norm: float = 0.0, floor: Tensor | None = None) -> dict[str, Tensor]:
        """One update from the accumulated gradients, which are then dropped, also where it fails.

        Args:
            lr: learning rate of this step.
            clip_norm: largest global 2-norm of the gradient; 0 is off.
            floor: device scalar; a gradient of a smaller norm leaves everything as it was, too: AdamW would
                make a whole step of its rounding errors.

        Returns:
            Device scalars: `gradient_norm` before clipping, and `skipped`, 1 where it was not finite, else 0;
            with a floor `applied`, 1 where weights moved; with a loss scale `loss_scale`, that of this step.
        """
        try:
            return self._update(lr, clip_norm, floor)
        finally:
            self.discard_gradients()

    def _update(self, lr: float, clip_norm: float, floor: Tensor | None) -> dict[str, Tensor]:
        parameters = [p for p in self.parameters.values() if p.grad is not None]
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.loss_scale is not None:
            self.loss_scale.unscale(gradients)
        device = next(iter(self.parameters.values())).device
        # Without any gradient it would lie on the host.
        norm = get_total_norm(gradients).to(device)
        if clip_norm > 0.0:
            clip_grads_with_norm_(parameters, clip_norm, norm)
        skipped = (~torch.isfinite(norm)).to(torch.float32)
        held = skipped if floor is None else torch.maximum(skipped, (norm < floor).to(torch.float32))
        for group in self._adamw.param_groups:
            group["lr"] = lr
        self._adamw.found_inf = held  # type: ignore[attr-defined]
        before = [p.detach().clone() for p in parameters] if self._optimistic else []
        self._adamw.step()
        if before:
            self._extrapolate([*parameters], before, 1.0 - held)
        applied = {} if floor is None else {"applied": 1.0 - held}
        return {"gradient_norm": norm, "skipped": skipped, **applied, **self._rescale(skipped)}

    def _rescale(self, skipped: Tensor) -> dict[str, Tensor]:
        if self.loss_scale is None:
            return {}
        used = self.loss_scale.value
        self.loss_scale.update(skipped)
        return {"loss_scale": used}

    @torch.no_grad()
    def _extrapolate(self, weights: list[Tensor], before: list[Tensor], applied: Tensor) -> None:
        """From `before + u_t` to `before + 2·u_t − u_{t−1}`; nothing moves where `applied` is 0."""
        last: list[Tensor] = [self._adamw.state[weight][_UPDATE] for weight in weights]
        # u_t − u_{t−1} is what both the weights and the kept update have to be moved by.
        change = torch._foreach_sub(torch._foreach_sub(weights, before), last)
        torch._foreach_mul_(change, applied)
        torch._foreach_add_(weights, change)
        torch._foreach_add_(last, change)

    def discard_gradients(self) -> None:
        """Drops what was accumulated."""
        self._adamw.zero_grad(set_to_none=True)

    def state_tensors(self) -> dict[str, Tensor]:
        """Each parameter's `NAME.exp_avg`, `NAME.exp_avg_sq`, `NAME.step`; zeros before its first step.

        Optimistic also `NAME.update`, the last `u_t`; and the loss scale's own, where there is one.
        """
        moments = {
            f"{name}.{key}": moment
            for name, parameter in self.parameters.items()
            for key, moment in self._adamw.state[parameter].items()
        }
        return moments | ({} if self.loss_scale is None else self.loss_scale.state_tensors())

    def check_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Whether `load_state_tensors` would take them.

        Raises:
            ValueError: names or shapes that are not this optimizer's.
        """
        own = self.state_tensors()
        names = {key.rpartition(".")[0] for key in tensors}
        expected = {key for key in own if key.rpartition(".")[0] in names}
        wrong = sorted(expected ^ set(tensors))
        wrong += [key for key in sorted(expected & set(tensors)) if tensors[key].shape != own[key].shape]
        if wrong:
            raise ValueError(f"an optimizer's moments do not fit what it trains: {', '.join(wrong[:5])}")

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrites the state with what `state_tensors` gave; nothing is changed if it does not fit.

        Parameters that `tensors` does not name begin anew.

        Raises:
            ValueError: names or shapes that are not this optimizer's.
        """
        self.check_state_tensors(tensors)
        for key, moment in self.state_tensors().items():
            if key in tensors:
                moment.copy_(tensors[key])
            else:
                moment.zero_()
        if self.loss_scale is not None and not self.loss_scale.state_tensors().keys() & tensors.keys():
            self.loss_scale.reset()


def _fresh_moments(parameter: nn.Parameter, optimistic: bool) -> dict[str, Tensor]:
    """What AdamW would make in its first step, and the update before it."""
    moments = {
        "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
        "exp_avg": torch.zeros_like(parameter, requires_grad=False),
        "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
    }
    return moments | ({_UPDATE: torch.zeros_like(parameter, requires_grad=False)} if optimistic else {})
