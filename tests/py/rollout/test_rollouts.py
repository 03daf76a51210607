"""Requests that are refused, and responses cut at their EOS."""

import numpy as np
import pytest

from py_worker.rollout.errors import RolloutError
from py_worker.rollout.rollouts import check_request, collect
from py_worker.rollout.sampling import Sampling
from tests.py.rollout.doubles import VOCAB, ModulePolicy


def prompt(*ids: int) -> np.ndarray:
    return np.array(ids, dtype=np.int32)


def test_rows_are_cut_after_their_first_eos_of_any_kind() -> None:
    tokens = np.array([[4, 2, 9, 2], [4, 5, 6, 7], [7, 7, 7, 3], [3, 0, 0, 0]])
    log_probs = np.arange(16, dtype=np.float32).reshape(4, 4)
    rollouts = collect(tokens, log_probs, (2, 3), decoded_rows=11)
    assert [row.tolist() for row in rollouts.tokens] == [[4, 2], [4, 5, 6, 7], [7, 7, 7, 3], [3]]
    assert rollouts.ended == [True, False, True, True]
    assert [row.tolist() for row in rollouts.log_probs] == [[0, 1], [4, 5, 6, 7], [8, 9, 10, 11], [12]]
    assert (rollouts.token_count, rollouts.decoded_rows) == (11, 11)
    assert rollouts.tokens[0].base is None, "a view would keep the whole matrix alive"


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([prompt(3), prompt()], r"Prompt 1 \(sample 8\) is empty"),
        ([prompt(3, VOCAB)], rf"Prompt 0 \(sample 7\) has token id {VOCAB}, but the model has {VOCAB}"),
        ([prompt(-1, 3)], "has token id -1"),
        ([prompt(*[3] * 250)], r"250 tokens; with max_new_tokens 8 it needs 257 positions .* has 256"),
    ],
)
def test_prompts_that_cannot_be_continued(
    llama: ModulePolicy, prompts: list[np.ndarray], message: str
) -> None:
    with pytest.raises(RolloutError, match=message) as caught:
        check_request([llama], prompts, range(7, 7 + len(prompts)), Sampling(max_new_tokens=8))
    assert caught.value.code == "invalid_argument"


def test_the_longest_request_that_fits(llama: ModulePolicy) -> None:
    check_request([llama], [prompt(*[3] * 249)], [0], Sampling(max_new_tokens=8))


def test_one_sample_id_per_prompt(llama: ModulePolicy) -> None:
    with pytest.raises(RolloutError, match=r"2 prompts .* 1 sample ids"):
        check_request([llama], [prompt(3), prompt(4)], [0], Sampling())
