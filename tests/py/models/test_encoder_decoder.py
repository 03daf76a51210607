"""States and gradients of encoder-decoders against the library's own, row by row and without padding."""

import copy
import dataclasses
import json

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GenerationConfig,
    MT5Config,
    MT5ForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

from py_worker.data.batch import TokenBatch, collate
from py_worker.models.encoder_decoder import EncoderDecoderPolicy
from py_worker.models.errors import ModelError, UnsupportedModelError
from py_worker.models.loading.layers import keep_layers
from py_worker.models.loading.load import load_policy
from py_worker.models.lora import add_adapters
from py_worker.models.policy import Policy
from py_worker.models.saving import save_policy, save_policy_adapters
from py_worker.models.shadow import Shadow
from py_worker.models.spec import ArchSpec, LoraSpec, ModelSpec
from tests.py.rows import rows_of
from tests.py.tiny_models import PAD, cut, tiny_batch, tiny_policy, tiny_tokenizer

torch.set_num_threads(1)

SHAPE = {
    "vocab_size": 16,  # padded beyond the tokenizer's 13, as T5's table is
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 24,
    "num_layers": 2,
    "num_heads": 2,
    "decoder_start_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
T5 = "builtin:t5"


def untied() -> T5ForConditionalGeneration:
    """T5 v1.1: a head of its own, which takes the states as they are."""
    module = T5ForConditionalGeneration(
        T5Config(**SHAPE, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    )
    module.lm_head.weight = torch.nn.Parameter(0.3 * torch.randn(16, 16))
    return module


MODULES = {
    "t5": lambda: T5ForConditionalGeneration(T5Config(**SHAPE)),
    "t5-v1.1": untied,
    # More layers in the decoder than in the encoder.
    "mt5": lambda: MT5ForConditionalGeneration(MT5Config(**SHAPE, num_decoder_layers=3)),
}


def policy_of(name: str, dtype: torch.dtype = torch.float64) -> EncoderDecoderPolicy:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = MODULES[name]()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return EncoderDecoderPolicy(module.to(dtype), tiny_tokenizer(), name=name)


def library_logits(policy: Policy, batch: TokenBatch) -> Tensor:
    """[N, V], from labels that the library shifts itself, one unpadded row at a time."""
    rows = []
    for row, prompt, length in zip(batch.tokens, batch.prompt_lengths, batch.lengths, strict=True):
        if length > prompt:
            output = policy.module(input_ids=row[None, :prompt], labels=row[None, prompt:length])
            rows.append(output.logits[0, :, : policy.vocab_size])
    return torch.cat(rows)


def response_logits(policy: Policy, batch: TokenBatch) -> Tensor:
    return policy.logits(policy.response_hidden(batch))


@pytest.mark.parametrize("name", MODULES)
def test_logits_are_the_librarys_own(name):
    policy, batch = policy_of(name), tiny_batch()
    torch.testing.assert_close(
        response_logits(policy, batch), library_logits(policy, batch), rtol=0, atol=1e-6
    )


def test_the_heads_of_these_models_are_scaled_or_not():
    assert policy_of("t5").head.scale == 0.25
    assert policy_of("t5-v1.1").head.scale == 1.0


@pytest.mark.parametrize("name", MODULES)
def test_gradients_are_the_librarys_own(name):
    """Of encoder, decoder and head."""
    policy, batch = policy_of(name), tiny_batch()
    library_loss = F.cross_entropy(library_logits(policy, batch), batch.positions().target)
    parameters = dict(policy.trainable())
    expected = torch.autograd.grad(library_loss, list(parameters.values()))
    loss = F.cross_entropy(response_logits(policy, batch), batch.positions().target)
    found = torch.autograd.grad(loss, list(parameters.values()))
    for parameter, ours, theirs in zip(parameters, found, expected, strict=True):
        assert theirs.abs().max() > 1e-6, parameter
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8, msg=parameter)


def test_what_fills_the_batch_changes_nothing():
    policy, batch = policy_of("t5"), tiny_batch()
    tokens = batch.tokens.clone()
    for row, length in enumerate(batch.lengths):
        tokens[row, length:] = 7
    other = dataclasses.replace(batch, tokens=tokens)
    assert torch.equal(response_logits(policy, other), response_logits(policy, batch))


def test_a_response_sees_its_own_prompt_and_past_alone():
    policy = policy_of("t5")
    rows, prompts = [[2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12]], [3, 2]

    def logits(tokens: list[list[int]]) -> Tensor:
        return response_logits(policy, collate(rows_of(tokens, prompts), pad_id=PAD, device="cpu"))

    plain = logits(rows)
    of_prompt, of_token = logits([[2, 9, 4, 5, 6, 7], rows[1]]), logits([[2, 3, 4, 5, 9, 7], rows[1]])
    assert not torch.equal(of_prompt[0], plain[0])
    assert torch.equal(of_prompt[3:], plain[3:])
    assert torch.equal(of_token[:2], plain[:2])
    assert not torch.equal(of_token[2], plain[2])


@pytest.mark.parametrize("micro_batch", [1, 2])
def test_micro_batches_change_nothing(micro_batch):
    policy, batch = policy_of("t5"), tiny_batch()
    whole = response_logits(policy, batch)
    parts = [response_logits(policy, micro) for micro in cut(batch, micro_batch).micro_batches()]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-9)


