"""Layers that differ by more than their weights: what they were stays theirs, or they are refused."""

import copy

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoConfig,
    Llama4TextConfig,
    MambaConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3MoeConfig,
    SmolLM3Config,
)

from py_worker.models.errors import UnsupportedModelError
from py_worker.models.loading.layers import keep_layers

torch.set_num_threads(1)

SIZE = {"vocab_size": 13, "hidden_size": 16, "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 1}
SHAPE = SIZE | {"num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
QWEN = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "num_key_value_heads": 1}
LLAMA4 = {"num_local_experts": 2, "num_key_value_heads": 1, "head_dim": 8, "intermediate_size_mlp": 32}
CONFIGS = {
    "smollm3": SmolLM3Config(**SHAPE, num_key_value_heads=1, no_rope_layers=[1, 0, 1, 0]),
    "gpt_neo": GPTNeoConfig(
        **SIZE, num_layers=4, num_heads=2, attention_types=[[["global", "local"], 2]], window_size=3
    ),
    "llama4": Llama4TextConfig(**SHAPE, **LLAMA4, moe_layers=[0, 1, 2, 3], no_rope_layers=[1, 0, 1, 0]),
    "mamba": MambaConfig(**SIZE, num_hidden_layers=4, state_size=4),
    "qwen3_moe": Qwen3MoeConfig(**SHAPE, **QWEN, mlp_only_layers=[0]),
    "gpt2": GPT2Config(
        vocab_size=13, n_embd=16, n_layer=4, n_head=2, n_positions=32, scale_attn_by_inverse_layer_idx=True
    ),
}
LISTS = {
    "smollm3": "model.layers",
    "gpt_neo": "transformer.h",
    "llama4": "model.layers",
    "mamba": "backbone.layers",
}
TOKENS = torch.tensor([[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]])


def model_of(config: PretrainedConfig) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = AutoModelForCausalLM.from_config(copy.deepcopy(config)).eval()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return module


@torch.no_grad()
def logits(module: PreTrainedModel) -> Tensor:
    return module.eval()(input_ids=TOKENS, use_cache=False).logits


@pytest.mark.parametrize("layers", [[0, 2], [1, 3], [3, 0, 1]])
@pytest.mark.parametrize("name", sorted(LISTS))
def test_layers_compute_what_they_did(tmp_path, name, layers):
    module = model_of(CONFIGS[name])
    small = keep_layers(module, layers, name)
    blocks = module.get_submodule(LISTS[name])
    module.set_submodule(LISTS[name], torch.nn.ModuleList(blocks[index] for index in layers))
    module.config.num_hidden_layers = len(layers)
    torch.testing.assert_close(logits(small), logits(module))
    small.save_pretrained(tmp_path)
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path)), logits(small))


@pytest.mark.parametrize(
    ("name", "layers", "reason"),
    [
        ("qwen3_moe", [1, 3], r"Missing key.*model.layers.0.mlp"),
        ("gpt2", [0, 2], r"layer 2 has attn.scaling .* where it would be layer 1"),
    ],
)
def test_layers_that_would_be_others_at_their_new_place_are_refused(name, layers, reason):
    with pytest.raises(
        UnsupportedModelError, match=f"{name}: .* cannot be built from layers .*{reason}.*choose"
    ):
        keep_layers(model_of(CONFIGS[name]), layers, name)
