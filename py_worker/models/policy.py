"""A language model as a policy: last hidden states at response positions, and an output head.

It offers what a loss needs and nothing of how the model is built: `DecoderPolicy` and `EncoderDecoderPolicy`
fit behind it.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from py_worker.data.batch import TokenBatch, collate
from py_worker.data.chat import turn_end
from py_worker.data.row import Row
from py_worker.models.errors import ModelError, UnsupportedModelError
from py_worker.models.head import OutputHead
from py_worker.models.lora import adapter_parameters
from py_worker.models.placement import HostWeights, Move, MoveAll, copier_to, pinned
from py_worker.models.recompute import recompute_layers
from py_worker.models.vocabulary import usable_tokens


class Policy(ABC):
    """Teacher or student.

    The module stays in evaluation mode, also in training: dropout draws from the global random state and
    makes the result depend on micro-batches, so it is off everywhere (our choice). That of adapters is on
    where `adapter_dropout` says so.

    Attributes:
        name: its source, for messages.
        module: the language model.
        tokenizer: its tokenizer.
        head: the output head over the shared vocabulary.
        base: source that holds exactly the module's weights, adapters aside; None where none does.
        eos_ids: tokens that end a response; the first is the one that data ends with, but for chats whose
            template has another.
        pad_id: fills batches; may be an EOS id.
        has_encoder: prompts are read by an encoder, apart from responses.
    """

    has_encoder: ClassVar[bool]

    def __init__(
        self,
        module: Any,
        tokenizer: Any,
        *,
        name: str,
        compute_dtype: torch.dtype | None = None,
        base: str | None = None,
    ):
        """Wraps a Hugging Face language model and its tokenizer.

        Raises:
            UnsupportedModelError: an architecture of another kind, or a head that `OutputHead` does not
                reproduce.
            ModelError: the tokenizer has no EOS token, or ids beyond the embedding table that were not added;
                or weights or logits are not finite.
        """
        if module.config.is_encoder_decoder != self.has_encoder:
            kind = type(module).__name__
            raise UnsupportedModelError(f"{name}: {kind} is not what a {type(self).__name__} is made of")
        self.name = name
        self.base = base
        self.module = module.eval()
        self.tokenizer = tokenizer
        self.compute_dtype = compute_dtype
        self._host: HostWeights | None = None
        self.eos_ids = _eos_ids(module, tokenizer, name)
        rows = module.get_input_embeddings().weight.shape[0]
        self._tokens = usable_tokens(tokenizer, rows, name)
        pad_id = tokenizer.pad_token_id
        self.pad_id: int = self.eos_ids[0] if pad_id is None or pad_id >= rows else pad_id
        self.head = OutputHead.of(module, self._tokens, name)
        self._check_head()

    @property
    def vocab_size(self) -> int:
        """`V`: tokens of the shared vocabulary."""
        return self.head.vocab_size

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.head.weight.dtype

    @property
    def hidden_size(self) -> int:
        """`H`: size of the last hidden states."""
        return int(self.head.weight.shape[1])

    @property
    @abstractmethod
    def max_positions(self) -> int | None:
        """Longest sequence in tokens, or None where the model names none."""

    @property
    def decoder_start(self) -> dict[str, int]:
        """`decoder_start_token_id` of an encoder-decoder, as generation settings have it."""
        return {}

    def limit_vocabulary(self, size: int) -> None:
        """Cuts the head to the first `size` tokens (the part shared with another policy)."""
        self.head.vocab_size = min(size, self.head.vocab_size)

    def restore_vocabulary(self) -> None:
        """Gives the head back all tokens that it had before any was cut off."""
        self.head.vocab_size = self._tokens

    def freeze(self) -> None:
        """No gradients: a teacher."""
        self.module.requires_grad_(False)

    def offload(self, to_host: MoveAll = pinned, to_device: Move | None = None) -> None:
        """Keeps the weights of a frozen policy in host memory, and on the device while it is `resident`.

        Its own passes and generation see to that. The head stays on the device, with the embedding where they
        are tied: losses and critics read its weight a chunk at a time, outside of any pass.
        """
        keep = [t for t in (self.head.weight, self.head.bias) if t is not None]
        to_device = copier_to(self.device) if to_device is None else to_device
        self._host = HostWeights(self.module, keep, to_host=to_host, to_device=to_device)

    @property
    def is_offloaded(self) -> bool:
        """Whether its weights come to the device only while it is `resident`."""
        return self._host is not None

    def resident(self) -> contextlib.AbstractContextManager[None]:
        """Within, all weights are on the device; around several passes it spares copying them each time."""
        return contextlib.nullcontext() if self._host is None else self._host.resident()

    def checkpoint_activations(self) -> None:
        """Recomputes each layer's activations in backward.

        Raises:
            UnsupportedModelError: the architecture cannot.
        """
        recompute_layers(self.module, self.name)

    @abstractmethod
    def require_packing(self) -> None:
        """Checks, once, that the model keeps rows apart that are laid end to end.

        Raises:
            UnsupportedModelError: it does not.
        """

    @property
    def adapters(self) -> dict[str, Tensor]:
        """Matrices of the adapters that are trained in place of the weights, by name; none is the usual."""
        return adapter_parameters(self.module)

    def trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Named parameters that carry a gradient, each once (tied weights under their first name)."""
        return ((name, p) for name, p in self.module.named_parameters() if p.requires_grad)

    def collate(self, rows: Sequence[Row], *, packed: bool = False) -> TokenBatch:
        """One micro-batch, as this policy takes it."""
        return collate(rows, pad_id=self.pad_id, device=self.device, packed=packed, apart=self.has_encoder)

    @abstractmethod
    def response_hidden(self, batch: TokenBatch) -> Tensor:
        """Last hidden states `[N, H]` at `batch.positions()`, with a graph where gradients are enabled.

        Raises:
            ModelError: a row is over the model's longest sequence.
            UnsupportedModelError: packed rows, which the model cannot take.
        """

    def logits(self, hidden: Tensor) -> Tensor:
        """`head.logits` under the policy's compute dtype."""
        with self._autocast():
            return self.head.logits(hidden)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.compute_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.compute_dtype)

    @abstractmethod
    def _probe(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The module's own logits `[B, T, V_rows]` of tokens `[B, T]`, and the hidden states behind them."""

    @torch.no_grad()
    def _check_head(self) -> None:
        """Compares with the module's own logits: an unknown scale or cap is refused, not ignored."""
        tokens = torch.arange(min(8, self.vocab_size), device=self.device)[None]
        own, hidden = self._probe(tokens)
        expected, found = own[..., : self.vocab_size].float(), self.head.logits(hidden).float()
        self._require_finite(expected)
        # bfloat16 keeps 8 bits and the two computations round differently; a missing scale is far beyond.
        tolerance = 1e-3 if self.dtype in (torch.float32, torch.float64) else 3e-2
        difference = float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-3))
        if not difference <= tolerance:
            raise UnsupportedModelError(
                f"{self.name}: {type(self.module).__name__} computes its logits in a way that is not "
                f"supported (its own and ours differ by {difference:.2g} of their size)"
            )

    def _require_finite(self, logits: Tensor) -> None:
        """Nothing can be compared with, or learned from, what is nan or infinite.

        Raises:
            ModelError: some logits are not finite.
        """
        if bool(logits.isfinite().all()):
            return
        broken = [name for name, weight in self.module.named_parameters() if not weight.isfinite().all()]
        if broken:
            raise ModelError(
                f"{self.name}: its weights are not finite: {broken[0]} has nan or infinite values "
                f"({len(broken)} such); download or export the model again, or take an earlier checkpoint"
            )
        dtype = str(self.dtype).removeprefix("torch.")
        raise ModelError(
            f"{self.name}: its logits are not finite in {dtype}, though its weights are; set its dtype to "
            "float32, or take other weights"
        )


def _eos_ids(module: Any, tokenizer: Any, name: str) -> tuple[int, ...]:
    """The tokenizer's EOS first, then those of the model's generation settings and of its chat template."""
    configured = getattr(module.generation_config, "eos_token_id", None)
    extra = configured if isinstance(configured, list | tuple) else [configured]
    ids = [i for i in (tokenizer.eos_token_id, *extra, turn_end(tokenizer)) if i is not None]
    if not ids:
        raise ModelError(
            f"{name}: neither tokenizer nor model names an EOS token; set eos_token in the tokenizer"
        )
    return tuple(dict.fromkeys(int(i) for i in ids))
