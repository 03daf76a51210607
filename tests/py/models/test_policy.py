"""Hidden states and logits of a policy against the module's own, over architectures with unusual heads."""

import copy

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Cohere2Config,
    Gemma2Config,
    GPT2Config,
    GraniteConfig,
    OPTConfig,
    PhiConfig,
    T5Config,
    T5ForConditionalGeneration,
)

from py_worker.data.batch import collate
from py_worker.models.decoder import DecoderPolicy
from py_worker.models.errors import ModelError, UnsupportedModelError
from py_worker.models.head import OutputHead
from py_worker.models.loading.layers import keep_layers
from py_worker.models.policy import Policy
from tests.py.rows import rows_of
from tests.py.tiny_models import EOS, PAD, tiny_batch, tiny_policy, tiny_tokenizer

torch.set_num_threads(1)

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 13}
LLAMA_LIKE = SMALL | {"num_key_value_heads": 1, "intermediate_size": 32, "head_dim": 8}
CONFIGS = {
    "gpt2": GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=13, n_positions=32),
    "gemma2": Gemma2Config(**LLAMA_LIKE, final_logit_softcapping=0.2, sliding_window=4),
    "cohere2": Cohere2Config(**LLAMA_LIKE, logit_scale=0.0625),
    "granite": GraniteConfig(**LLAMA_LIKE | {"vocab_size": 13}, logits_scaling=8.0, embedding_multiplier=6.0),
    "opt": OPTConfig(**SMALL, ffn_dim=32, word_embed_proj_dim=16, max_position_embeddings=32),
    "phi": PhiConfig(**SMALL, intermediate_size=32, partial_rotary_factor=0.5),
}


def policy_of(name: str) -> Policy:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = AutoModelForCausalLM.from_config(CONFIGS[name])
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return DecoderPolicy(module, tiny_tokenizer(), name=name)


def layers_of(policy: Policy) -> torch.nn.ModuleList:
    body = policy.body.decoder if policy.name == "opt" else policy.body
    return body.h if policy.name == "gpt2" else body.layers


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_logits_are_the_modules_own(name):
    policy = policy_of(name)
    tokens = torch.tensor([[2, 3, 4, 5, 6, 7, 8]])
    expected = policy.module(input_ids=tokens).logits.float()
    torch.testing.assert_close(policy.logits(policy.forward_hidden(tokens)), expected, rtol=1e-5, atol=1e-6)


def test_the_heads_of_these_models_are_the_unusual_ones():
    assert policy_of("gemma2").head.soft_cap == 0.2
    assert policy_of("cohere2").head.scale == 0.0625
    assert policy_of("granite").head.scale == 1 / 8
    assert policy_of("phi").head.bias is not None


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_layers_can_be_dropped_from_any_of_them(name):
    policy = policy_of(name)
    kept = DecoderPolicy(keep_layers(policy.module, [1], name), tiny_tokenizer(), name=name)
    tokens = torch.tensor([[2, 3, 4, 5, 6, 7, 8]])
    del layers_of(policy)[0]
    policy.module.config.num_hidden_layers = 1
    if getattr(policy.module.config, "layer_types", None):
        policy.module.config.layer_types = policy.module.config.layer_types[1:]
    torch.testing.assert_close(kept.forward_hidden(tokens), policy.forward_hidden(tokens))


def test_a_head_the_module_does_not_have_is_refused(monkeypatch):
    policy = policy_of("phi")
    original = policy.module.forward

    def scaled(*args, **kwargs):
        output = original(*args, **kwargs)
        output.logits = output.logits * 1.05
        return output

    monkeypatch.setattr(policy.module, "forward", scaled)
    with pytest.raises(UnsupportedModelError, match="PhiForCausalLM computes its logits in a way"):
        DecoderPolicy(policy.module, tiny_tokenizer(), name="phi")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(value):
    module = tiny_policy().module
    with torch.no_grad():
        module.model.layers[1].mlp.up_proj.weight[3, 2] = value
    message = r"^odd: its weights are not finite: model.layers.1.mlp.up_proj.weight .*\(1 such\); download"
    with pytest.raises(ModelError, match=message):
        DecoderPolicy(module, tiny_tokenizer(), name="odd")


def test_logits_that_overflow_are_not_put_down_to_the_weights():
    module = tiny_policy(tie=False).module
    with torch.no_grad():
        module.model.norm.weight.fill_(1e38)
        module.lm_head.weight.fill_(1e38)
    with pytest.raises(ModelError, match=r"logits are not finite in float32, .* set its dtype"):
        DecoderPolicy(module, tiny_tokenizer(), name="odd")


def test_a_row_that_is_no_token_may_be_anything():
    module = tiny_policy(tie=False, padded_rows=3).module
    with torch.no_grad():
        module.lm_head.weight[-1] = float("nan")
    assert DecoderPolicy(module, tiny_tokenizer(), name="odd").vocab_size == 13


