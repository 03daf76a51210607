"""What a rehearsed step allocates, against the events of PyTorch's own allocator in the step itself."""

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from py_worker.data.batch import TokenBatch, collate
from py_worker.data.layout import MicroBatchLimits, lay_out
from py_worker.losses.rehearsal import Rehearsal, RowLengths, go_through, rehearse
from py_worker.losses.returns import Returns
from py_worker.losses.terms import Term
from py_worker.models.critics.critic import build_critic
from py_worker.models.decoder import DecoderPolicy
from py_worker.models.encoder_decoder import EncoderDecoderPolicy
from py_worker.models.loading.builtin import builtin_model
from py_worker.models.lora import add_adapters
from py_worker.models.policy import Policy
from py_worker.models.spec import ArchSpec, CriticSpec, LoraSpec
from tests.py.rows import rows_of
from tests.py.tiny_models import PAD, tiny_tokenizer

torch.set_num_threads(1)
VOCAB, LAYERS = 600, 1
TOLERANCE = 0.02
"""Index vectors and scalars, which are not modelled, are the more of it the smaller the model is."""

KD = [Term("kd", "forward_kl", "all")]
GAME = [
    Term("off", "moment", "off", 0.5, critic="off"),
    Term("on", "moment", "on", 0.5, critic="on"),
    Term("kd", "forward_kl", "off", 0.1),
]


def tokenizer():
    return tiny_tokenizer([chr(0x4E00 + index) for index in range(VOCAB - 2)])


def llama(hidden: int = 48, *, seed: int = 0, tie: bool = True, **options) -> Policy:
    arch = ArchSpec(hidden, LAYERS, 4, 2, 3 * hidden, 256, tie)
    module = builtin_model("builtin:llama", arch, tokenizer(), seed, torch.float32)
    return DecoderPolicy(module, tokenizer(), name="llama", **options)


def gpt2(hidden: int = 48) -> Policy:
    config = GPT2Config(
        vocab_size=VOCAB, n_embd=hidden, n_layer=LAYERS, n_head=4, n_positions=256, eos_token_id=1
    )
    return DecoderPolicy(GPT2LMHeadModel(config), tokenizer(), name="gpt2")


def t5(hidden: int = 48) -> Policy:
    arch = ArchSpec(hidden, LAYERS, 4, 4, 3 * hidden, 256)
    module = builtin_model("builtin:t5", arch, tokenizer(), 0, torch.float32)
    return EncoderDecoderPolicy(module, tokenizer(), name="t5")


def teacher(make: Callable[..., Policy] = llama) -> Policy:
    policy = make(64)
    policy.freeze()
    return policy


def critics(policy: Policy, **spec) -> dict:
    spec = CriticSpec(rank=4, hidden_size=32, bound="mixture", bound_value=2.0, **spec)
    return {name: build_critic(spec, policy) for name in ("off", "on")}


def rehearsal(student: Policy, of: Policy | None, terms=KD, **changes) -> Rehearsal:
    settings = {
        "terms": terms,
        "constants": {},
        "ascents": [],
        "score_teacher": of is not None,
        "score_student": "none",
        "diagnostics": True,
        "chunk_size": 70,
        "form": "auto",
        "loss_scale": None,
        "dropout": False,
    }
    return Rehearsal(student, of, **{**settings, **changes})


def game(score: str = "values", **changes) -> Rehearsal:
    of = teacher()
    made = critics(of)
    ascents = [(critic, part) for part, critic in made.items()]
    return rehearsal(llama(), of, GAME, constants=made, ascents=ascents, score_student=score, **changes)


def rows(count: int = 4, prompt: int = 20, response: int = 50, drawn: bool = False) -> list[RowLengths]:
    """Those of the second half are of the part `on`, and shorter."""
    half = count // 2
    return [RowLengths("off", prompt, response)] * half + [
        RowLengths("on", prompt, response - 9, drawn)
    ] * half


def micro_batches(limits: MicroBatchLimits, of: list[RowLengths]) -> list[list[RowLengths]]:
    layout = lay_out([(row.prompt, row.response) for row in of], [row.part for row in of], limits)
    return [[of[index] for index in micro] for micro in layout]


def whole_batch(micro: list[list[RowLengths]], packed: bool) -> TokenBatch:
    flat = [row for one in micro for row in one]
    log_probs = [np.zeros(row.response, dtype=np.float32) if row.drawn else None for row in flat]
    sequences, prompts = [[2] * row.length for row in flat], [row.prompt for row in flat]
    return collate(
        rows_of(sequences, prompts, [row.part for row in flat], log_probs=log_probs),
        pad_id=PAD,
        device="cpu",
        micro_rows=[len(one) for one in micro],
        packed=packed,
    )


def allocator_peak(run: Callable[[], None]) -> int:
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        run()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def largest(peaks) -> int:
    return max(sum(sizes.values()) for sizes in peaks.values())


def checkpointed() -> Policy:
    student = llama()
    student.checkpoint_activations()
    return student


