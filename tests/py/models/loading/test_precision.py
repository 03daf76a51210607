"""A model in another dtype computes what the library would, had it read the model in that dtype."""

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPTJConfig,
    LlamaConfig,
    PretrainedConfig,
    XGLMConfig,
)

from py_worker.models.loading.layers import keep_layers
from py_worker.models.loading.load import load_policy
from py_worker.models.loading.precision import cast
from py_worker.models.saving import save_policy
from py_worker.models.spec import ArchSpec, ModelSpec

torch.set_num_threads(1)

SIZE = {"vocab_size": 13, "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 1}
SHAPE = SIZE | {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
CONFIGS: dict[str, PretrainedConfig] = {
    "gemma3": Gemma3TextConfig(**SHAPE, num_key_value_heads=1, head_dim=8),
    "gptj": GPTJConfig(**SIZE, n_embd=16, n_layer=2, n_head=2, rotary_dim=4, n_positions=64),
    "llama": LlamaConfig(**SHAPE),
    "xglm": XGLMConfig(**SIZE, d_model=16, num_layers=2, attention_heads=2, ffn_dim=32),
}
TOKENS = torch.arange(40)[None] % 13


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_a_cast_model_is_the_one_that_is_read(tmp_path, name, dtype):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = AutoModelForCausalLM.from_config(CONFIGS[name]).eval()
    module.save_pretrained(tmp_path)
    expected = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=dtype)
    for found in (cast(module, dtype), keep_layers(expected, [0, 1], name).eval()):
        buffers = dict(found.named_buffers())
        assert {key: value.dtype for key, value in buffers.items()} == {
            key: value.dtype for key, value in expected.named_buffers()
        }
        with torch.no_grad():
            logits = (m(input_ids=TOKENS, use_cache=False).logits for m in (found, expected))
            assert torch.equal(*logits)


def test_an_exported_policy_computes_the_same(tmp_path):
    builtin = ModelSpec(
        "builtin:llama", init="random", arch=ArchSpec(16, 2, 2, 1, 32, 64), dtype="bfloat16", seed=4
    )
    policy = load_policy(builtin, device="cpu")
    save_policy(policy, tmp_path)
    again = load_policy(ModelSpec(str(tmp_path), dtype="bfloat16"), device="cpu")
    assert torch.equal(again.forward_hidden(TOKENS), policy.forward_hidden(TOKENS))
    assert policy.module.model.rotary_emb.inv_freq.dtype == torch.float32
