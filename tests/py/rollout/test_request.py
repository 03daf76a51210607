"""Requests that are refused."""

import numpy as np
import pytest

from py_worker.rollout.errors import RolloutError
from py_worker.rollout.request import check_request
from py_worker.rollout.sampling import Sampling
from tests.py.rollout.doubles import VOCAB, ModulePolicy


def prompt(*ids: int) -> np.ndarray:
    return np.array(ids, dtype=np.int32)


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