def adapted() -> Policy:
    student = llama()
    add_adapters(student.module, LoraSpec(4, 8, dropout=0.1), "llama")
    return student


ALL, TWO, TOKENS = MicroBatchLimits(), MicroBatchLimits(rows=2), MicroBatchLimits(tokens=150, packed=True)
CASES = {
    "fine-tuning": (lambda: rehearsal(llama(), None, [Term("ce", "cross_entropy", "all")]), ALL),
    "distillation-in-micro-batches": (lambda: rehearsal(llama(), teacher()), TWO),
    "packed": (lambda: rehearsal(llama(), teacher()), TOKENS),
    "untied-head": (lambda: rehearsal(llama(tie=False), teacher()), TWO),
    "gpt-2": (lambda: rehearsal(gpt2(), teacher(gpt2)), TWO),
    "encoder-decoder": (lambda: rehearsal(t5(), teacher(t5)), TWO),
    "encoder-decoder-with-its-graph": (lambda: rehearsal(t5(), teacher(t5), score_student="graph"), ALL),
    "activations-recomputed": (lambda: rehearsal(checkpointed(), teacher()), TWO),
    "bfloat16-products": (lambda: rehearsal(llama(compute_dtype=torch.bfloat16), teacher()), TWO),
    "adapters-with-dropout": (lambda: rehearsal(adapted(), teacher(), dropout=True), TWO),
    "the-game-from-one-graph": (lambda: game("graph"), ALL),
    "the-game-in-micro-batches": (game, TWO),
    "long-chunks": (lambda: game(chunk_size=None), TWO),
}


@pytest.mark.parametrize("name", CASES)
def test_predicts_the_allocators_peak(name):
    make, limits = CASES[name]
    step, micro = make(), micro_batches(limits, rows())
    predicted = largest(rehearse(step, micro, packed=limits.packed))
    batch = whole_batch(micro, limits.packed)
    measured = allocator_peak(lambda: step.run(batch, lambda _: nullcontext()))
    assert predicted == pytest.approx(measured, rel=TOLERANCE)


def test_returns_and_importance_weights():
    returns = Returns("return", "sampled", "length", "leave_one_out", "token", 5.0, 0.2)
    terms = [Term("pg", "reverse_kl", "on", returns=returns), Term("kd", "forward_kl", "off")]
    step = rehearsal(llama(), teacher(), terms, score_student="values")
    micro = micro_batches(TWO, rows(drawn=True))
    predicted = largest(rehearse(step, micro))
    measured = allocator_peak(lambda: step.run(whole_batch(micro, False), lambda _: nullcontext()))
    assert predicted == pytest.approx(measured, rel=TOLERANCE)


def test_what_depends_on_numbers_is_counted_in_earnest():
    step, micro = game(), micro_batches(TWO, rows())
    in_earnest = largest(rehearse(step, micro, fake=False))
    assert in_earnest == pytest.approx(largest(rehearse(step, micro)), rel=TOLERANCE)


def test_items_are_what_they_are_called():
    step, micro = game(chunk_size=16), micro_batches(TWO, rows())
    peaks = rehearse(step, micro)
    weights = sum(p.nbytes for p in step.student.module.parameters())
    positions = sum(row.response for row in rows())
    at_student = peaks["student"]
    assert at_student["gradients"] >= weights
    assert at_student["hidden_states"] >= positions * (48 + 64) * 4
    assert 2 * 16 * VOCAB * 4 <= peaks["critics"]["logits"] < 16 * 16 * VOCAB * 4
    trained = sum(p.nbytes for critic, _ in step.ascents for p in critic.parameters())
    assert trained / 4 < peaks["critics"]["critic_gradients"] < 2 * trained
    assert peaks["scoring"].get("gradients", 0) == 0 and at_student.get("critic_gradients", 0) == 0


def state(step: Rehearsal) -> list:
    tensors = [tensor for module in step.modules for tensor in (*module.parameters(), *module.buffers())]
    assert all(p.grad is None for module in step.modules for p in module.parameters())
    return [*((t.clone(), t._version) for t in tensors), (torch.get_rng_state(), 0)]


@pytest.mark.parametrize("act", [rehearse, go_through])
def test_leaves_nothing_behind(act):
    step = game(dropout=False)
    before = state(step)
    act(step, micro_batches(TWO, rows()))
    for (old, old_version), (new, new_version) in zip(before, state(step), strict=True):
        assert torch.equal(old, new) and old_version == new_version
    adapters = rehearsal(adapted(), teacher(), dropout=True)
    before = state(adapters)
    act(adapters, micro_batches(TWO, rows()))
    assert torch.equal(before[-1][0], torch.get_rng_state())


def test_a_step_that_fails_leaves_no_gradients():
    step = rehearsal(llama(), teacher(), [*KD, Term("off", "moment", "off", critic="off")])
    with pytest.raises(ValueError, match="critic"):
        rehearse(step, [rows()])
    state(step)
