import pytest

from py_worker.data.char_tokenizer import char_tokenizer
from py_worker.data.errors import DataError
from py_worker.data.templates import TEMPLATES
from tests.py.data.tokenizers import bpe_tokenizer


def render(template: str, instruction: str, text: str) -> str:
    return TEMPLATES[template].render(bpe_tokenizer(), instruction, text)


def test_alpaca_word_for_word() -> None:
    assert render("alpaca", "Name a tree.", "") == (
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n"
        "\n"
        "### Instruction:\n"
        "Name a tree.\n"
        "\n"
        "### Response:\n"
    )
    assert render("alpaca", "Name a tree.", "Not an oak.") == (
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n"
        "\n"
        "### Instruction:\n"
        "Name a tree.\n"
        "\n"
        "### Input:\n"
        "Not an oak.\n"
        "\n"
        "### Response:\n"
    )


def test_plain() -> None:
    assert render("plain", "reverse", "abc") == "reverse\nabc\n"
    assert render("plain", "hello", "") == "hello\n"


def test_text_adds_nothing() -> None:
    assert render("text", "A text", " begins.") == "A text begins."


def test_chat() -> None:
    assert render("chat", "Add.", "1 2") == "<|user|>Add.\n\n1 2<|end|><|assistant|>"
    assert render("chat", "Hello.", "") == "<|user|>Hello.<|end|><|assistant|>"
    with pytest.raises(DataError, match="no chat template; take another: alpaca, plain or text"):
        TEMPLATES["chat"].render(char_tokenizer(), "Hello.", "")


def test_braces_in_the_text_stay_as_they_are() -> None:
    assert "{instruction} %s {}" in render("alpaca", "{instruction} %s {}", "{input}")