def test_other_output_layers_are_refused():
    class Odd(torch.nn.Linear):
        pass

    module = tiny_policy().module
    module.lm_head = Odd(16, 13, bias=False)
    with pytest.raises(UnsupportedModelError, match="output layer of type Odd"):
        DecoderPolicy(module, tiny_tokenizer(), name="odd")
    module = policy_of("phi").module
    module.config.logit_scale = 2.0
    with pytest.raises(UnsupportedModelError, match="both a bias and a scale"):
        OutputHead.of(module, 13, "phi")


def test_encoder_decoders_are_refused_and_their_head_has_the_tied_scale():
    config = T5Config(
        vocab_size=13, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    with torch.random.fork_rng(devices=[]):
        module = T5ForConditionalGeneration(config).eval()
    with pytest.raises(UnsupportedModelError, match="is not what a DecoderPolicy is made of"):
        DecoderPolicy(module, tiny_tokenizer(), name="t5")
    head = OutputHead.of(module, 13, "t5")
    tokens = torch.tensor([[2, 3, 4]])
    output = module(input_ids=tokens, decoder_input_ids=tokens, output_hidden_states=True)
    torch.testing.assert_close(head.logits(output.decoder_hidden_states[-1]), output.logits)


def test_response_hidden_is_row_by_row_without_padding():
    policy, batch = tiny_policy(dtype=torch.float64), tiny_batch()
    expected = []
    for row, (prompt, length) in enumerate(zip(batch.prompt_lengths, batch.lengths, strict=True)):
        hidden = policy.body(input_ids=batch.tokens[row : row + 1, :length]).last_hidden_state
        expected.append(hidden[0, prompt - 1 : length - 1])
    torch.testing.assert_close(policy.response_hidden(batch), torch.cat(expected), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "opt"])
def test_dropout_is_off_and_checkpointing_changes_no_gradient(name):
    # GPT-2 and OPT have dropout 0.1 by default, OPT's as a function of the layer's own mode.
    batch = collate(rows_of([[2, 3, 4, 5], [6, 7, EOS]], [1, 1]), pad_id=PAD, device="cpu")
    found = []
    for checkpoint in (False, True):
        policy = policy_of(name)
        if checkpoint:
            policy.checkpoint_activations()
        runs = []
        layer = layers_of(policy)[0].get_submodule("fc2" if name == "opt" else "mlp")
        # Before, not after: recomputation stops as soon as it has what backward needs.
        layer.register_forward_pre_hook(lambda *_, r=runs: r.append(1))
        policy.response_hidden(batch).square().sum().backward()
        assert len(runs) == (2 if checkpoint else 1)
        found.append({n: p.grad for n, p in policy.trainable()})
    assert all(
        torch.equal(found[0][n], found[1][n]) if found[0][n] is not None else found[1][n] is None
        for n in found[0]
    )


def test_checkpointing_is_refused_where_the_architecture_cannot(monkeypatch):
    policy = tiny_policy()
    monkeypatch.setattr(policy.module, "supports_gradient_checkpointing", False)
    with pytest.raises(UnsupportedModelError, match="LlamaForCausalLM does not support"):
        policy.checkpoint_activations()


def test_a_copy_recomputes_its_own_layers():
    """Such as the shadow that responses are drawn from while the student learns."""
    policy = tiny_policy()
    policy.checkpoint_activations()
    tokens, copied = torch.tensor([[2, 3, 4]]), copy.deepcopy(policy)
    before = copied.forward_hidden(tokens)
    with torch.no_grad():
        for parameter in policy.module.model.layers.parameters():
            parameter.zero_()
    assert torch.equal(copied.forward_hidden(tokens), before)


def test_sequences_over_the_models_limit_are_named():
    with pytest.raises(ModelError, match="65 tokens is over the model's limit of 64"):
        tiny_policy().forward_hidden(torch.zeros(1, 65, dtype=torch.int64))


def test_eos_and_pad_ids():
    module, tokenizer = tiny_policy().module, tiny_tokenizer()
    module.generation_config.eos_token_id = [7, EOS]
    assert DecoderPolicy(module, tokenizer, name="t").eos_ids == (EOS, 7)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}<unk>{% endfor %}"
    assert DecoderPolicy(module, tokenizer, name="t").eos_ids == (EOS, 7, 0)
    tokenizer.chat_template = None
    tokenizer.pad_token = None
    assert DecoderPolicy(module, tokenizer, name="t").pad_id == EOS
    module.generation_config.eos_token_id = None
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="EOS"):
        DecoderPolicy(module, tokenizer, name="t")


def test_a_tokenizer_with_more_ids_than_the_table_is_refused():
    with pytest.raises(ModelError, match=r"ids up to 15, the embedding table 13 rows"):
        DecoderPolicy(tiny_policy().module, tiny_tokenizer("abcdefghijkxyz"), name="t")


def test_tokens_that_were_added_may_lie_beyond_the_table():
    """Gemma 3 1B's tokenizer has one for images, which the model has no row for."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<image>"})
    assert tokenizer.pad_token_id == 13
    policy = DecoderPolicy(tiny_policy().module, tokenizer, name="t")
    assert (policy.vocab_size, policy.pad_id) == (13, EOS)
    tokenizer.eos_token = "<image>"
    with pytest.raises(ModelError, match=r"ids up to 13, the embedding table 13 rows"):
        DecoderPolicy(tiny_policy().module, tokenizer, name="t")
