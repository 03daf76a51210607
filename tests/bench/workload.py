"""Models, tokenizer and prompts of one size, in a folder that both sides of a comparison load.

Weights are random by seed: time and memory go by sizes. Every row has a prompt and a response of one length,
so that a batch has no padding and a step's tokens are known.
"""

import json
import random
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROWS = 512
END, PAD, UNKNOWN = "<end>", "<pad>", "<unk>"
SPECIAL = (END, PAD, UNKNOWN)


@dataclass(frozen=True)
class Shape:
    """A Llama model but for its vocabulary; names as in its configuration."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    tied: bool = False

    def parameters(self, vocab: int) -> int:
        """Count, the norms' included."""
        head = self.hidden // self.heads
        attention = 2 * self.hidden**2 + 2 * self.hidden * head * self.kv_heads
        layer = attention + 3 * self.hidden * self.intermediate + 2 * self.hidden
        return self.layers * layer + self.hidden + (1 if self.tied else 2) * vocab * self.hidden


@dataclass(frozen=True)
class Workload:
    """One step: `batch` rows, each a prompt and as many new tokens as are asked for."""

    student: Shape
    teacher: Shape
    vocab: int
    batch: int
    prompt: int
    new_tokens: int

    def scaled(self, **changes: int | None) -> "Workload":
        """With other numbers of this step; None leaves one as it is."""
        given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
        return replace(self, **given)


WORKLOADS = {
    # 6.3 M and 37.8 M parameters.
    "tiny": Workload(Shape(256, 4, 4, 4, 1024), Shape(512, 8, 8, 8, 2048), 4096, 8, 64, 64),
    # For tests.
    "micro": Workload(Shape(32, 1, 2, 2, 64), Shape(48, 2, 2, 2, 96), 64, 2, 8, 4),
    # SmolLM2-135M, and every third of its layers.
    "smollm2": Workload(
        Shape(576, 10, 9, 3, 1536, tied=True), Shape(576, 30, 9, 3, 1536, tied=True), 49_152, 4, 64, 64
    ),
}


@dataclass(frozen=True)
class Place:
    """Where a workload's files are."""

    folder: Path

    @property
    def student(self) -> Path:
        return self.folder / "student"

    @property
    def teacher(self) -> Path:
        return self.folder / "teacher"

    @property
    def data(self) -> Path:
        return self.folder / "data.jsonl"


def prepare(workload: Workload, folder: Path) -> Place:
    """Writes models, tokenizer and rows anew."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    place = Place(folder)
    tokenizer = _tokenizer(workload.vocab)
    for seed, (path, shape) in enumerate(
        ((place.student, workload.student), (place.teacher, workload.teacher))
    ):
        _model(shape, workload, tokenizer, seed).save_pretrained(path)
        tokenizer.save_pretrained(path)
    with place.data.open("w") as file:
        for row in _rows(workload):
            file.write(json.dumps(row) + "\n")
    return place


def _tokenizer(vocab: int) -> Any:
    """One token a word: `w3`, `w4`, ..."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = [*SPECIAL, *(f"w{index}" for index in range(len(SPECIAL), vocab))]
    backend = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token=UNKNOWN))
    backend.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=END, pad_token=PAD, unk_token=UNKNOWN)


def _model(shape: Shape, workload: Workload, tokenizer: Any, seed: int) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=workload.vocab,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=max(2048, workload.prompt + workload.new_tokens),
        tie_word_embeddings=shape.tied,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def _rows(workload: Workload) -> list[dict[str, str]]:
    """The response's last token is the end, which a tokenized row has by itself."""
    draw = random.Random(0)

    def words(count: int) -> str:
        return " ".join(f"w{draw.randrange(len(SPECIAL), workload.vocab)}" for _ in range(count))

    return [
        {"instruction": words(workload.prompt), "output": words(workload.new_tokens - 1)} for _ in range(ROWS)
    ]
