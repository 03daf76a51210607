"""An encoder-decoder as a policy: the encoder reads the prompt, the decoder writes the response."""

from typing import Any, Final

import torch
from torch import Tensor
from transformers import MT5ForConditionalGeneration, T5ForConditionalGeneration

from py_worker.data.batch import TokenBatch
from py_worker.data.sides import sides
from py_worker.models.errors import ModelError, UnsupportedModelError
from py_worker.models.policy import Policy

FAMILIES: Final = {"t5": T5ForConditionalGeneration, "mt5": MT5ForConditionalGeneration}
"""By their name in configurations. Others are refused: BART's responses begin with a token of their own, and
its logits have a bias that belongs to no layer."""


class EncoderDecoderPolicy(Policy):
    """A policy whose states are the decoder's, after it has seen all of the encoder's.

    The state before the first response token is behind the decoder's start token. Positions are relative, so
    that no length is too long, and prompts padded on the right are masked.
    """

    has_encoder = True

    def __init__(self, module: Any, tokenizer: Any, **options: Any):
        """See `Policy`.

        Raises:
            UnsupportedModelError: an encoder-decoder of another family, or see `Policy`.
            ModelError: the model names no token that its decoder starts with, or see `Policy`.
        """
        name = options["name"]
        if type(module) not in FAMILIES.values():
            raise UnsupportedModelError(
                f"{name}: encoder-decoders of type {type(module).__name__} are not supported (T5 and mT5 are)"
            )
        settings = (module.config, module.generation_config)
        known = (getattr(each, "decoder_start_token_id", None) for each in settings)
        start_id = next((found for found in known if found is not None), None)
        if start_id is None:
            raise ModelError(f"{name}: set decoder_start_token_id in its config.json (T5's is its pad token)")
        # Engines read it there.
        module.config.decoder_start_token_id = self._start_id = int(start_id)
        super().__init__(module, tokenizer, **options)

    @property
    def max_positions(self) -> int | None:
        """None: positions are relative."""
        return None

    @property
    def decoder_start(self) -> dict[str, int]:
        """See `Policy`."""
        return {"decoder_start_token_id": self._start_id}

    def require_packing(self) -> None:
        """Refuses.

        Raises:
            UnsupportedModelError: always.
        """
        raise UnsupportedModelError(
            f"{self.name}: {type(self.module).__name__} cannot take packed rows, for its encoder reads "
            "prompts apart from responses; set training.packing to false"
        )

    def response_hidden(self, batch: TokenBatch) -> Tensor:
        """See `Policy`."""
        if batch.packed:
            self.require_packing()
        given = sides(batch, self._start_id)
        with self.resident(), self._autocast():
            hidden = self._forward(given.prompts, given.prompt_mask, given.responses)
        positions = batch.positions()
        return hidden.flatten(0, 1).index_select(0, positions.row * hidden.shape[1] + positions.step)

    def _forward(self, prompts: Tensor, prompt_mask: Tensor, responses: Tensor) -> Tensor:
        """[B, R, H] of prompts `[B, P]` and what the decoder has seen `[B, R]`.

        The decoder needs no mask of its own, since it never sees the padding to its right.
        """
        states, mask = encode(self.module, prompts, prompt_mask)
        hidden: Tensor = self.module.get_decoder()(
            input_ids=responses,
            encoder_hidden_states=states,
            encoder_attention_mask=mask,
            use_cache=False,
        ).last_hidden_state
        return hidden

    def _probe(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.module(input_ids=tokens, decoder_input_ids=tokens, use_cache=False).logits
        return logits, self._forward(tokens, torch.ones_like(tokens, dtype=torch.bool), tokens)


def encode(module: Any, prompts: Tensor, prompt_mask: Tensor) -> tuple[Tensor, Tensor]:
    """What the encoder makes of prompts, and the mask that goes with it to the decoder.

    Args:
        module: an encoder-decoder of transformers.
        prompts: [B, P] int64.
        prompt_mask: [B, P] bool, true at the tokens of each prompt.

    Returns:
        [B, P, H], meaningless at padding, and [B, 1, 1, P], 0 or -inf. In four dimensions it is added as it
        is; of one in two the library would ask the device whether it masks anything.
    """
    mask = torch.zeros(prompt_mask.shape, dtype=module.dtype, device=prompts.device)
    mask = mask.masked_fill_(~prompt_mask, float("-inf"))[:, None, None, :]
    return module.get_encoder()(input_ids=prompts, attention_mask=mask).last_hidden_state, mask
