"""A student and a teacher that cannot be trained together are told without loading either."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import BartConfig, LlamaConfig, PretrainedConfig, T5Config

from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import LLAMA, T5, model
from tests.py.tiny_models import tiny_tokenizer

KINDS: dict[str, type[PretrainedConfig]] = {"llama": LlamaConfig, "t5": T5Config, "bart": BartConfig}


def without_weights(folder: Path, kind: str = "llama", words: Sequence[str] = "abc") -> dict[str, Any]:
    """A model of which there are its configuration and its tokenizer."""
    KINDS[kind]().save_pretrained(folder)
    tiny_tokenizer(words).save_pretrained(folder)
    return {
        "source": str(folder),
        "init": "pretrained",
        "seed": 0,
        "dtype": "float32",
        "trust_remote_code": False,
    }


def test_a_pair_that_agrees(empty: LocalWorker, tmp_path: Path) -> None:
    assert empty.call("compare_models", student=model(1), teacher=model(2, hidden=32)) == {}
    student = without_weights(tmp_path / "student")
    teacher = without_weights(tmp_path / "teacher", words="abcd")
    assert empty.call("compare_models", student=student, teacher=teacher) == {}
    assert empty.session.roles == {}


@pytest.mark.parametrize(
    ("student", "teacher", "message"),
    [
        (LLAMA, T5, "student 'builtin:llama' is no encoder-decoder and teacher 'builtin:t5' is an"),
        (T5, LLAMA, "student 'builtin:t5' is an encoder-decoder and teacher 'builtin:llama' is no"),
    ],
)
def test_kinds_that_differ(empty: LocalWorker, student: str, teacher: str, message: str) -> None:
    error = empty.error("compare_models", student=model(1, source=student), teacher=model(2, source=teacher))
    assert error["code"] == "unsupported"
    assert message in error["message"]


@pytest.mark.parametrize(
    ("kind", "words", "code", "message"),
    [
        ("llama", "abd", "incompatible_vocabulary", "id 4 is 'c' for the student and 'd' for the teacher"),
        ("llama", "ab", "incompatible_vocabulary", "no token for the teacher"),
        ("t5", "abc", "unsupported", "is an encoder-decoder"),
        ("bart", "abc", "unsupported", "encoder-decoders of type bart are not supported"),
    ],
)
def test_models_of_files_that_differ(
    empty: LocalWorker, tmp_path: Path, kind: str, words: str, code: str, message: str
) -> None:
    student = without_weights(tmp_path / "student")
    teacher = without_weights(tmp_path / "teacher", kind, words)
    error = empty.error("compare_models", student=student, teacher=teacher)
    assert error["code"] == code
    assert message in error["message"]


def test_a_model_without_a_tokenizer_is_named(empty: LocalWorker, tmp_path: Path) -> None:
    student = without_weights(tmp_path / "student")
    for file in (tmp_path / "student").glob("tokenizer*"):
        file.unlink()
    error = empty.error("compare_models", student=student, teacher=without_weights(tmp_path / "teacher"))
    assert str(tmp_path / "student") in error["message"]
