"""Packed rows against padded ones, in float64: hidden states, gradients, and who is refused."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma3TextConfig,
    GPT2Config,
    Lfm2Config,
    MistralConfig,
    OPTConfig,
    PretrainedConfig,
    Qwen2Config,
)

from py_worker.data.batch import TokenBatch, collate
from py_worker.data.packing import pack
from py_worker.losses.driver import student_backward
from py_worker.losses.scored import score_batch
from py_worker.losses.terms import Term
from py_worker.models.decoder import DecoderPolicy
from py_worker.models.errors import ModelError, UnsupportedModelError
from py_worker.models.loading.precision import cast
from py_worker.models.packing import packed_inputs, sequences
from py_worker.models.packing_check import check_packing
from py_worker.models.policy import Policy
from tests.py.ops.read_back import no_read_back
from tests.py.rows import rows_of
from tests.py.tiny_models import PAD, cut, tiny_batch, tiny_policy, tiny_tokenizer

torch.set_num_threads(1)

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 13}
LLAMA_LIKE = SMALL | {"num_key_value_heads": 1, "intermediate_size": 32, "max_position_embeddings": 16}
WINDOW = 3
TOLERANCE = {"sdpa": 1e-10, "eager": 1e-6}
"""Relative. The library's eager attention takes its softmax in float32, whatever the model's dtype."""
CONFIGS: dict[str, PretrainedConfig] = {
    "gpt2": GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=13, n_positions=16),
    "mistral": MistralConfig(**LLAMA_LIKE, sliding_window=WINDOW),
    "qwen2": Qwen2Config(**LLAMA_LIKE, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1),
    "gemma3": Gemma3TextConfig(**LLAMA_LIKE, head_dim=8, sliding_window=WINDOW),
    "opt": OPTConfig(**SMALL, ffn_dim=32, word_embed_proj_dim=16, max_position_embeddings=16),
    "bloom": BloomConfig(hidden_size=16, n_layer=2, n_head=2, vocab_size=13),
}


def policy_of(name: str, attention: str = "eager", seed: int = 0) -> Policy:
    if name == "llama":
        policy = tiny_policy(seed, dtype=torch.float64)
        policy.module.set_attn_implementation(attention)
        return policy
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = AutoModelForCausalLM.from_config(
            CONFIGS[name], attn_implementation=attention, dtype=torch.float64
        )
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return DecoderPolicy(module, tiny_tokenizer(), name=name)


def packed(batch: TokenBatch) -> TokenBatch:
    return dataclasses.replace(batch, packed=True)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["llama", "gpt2", "mistral", "qwen2", "gemma3"])
def test_hidden_states_are_those_of_each_row_alone(name: str, attention: str) -> None:
    policy, batch, tolerance = policy_of(name, attention), tiny_batch(4), TOLERANCE[attention]
    assert max(batch.lengths) > 2 * WINDOW
    rows = pack(batch)
    found = policy.forward_packed(rows).split(list(batch.lengths))
    for row, length in enumerate(batch.lengths):
        alone = policy.forward_hidden(batch.tokens[row : row + 1, :length])[0]
        torch.testing.assert_close(found[row], alone, rtol=tolerance, atol=tolerance)
    padded, found = policy.response_hidden(batch), policy.response_hidden(packed(batch))
    torch.testing.assert_close(found, padded, rtol=tolerance, atol=tolerance)
    check_packing(policy)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["llama", "gpt2", "mistral"])
@pytest.mark.parametrize("micro_batch", [0, 2])
def test_gradients_are_those_of_padded_rows(name: str, attention: str, micro_batch: int) -> None:
    student, teacher = policy_of(name, attention, 1), policy_of("llama", "sdpa", 2)
    teacher.freeze()
    terms = [Term("kd", "forward_kl", "off", 0.5), Term("rkl", "reverse_kl", "on", 0.3)]

    def gradient(batch: TokenBatch) -> Tensor:
        student_backward(student, score_batch(batch, teacher=teacher), terms, teacher=teacher)
        found = torch.cat([p.grad.flatten() for _, p in student.trainable() if p.grad is not None])
        student.module.zero_grad(set_to_none=True)
        return found

    expected = gradient(tiny_batch(3))
    found = gradient(packed(cut(tiny_batch(3), micro_batch)))
    assert expected.norm() > 1e-3
    assert (found - expected).norm() <= TOLERANCE[attention] * expected.norm()


def test_recomputed_activations_see_the_same_rows() -> None:
    """Layers run again in backward, when nobody says any more which sequence a position belongs to."""
    found = []
    for recompute in (False, True):
        policy = policy_of("llama", "sdpa")
        if recompute:
            policy.checkpoint_activations()
        policy.response_hidden(packed(tiny_batch(3))).square().sum().backward()
        found.append(torch.cat([p.grad.flatten() for _, p in policy.trainable() if p.grad is not None]))
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-14)


def test_rows_together_may_be_longer_than_the_model() -> None:
    for name in ("llama", "gpt2"):
        policy = policy_of(name)
        limit = policy.max_positions
        assert limit is not None
        rows = [[2 + place % 11 for place in range(limit)] for _ in range(3)]
        batch = collate(rows_of(rows, [1] * 3), pad_id=PAD, device="cpu", packed=True)
        padded = dataclasses.replace(batch, packed=False)
        torch.testing.assert_close(policy.response_hidden(batch), policy.response_hidden(padded))
        over = collate(rows_of([[2] * (limit + 1)], [1]), pad_id=PAD, device="cpu", packed=True)
        with pytest.raises(ModelError, match=f"{limit + 1} tokens is over the model's limit of {limit}"):
            policy.response_hidden(over)


def test_packed_rows_do_not_wait_for_the_device() -> None:
    policy, batch = policy_of("llama", "sdpa"), packed(tiny_batch())
    with no_read_back():
        policy.response_hidden(batch)


def test_another_thread_s_pass_is_left_alone() -> None:
    """Rollouts are drawn beside a step: what one thread packs is not another's."""
    policy, batch = policy_of("llama", "sdpa"), tiny_batch()
    rows = pack(batch)
    alone = policy.forward_hidden(batch.tokens)
    library = policy.body(**packed_inputs(rows, "sdpa"), use_cache=False).last_hidden_state[0]
    torch.testing.assert_close(library, policy.forward_packed(rows))
    with sequences(rows.row), ThreadPoolExecutor(1) as threads:
        found = threads.submit(
            lambda: policy.body(input_ids=batch.tokens, use_cache=False).last_hidden_state
        ).result()
    torch.testing.assert_close(found, alone)


