"""A decoder alone as a policy: prompt and response are one sequence."""

from typing import Any

from torch import Tensor

from py_worker.data.batch import TokenBatch
from py_worker.data.packing import PackedRows, pack
from py_worker.models.errors import ModelError
from py_worker.models.packing import packed_inputs, sequences
from py_worker.models.packing_check import check_packing
from py_worker.models.policy import Policy


class DecoderPolicy(Policy):
    """A policy around a causal language model.

    Attributes:
        body: the module without its head.
    """

    has_encoder = False

    def __init__(self, module: Any, tokenizer: Any, **options: Any):
        """See `Policy`."""
        self.body: Any = module.base_model
        self._packs = False
        super().__init__(module, tokenizer, **options)

    @property
    def max_positions(self) -> int | None:
        """See `Policy`."""
        limit = getattr(self.module.config.get_text_config(), "max_position_embeddings", None)
        return None if limit is None else int(limit)

    def require_packing(self) -> None:
        """See `Policy`."""
        if not self._packs:
            check_packing(self)
            self._packs = True

    def forward_hidden(self, tokens: Tensor) -> Tensor:
        """Last hidden states `[B, T, H]` of right-padded `tokens [B, T]`.

        No attention mask: under causal attention a position never sees the padding to its right.

        Raises:
            ModelError: `T` is over the model's longest sequence.
        """
        self._require_length(tokens.shape[1])
        with self.resident(), self._autocast(), sequences(None):
            hidden: Tensor = self.body(input_ids=tokens, use_cache=False).last_hidden_state
        return hidden

    def forward_packed(self, rows: PackedRows) -> Tensor:
        """Last hidden states `[N, H]` of rows laid end to end; `check_packing` tells whether they are right.

        Raises:
            ModelError: a row is over the model's longest sequence.
        """
        self._require_length(rows.longest)
        inputs = packed_inputs(rows, self.module.config.get_text_config()._attn_implementation)
        with self.resident(), self._autocast(), sequences(rows.row):
            hidden: Tensor = self.body(**inputs, use_cache=False).last_hidden_state
        return hidden[0]

    def response_hidden(self, batch: TokenBatch) -> Tensor:
        """See `Policy`."""
        if batch.packed:
            rows = pack(batch)
            return self.forward_packed(rows).index_select(0, rows.response)
        positions = batch.positions()
        hidden = self.forward_hidden(batch.tokens)
        index = positions.row * hidden.shape[1] + positions.time
        return hidden.flatten(0, 1).index_select(0, index)

    def _require_length(self, length: int) -> None:
        if self.max_positions is not None and length > self.max_positions:
            raise ModelError(
                f"{self.name}: a sequence of {length} tokens is over the model's limit of "
                f"{self.max_positions}; lower the prompt and response limits"
            )

    def _probe(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.module(input_ids=tokens, use_cache=False).logits
        return logits, self.body(input_ids=tokens, use_cache=False).last_hidden_state