def test_rows_without_a_response_have_no_positions():
    policy = policy_of("t5")
    batch = collate(rows_of([[2, 3], [4]], [2, 1]), pad_id=PAD, device="cpu")
    assert policy.response_hidden(batch).shape == (0, 16)


def test_half_precision_products_stay_near():
    policy = policy_of("t5", torch.float32)
    half = EncoderDecoderPolicy(policy.module, tiny_tokenizer(), name="half", compute_dtype=torch.bfloat16)
    exact, near = (response_logits(one, tiny_batch()) for one in (policy, half))
    assert not torch.equal(near, exact)
    torch.testing.assert_close(near, exact, rtol=0.1, atol=0.1)


def test_recomputed_activations_give_the_same_gradients():
    policy, batch = policy_of("t5"), tiny_batch()
    again = copy.deepcopy(policy)
    again.checkpoint_activations()
    for one in (policy, again):
        response_logits(one, batch).square().sum().backward()
    for (name, parameter), other in zip(policy.trainable(), again.module.parameters(), strict=True):
        torch.testing.assert_close(other.grad, parameter.grad, msg=name)


def test_adapters_learn_on_both_sides():
    policy = policy_of("t5", torch.float32)
    add_adapters(policy.module, LoraSpec(rank=2, alpha=4.0), "t5")
    response_logits(policy, tiny_batch()).square().sum().backward()
    adapted = {name for name, matrix in policy.adapters.items() if matrix.grad is not None}
    assert adapted == set(policy.adapters)
    assert any(name.startswith("encoder.") for name in adapted)
    assert any("EncDecAttention" in name for name in adapted)
    # What is not adapted: the head, and the table that it is tied to.
    assert {name.split(".")[0] for name in adapted} == {"encoder", "decoder"}


@torch.no_grad()
def test_a_shadow_computes_what_the_original_did():
    policy, batch = policy_of("t5"), tiny_batch()
    before = response_logits(policy, batch)
    shadow = Shadow(policy)
    shadow.update()
    for parameter in policy.module.parameters():
        parameter.add_(1.0)
    assert torch.equal(response_logits(shadow.policy, batch), before)


@pytest.mark.parametrize("name", MODULES)
def test_a_saved_one_is_loaded_as_it_was(name, tmp_path):
    policy, batch = policy_of(name, torch.float32), tiny_batch()
    save_policy(policy, tmp_path)
    again = load_policy(ModelSpec(str(tmp_path)), device="cpu")
    assert isinstance(again, EncoderDecoderPolicy)
    assert torch.equal(response_logits(again, batch), response_logits(policy, batch))
    drawn = load_policy(ModelSpec(str(tmp_path), init="random", seed=5), device="cpu")
    assert type(drawn.module) is type(policy.module)
    assert not torch.equal(response_logits(drawn, batch), response_logits(policy, batch))


ARCH = ArchSpec(16, 2, 2, 2, 32, 64)


def test_the_builtin_one_has_the_shape_that_is_asked_for():
    policy = load_policy(ModelSpec(T5, init="random", arch=ARCH, seed=4), device="cpu")
    config = policy.module.config
    assert (config.num_layers, config.num_decoder_layers, config.d_kv) == (2, 2, 8)
    assert policy.has_encoder and policy.max_positions is None
    same, other = (
        load_policy(ModelSpec(T5, init="random", arch=ARCH, seed=seed), device="cpu") for seed in (4, 5)
    )
    assert torch.equal(same.head.weight, policy.head.weight)
    assert not torch.equal(other.head.weight, policy.head.weight)


@pytest.mark.parametrize(
    "changes", [{"kv_heads": 1}, {"heads": 3, "kv_heads": 3}, {"tie_embeddings": False}], ids=str
)
def test_a_shape_that_it_cannot_have_is_refused(changes):
    arch = dataclasses.replace(ARCH, **changes)
    with pytest.raises(ModelError, match="builtin:t5: hidden_size 16 must be a multiple of heads"):
        load_policy(ModelSpec(T5, init="random", arch=arch), device="cpu")


def test_a_student_of_the_same_kind_is_loaded_beside_a_teacher():
    teacher = load_policy(ModelSpec(T5, init="random", arch=ARCH, seed=1), device="cpu")
    student = load_policy(ModelSpec(T5, init="random", arch=ARCH, seed=2), device="cpu", teacher=teacher)
    assert student.vocab_size == teacher.vocab_size
    assert isinstance(student, EncoderDecoderPolicy)


