"""A tiny Llama and ragged prompts, shared by the tests of generation."""

import numpy as np
import pytest
from transformers import LlamaForCausalLM

from tests.py.rollout.doubles import VOCAB, ModulePolicy, llama_config, seeded


@pytest.fixture(scope="session")
def llama() -> ModulePolicy:
    return ModulePolicy(seeded(lambda: LlamaForCausalLM(llama_config(tie_word_embeddings=True))))


@pytest.fixture(scope="session")
def prompts() -> list[np.ndarray]:
    """Ragged: 1 to 13 tokens."""
    generator = np.random.default_rng(3)
    lengths = (5, 1, 13, 2, 8, 8, 3, 11, 6, 4, 12, 7)
    return [generator.integers(3, VOCAB, n).astype(np.int32) for n in lengths]
