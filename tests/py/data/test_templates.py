from dataclasses import replace

import pytest

from py_worker.data.char_tokenizer import char_tokenizer
from py_worker.data.errors import DataError
from py_worker.data.records import Message, Record
from py_worker.data.shown import Shown
from py_worker.data.templates import bound_template
from tests.py.data.tokenizers import bpe_tokenizer


def render(template: str, instruction: str, text: str) -> str:
    return bound_template(template, bpe_tokenizer()).show(Record(instruction, text, ())).prompt


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
        bound_template("chat", char_tokenizer())


TALK = Record(
    "And 2?",
    "",
    ("4",),
    "",
    (Message("system", "Be brief."), Message("user", "1?"), Message("assistant", "2")),
)


def test_a_chat_shows_the_whole_conversation() -> None:
    shown = bound_template("chat", bpe_tokenizer()).show(TALK)
    before = "<|system|>Be brief.<|end|><|user|>1?<|end|><|assistant|>2<|end|>"
    assert shown == Shown(f"{before}<|user|>And 2?<|end|><|assistant|>", "4")


@pytest.mark.parametrize("template", ["alpaca", "plain", "text"])
def test_other_templates_refuse_what_they_would_leave_out(template: str) -> None:
    chosen = bound_template(template, bpe_tokenizer())
    message = r"before the user's last \(system, user, assistant\), which only the template chat can show"
    with pytest.raises(DataError, match=message):
        chosen.show(TALK)
    assert chosen.show(replace(TALK, history=())).prompt.startswith(("Below", "And 2?"))
    with pytest.raises(DataError, match="template_options are of the template chat; leave out thinking"):
        bound_template(template, bpe_tokenizer(), {"thinking": False})


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    with pytest.raises(DataError, match="no template 'vicuna'; there are alpaca, chat, plain, text"):
        bound_template("vicuna", bpe_tokenizer())
