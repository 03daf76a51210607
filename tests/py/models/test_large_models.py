"""The models that the large runs name, built without weights: their sizes are those that the tables speak of.

Configurations are written out here as they are published, since nothing is downloaded.
"""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from py_worker.models.lora import add_adapters
from py_worker.models.spec import LoraSpec

GPT2 = {"vocab_size": 50_257, "n_positions": 1_024, "activation_function": "gelu_new"}
LLAMA = {"vocab_size": 32_000, "max_position_embeddings": 2_048, "rms_norm_eps": 1e-6, "hidden_act": "silu"}

MODELS: dict[str, tuple[PretrainedConfig, int]] = {
    "openai-community/gpt2": (
        AutoConfig.for_model("gpt2", n_embd=768, n_layer=12, n_head=12, **GPT2),
        124_439_808,
    ),
    "openai-community/gpt2-medium": (
        AutoConfig.for_model("gpt2", n_embd=1_024, n_layer=24, n_head=16, **GPT2),
        354_823_168,
    ),
    "openai-community/gpt2-large": (
        AutoConfig.for_model("gpt2", n_embd=1_280, n_layer=36, n_head=20, **GPT2),
        774_030_080,
    ),
    "openai-community/gpt2-xl": (
        AutoConfig.for_model("gpt2", n_embd=1_600, n_layer=48, n_head=25, **GPT2),
        1_557_611_200,
    ),
    "openlm-research/open_llama_3b_v2": (
        AutoConfig.for_model(
            "llama",
            hidden_size=3_200,
            intermediate_size=8_640,
            num_hidden_layers=26,
            num_attention_heads=32,
            tie_word_embeddings=False,
            **LLAMA,
        ),
        3_426_473_600,
    ),
    "openlm-research/open_llama_7b_v2": (
        AutoConfig.for_model(
            "llama",
            hidden_size=4_096,
            intermediate_size=11_008,
            num_hidden_layers=32,
            num_attention_heads=32,
            tie_word_embeddings=False,
            **LLAMA,
        ),
        6_738_415_616,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_parameters(name: str) -> None:
    config, expected = MODELS[name]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


@pytest.mark.parametrize(
    ("name", "layers", "hidden"),
    [("openlm-research/open_llama_3b_v2", 26, 3_200), ("openlm-research/open_llama_7b_v2", 32, 4_096)],
)
def test_adapters_of_rank_16_on_queries_and_values(name: str, layers: int, hidden: int) -> None:
    """Two matrices of `[16, hidden]` for each of two projections of each layer; nothing else is trained."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(MODELS[name][0])
        add_adapters(model, LoraSpec(rank=16, alpha=64, dropout=0.1, targets=("q_proj", "v_proj")), name)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert trained == layers * 2 * 2 * 16 * hidden
