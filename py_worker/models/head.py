"""From last hidden states to logits, apart from the body: a loss can take positions chunk by chunk."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from py_worker.models.errors import UnsupportedModelError


@dataclass
class OutputHead:
    """`soft_cap · tanh((scale · h Wᵀ + b) / soft_cap)`, cut to the first `vocab_size` tokens.

    Attributes:
        weight: [V_rows, H], the model's own parameter (shared with the embedding where they are tied).
        bias: [V_rows] or None.
        vocab_size: `V`, the rows that mean a token; embedding tables are often padded beyond.
        scale: factor of the projection (T5's d_model^−½ for tied embeddings, Cohere, Granite, Falcon-H1).
        soft_cap: Gemma 2's bound of the logits, or None.
    """

    weight: Tensor
    bias: Tensor | None
    vocab_size: int
    scale: float = 1.0
    soft_cap: float | None = None

    @property
    def rows(self) -> Tensor:
        """[V, H], the rows of the weight that mean a token."""
        return self.weight[: self.vocab_size] if self.vocab_size < self.weight.shape[0] else self.weight

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits `[..., V]` of hidden states `[..., H]`, in float32 (float64 for a float64 model)."""
        return self.finish(F.linear(hidden.to(self.weight.dtype), self.rows))

    def finish(self, projected: Tensor) -> Tensor:
        """Logits of projections `h Wᵀ` `[..., V]`; not a copy where there is nothing to do."""
        logits = projected.to(torch.promote_types(projected.dtype, torch.float32))
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.bias is not None:
            logits = logits + self.bias[: self.vocab_size]
        if self.soft_cap is not None:
            logits = self.soft_cap * torch.tanh(logits / self.soft_cap)
        return logits

    def uncap_(self, gradient: Tensor, logits: Tensor) -> None:
        """Takes a gradient in the logits `[..., V]` back through the soft-cap, in place.

        d/dx of cap·tanh(x/cap) is 1 − tanh².
        """
        if self.soft_cap is not None:
            gradient.mul_(1.0 - (logits / self.soft_cap).square())

    @staticmethod
    def of(module: Any, vocab_size: int, name: str) -> "OutputHead":
        """The head of a Hugging Face language model.

        Raises:
            UnsupportedModelError: the output layer is no plain linear map, or is scaled and biased at once.
        """
        layer = module.get_output_embeddings()
        if type(layer) is not nn.Linear:
            kind = type(layer).__name__
            raise UnsupportedModelError(
                f"{name}: an output layer of type {kind} is not supported (nn.Linear is)"
            )
        config = module.config.get_text_config()
        scale = _logit_scale(config)
        if layer.bias is not None and scale != 1.0:
            raise UnsupportedModelError(
                f"{name}: an output layer with both a bias and a scale is not supported"
            )
        soft_cap = getattr(config, "final_logit_softcapping", None)
        return OutputHead(layer.weight, layer.bias, vocab_size, scale, float(soft_cap) if soft_cap else None)


def _logit_scale(config: Any) -> float:
    """The factors that architectures put between projection and logits, under the names they have there."""
    scale = 1.0
    for multiplier in ("logit_scale", "lm_head_multiplier"):
        scale *= float(getattr(config, multiplier, None) or 1.0)
    scale /= float(getattr(config, "logits_scaling", None) or 1.0)
    if getattr(config, "scale_decoder_outputs", False):
        scale *= float(config.d_model) ** -0.5
    return scale
