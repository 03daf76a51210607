"""Codes of the contract for every exception that may come up."""

import pytest
import torch

from py_worker.data.errors import DataError
from py_worker.losses.errors import LossError
from py_worker.models.errors import ModelError, UnsupportedModelError, VocabularyError
from py_worker.rollout.errors import RolloutError
from py_worker.session import errors
from py_worker.session.errors import MAX_TEXT, WorkerError, code_of, error_info


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError("x"), "data_error"),
        (ModelError("x"), "model_error"),
        (UnsupportedModelError("x"), "unsupported"),
        (VocabularyError("x"), "incompatible_vocabulary"),
        (RolloutError("x"), "invalid_argument"),
        (LossError("x"), "invalid_argument"),
        (torch.OutOfMemoryError("x"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (ValueError("x"), "internal"),
        (KeyError("x"), "internal"),
    ],
)
def test_code_of_an_exception(error: Exception, code: str) -> None:
    assert code_of(error) == code


def test_a_full_host_is_out_of_memory_too() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert code_of(caught.value) == "out_of_memory"


def test_every_error_of_the_server_has_a_code_of_the_contract() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, WorkerError)
    ]
    assert len(kinds) > 8
    assert all(kind.code in errors.CODES for kind in kinds)


def test_a_foreign_code_attribute_is_not_taken_for_ours() -> None:
    class HttpError(Exception):
        code = 404

    assert code_of(HttpError("x")) == "internal"


def test_the_traceback_is_in_the_detail_alone() -> None:
    try:
        raise KeyError("lost")
    except KeyError as error:
        info = error_info(error, applied=True)
    assert info.message == "KeyError: 'lost'"
    assert isinstance(info.detail, str)
    assert "test_errors.py" in info.detail
    assert info.applied


def test_long_texts_are_cut_to_the_contract_s_limit() -> None:
    info = error_info(DataError("m" * (MAX_TEXT + 1)), applied=False)
    assert len(info.message) == MAX_TEXT
    assert isinstance(info.detail, str)
    assert len(info.detail) == MAX_TEXT
    assert info.detail.endswith("m\n"), "the end of a detail is kept"


def test_an_error_without_words_is_named_by_its_class() -> None:
    assert error_info(MemoryError(), applied=False).message == "MemoryError"
