"""The copy of a student: what it shares, and that it stays while the student changes."""

import pytest
import torch
from torch import Tensor

from py_worker.models.policy import Policy
from py_worker.models.shadow import Shadow
from py_worker.models.spec import LoraSpec
from tests.py.models.adapted import adapted_policy
from tests.py.tiny_models import tiny_policy

torch.set_num_threads(1)

TOKENS = torch.tensor([[2, 3, 4, 5, 6, 7, 8]])


def student(kind: str) -> Policy:
    if kind == "adapted":
        return adapted_policy(LoraSpec(rank=4, alpha=8.0, dropout=0.5, seed=3))
    return tiny_policy(tie=kind == "tied")


@torch.no_grad()
def logits(policy: Policy) -> Tensor:
    return policy.logits(policy.forward_hidden(TOKENS))


@torch.no_grad()
def train(policy: Policy) -> None:
    for _, parameter in policy.trainable():
        parameter.mul_(1.25)


@pytest.mark.parametrize("kind", ["tied", "untied", "adapted"])
def test_it_says_what_the_student_said_at_the_last_update(kind: str) -> None:
    original = student(kind)
    before = logits(original)
    shadow = Shadow(original)
    train(original)
    after = logits(original)
    assert torch.equal(logits(shadow.policy), before)
    assert not torch.equal(after, before)
    shadow.update()
    assert torch.equal(logits(shadow.policy), after)
    train(original)
    assert torch.equal(logits(shadow.policy), after)
    shadow.update()
    assert torch.equal(logits(shadow.policy), logits(original))


@pytest.mark.parametrize(("kind", "copied"), [("tied", "all"), ("untied", "all"), ("adapted", "adapters")])
def test_only_what_is_trained_is_copied(kind: str, copied: str) -> None:
    original = student(kind)
    theirs, own = (dict(p.module.named_parameters()) for p in (original, Shadow(original).policy))
    assert own.keys() == theirs.keys()
    apart = {name for name in own if own[name].data_ptr() != theirs[name].data_ptr()}
    assert apart == (set(theirs) if copied == "all" else set(original.adapters))


def test_the_copy_is_of_one_piece() -> None:
    original = tiny_policy()
    original.limit_vocabulary(9)
    policy = Shadow(original).policy
    assert policy.head.weight is policy.module.get_input_embeddings().weight
    assert policy.body is policy.module.base_model
    assert policy.body is not original.body
    assert policy.tokenizer is original.tokenizer
    assert (policy.vocab_size, policy.eos_ids, policy.pad_id) == (9, original.eos_ids, original.pad_id)


@pytest.mark.parametrize("kind", ["tied", "adapted"])
def test_gradients_are_the_student_s_alone(kind: str) -> None:
    original = student(kind)
    before = {name for name, _ in original.trainable()}
    shadow = Shadow(original)
    assert not list(shadow.policy.trainable())
    assert {name for name, _ in original.trainable()} == before


def test_a_policy_that_is_not_trained_is_shared() -> None:
    original = tiny_policy()
    original.freeze()
    shadow = Shadow(original)
    shadow.update()
    own, theirs = (dict(p.module.named_parameters()) for p in (shadow.policy, original))
    assert all(own[name] is theirs[name] for name in theirs)
