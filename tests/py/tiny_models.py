"""Tiny models and batches for tests: a 13-token tokenizer and Llamas of a few thousand weights."""

import dataclasses
from collections.abc import Sequence

import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast

from py_worker.data.batch import TokenBatch, collate
from py_worker.models.decoder import DecoderPolicy
from py_worker.models.loading.builtin import builtin_model
from py_worker.models.policy import Policy
from py_worker.models.spec import ArchSpec
from tests.py.rows import rows_of

EOS = 1
PAD = 1  # the pad id is the EOS id, as in many released tokenizers


def tiny_tokenizer(words: Sequence[str] = tuple("abcdefghijk")) -> PreTrainedTokenizerFast:
    vocabulary = {word: index for index, word in enumerate(["<unk>", "<eos>", *words])}
    backend = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", eos_token="<eos>", pad_token="<eos>"
    )


def tiny_policy(
    seed: int = 0,
    *,
    hidden: int = 16,
    layers: int = 2,
    dtype: torch.dtype = torch.float32,
    tie: bool = True,
    spread: float = 8.0,
    padded_rows: int = 0,
) -> Policy:
    """A Llama with random weights; `spread` widens its outputs (fresh ones are nearly uniform)."""
    arch = ArchSpec(hidden, layers, 2, 1, 2 * hidden, 64, tie)
    module = builtin_model("builtin:llama", arch, tiny_tokenizer(), seed, dtype)
    with torch.no_grad():
        module.lm_head.weight.mul_(spread)
    if padded_rows:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module.resize_token_embeddings(module.config.vocab_size + padded_rows)
    return DecoderPolicy(module, tiny_tokenizer(), name=f"tiny-{seed}")


def tiny_rows(seed: int = 0, count: int = 5) -> tuple[list[list[int]], list[int]]:
    """Ragged rows and their prompt lengths; every second response ends with EOS."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int, size: int = 1) -> list[int]:
        return torch.randint(low, high, (size,), generator=generator).tolist()

    rows, prompts = [], []
    for index in range(count):
        prompt, response = draw(2, 13, draw(1, 5)[0]), draw(2, 13, draw(1, 7)[0])
        rows.append(prompt + response + ([EOS] if index % 2 == 0 else []))
        prompts.append(len(prompt))
    return rows, prompts


def cut(batch: TokenBatch, micro_batch: int) -> TokenBatch:
    """The batch in micro-batches of `micro_batch` neighbouring rows; 0 is all of them together."""
    if not 0 < micro_batch < len(batch):
        return batch
    whole, rest = divmod(len(batch), micro_batch)
    return dataclasses.replace(batch, micro_rows=(micro_batch,) * whole + (rest,) * (rest > 0))


def tiny_batch(seed: int = 0, parts: Sequence[str] = ("off", "off", "on", "on", "off")) -> TokenBatch:
    rows, prompts = tiny_rows(seed, len(parts))
    return collate(rows_of(rows, prompts, parts), pad_id=PAD, device="cpu")