@pytest.mark.parametrize("student", [T5, "builtin:llama"])
def test_one_of_the_other_kind_is_refused(student):
    other = "builtin:llama" if student == T5 else T5
    teacher = load_policy(ModelSpec(other, init="random", arch=ARCH), device="cpu")
    with pytest.raises(UnsupportedModelError, match=f"{student}' is .* encoder-decoder and teacher '{other}"):
        load_policy(ModelSpec(student, init="random", arch=ARCH), device="cpu", teacher=teacher)


@pytest.mark.parametrize("name", ["t5", "mt5"])
def test_layers_are_not_dropped(name):
    """Of as many on each side, or of fewer in the encoder."""
    with pytest.raises(UnsupportedModelError, match="layers of an encoder-decoder cannot be dropped"):
        keep_layers(policy_of(name).module, [0], name)


def test_an_export_says_that_a_head_of_its_own_is_not_tied(tmp_path):
    """Or transformers 4 ties it. Version 5 reads no scale from that, and none is there."""
    for name in MODULES:
        policy = policy_of(name, torch.float32)
        save_policy(policy, tmp_path / name)
        written = json.loads((tmp_path / name / "config.json").read_text())
        own = policy.module.get_output_embeddings().weight is not policy.module.shared.weight
        assert own == (name == "t5-v1.1")
        assert written["tie_word_embeddings"] is not own
        assert policy.module.config.tie_word_embeddings


def test_an_export_can_generate_though_settings_contradict_each_other(tmp_path):
    policy = policy_of("t5", torch.float32)
    policy.module.generation_config = GenerationConfig(
        decoder_start_token_id=0, length_penalty=2.0, early_stopping=True, max_length=64
    )
    save_policy(policy, tmp_path)
    assert GenerationConfig.from_pretrained(tmp_path).decoder_start_token_id == 0


def test_adapters_say_what_they_are_of(tmp_path):
    source, adapters = tmp_path / "base", tmp_path / "adapters"
    save_policy(policy_of("t5", torch.float32), source)
    policy = load_policy(ModelSpec(str(source), lora=LoraSpec(rank=2, alpha=4.0)), device="cpu")
    save_policy_adapters(policy, adapters)
    assert json.loads((adapters / "adapter_config.json").read_text())["task_type"] == "SEQ_2_SEQ_LM"
    peft = pytest.importorskip("peft")
    again = peft.AutoPeftModelForSeq2SeqLM.from_pretrained(adapters)
    ids = torch.tensor([[3, 4, 5]])
    expected = policy.module(input_ids=ids, decoder_input_ids=ids).logits
    torch.testing.assert_close(again(input_ids=ids, decoder_input_ids=ids).logits, expected)


def test_packing_is_refused():
    with pytest.raises(UnsupportedModelError, match=r"t5: .* cannot take packed rows.*training\.packing"):
        policy_of("t5").require_packing()
    with pytest.raises(UnsupportedModelError, match="cannot take packed rows"):
        policy_of("t5").response_hidden(dataclasses.replace(tiny_batch(), packed=True))


def test_other_families_are_refused_by_name(tmp_path):
    config = BartConfig(
        vocab_size=13,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
    )
    module = BartForConditionalGeneration(config)
    module.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    for init in ("pretrained", "random"):
        with pytest.raises(UnsupportedModelError, match=r"of type bart are not supported \(t5, mt5 are\)"):
            load_policy(ModelSpec(str(tmp_path), init=init), device="cpu")
    with pytest.raises(UnsupportedModelError, match="BartForConditionalGeneration are not supported"):
        EncoderDecoderPolicy(module, tiny_tokenizer(), name="bart")


@pytest.mark.parametrize("how", ["none", "missing"])
def test_a_decoder_without_a_start_is_refused(how):
    module = MODULES["t5"]()
    module.generation_config.decoder_start_token_id = module.config.decoder_start_token_id = None
    if how == "missing":
        del module.config.decoder_start_token_id
    with pytest.raises(ModelError, match="t5: set decoder_start_token_id in its config"):
        EncoderDecoderPolicy(module, tiny_tokenizer(), name="t5")


def test_a_start_may_be_among_the_generation_settings():
    expected = policy_of("t5")
    module = copy.deepcopy(expected.module)
    del module.config.decoder_start_token_id
    module.generation_config.decoder_start_token_id = 0
    policy = EncoderDecoderPolicy(module, tiny_tokenizer(), name="t5")
    assert module.config.decoder_start_token_id == 0
    assert torch.equal(response_logits(policy, tiny_batch()), response_logits(expected, tiny_batch()))


def test_decoders_are_as_they_were():
    assert not tiny_policy().has_encoder