def test_flash_attention_is_told_where_rows_begin() -> None:
    batch = tiny_batch(2)
    rows = pack(batch)
    inputs = packed_inputs(rows, "flash_attention_2")
    assert inputs["cu_seq_lens_q"] is inputs["cu_seq_lens_k"]
    assert inputs["cu_seq_lens_q"].dtype == torch.int32
    assert inputs["cu_seq_lens_q"].diff().tolist() == list(batch.lengths)
    assert inputs["max_length_q"] == inputs["max_length_k"] == max(batch.lengths)
    assert packed_inputs(rows, "sdpa").keys() == {"input_ids", "position_ids"}


@pytest.mark.parametrize("name", ["opt", "bloom"])
def test_a_model_that_mixes_rows_is_refused(name: str) -> None:
    """One places tokens by the sequence, the other has its own mask."""
    with pytest.raises(UnsupportedModelError, match=r"cannot take packed rows: .*set training.packing"):
        check_packing(policy_of(name))


@pytest.mark.parametrize(
    ("weights", "compute"),
    [(torch.float32, None), (torch.float32, torch.bfloat16), (torch.bfloat16, None)],
)
def test_a_leak_below_the_rounding_of_half_precision_is_seen(
    weights: torch.dtype, compute: torch.dtype | None
) -> None:
    """A short convolution over the sequence carries a little from row to row."""
    config = Lfm2Config(
        vocab_size=13,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=1,
        layer_types=["conv", "full_attention"] * 2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = AutoModelForCausalLM.from_config(config)
    policy = DecoderPolicy(cast(module, weights), tiny_tokenizer(), name="lfm2", compute_dtype=compute)
    with pytest.raises(UnsupportedModelError, match="rows see each other"):
        check_packing(policy)


@pytest.mark.parametrize("compute", [None, torch.bfloat16])
@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_rounding_is_no_leak(name: str, compute: torch.dtype | None) -> None:
    module = cast(policy_of(name).module, torch.float32 if compute else torch.bfloat16)
    check_packing(DecoderPolicy(module, tiny_tokenizer(), name=name, compute_dtype=compute))


def test_a_model_without_position_ids_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_of("llama")
    body = policy.body.forward

    def forward(input_ids: Tensor, use_cache: bool) -> object:
        return body(input_ids=input_ids, use_cache=use_cache)

    monkeypatch.setattr(policy.body, "forward", forward)
    with pytest.raises(UnsupportedModelError, match="position_ids"):
        check_packing(policy)


def test_attention_in_chunks_is_refused() -> None:
    policy = policy_of("llama")
    policy.module.config.attention_chunk_size = 8192
    with pytest.raises(UnsupportedModelError, match="in chunks of the sequence"):
        policy.require_packing()


def test_a_model_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, calls = policy_of("llama"), []
    monkeypatch.setattr(
        policy, "forward_packed", lambda rows: calls.append(1) or DecoderPolicy.forward_packed(policy, rows)
    )
    policy.require_packing()
    checked = len(calls)
    policy.require_packing()
    assert len(calls) == checked
