from copy import deepcopy
from dataclasses import replace

import pytest
from transformers import PreTrainedTokenizerFast

from py_worker.data.char_tokenizer import char_tokenizer
from py_worker.data.errors import DataError
from py_worker.data.records import Message, Record
from py_worker.data.templates import TEMPLATES, turn_end
from tests.py.data.tokenizers import bpe_tokenizer


def render(template: str, instruction: str, text: str) -> str:
    return TEMPLATES[template].render(bpe_tokenizer(), Record(instruction, text, ()))


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
        TEMPLATES["chat"].render(char_tokenizer(), Record("Hello.", "", ()))


TALK = Record(
    "And 2?",
    "",
    ("4",),
    "",
    (Message("system", "Be brief."), Message("user", "1?"), Message("assistant", "2")),
)


def test_a_chat_shows_the_whole_conversation() -> None:
    shown = TEMPLATES["chat"].render(bpe_tokenizer(), TALK)
    before = "<|system|>Be brief.<|end|><|user|>1?<|end|><|assistant|>2<|end|>"
    assert shown == f"{before}<|user|>And 2?<|end|><|assistant|>"


@pytest.mark.parametrize("template", ["alpaca", "plain", "text"])
def test_other_templates_refuse_what_they_would_leave_out(template: str) -> None:
    message = r"before the user's last \(system, user, assistant\), which only the template chat .*'And 2\?'"
    with pytest.raises(DataError, match=message):
        TEMPLATES[template].render(bpe_tokenizer(), TALK)
    assert (
        TEMPLATES[template].render(bpe_tokenizer(), replace(TALK, history=())).startswith(("Below", "And 2?"))
    )


def ending_with(end: str) -> PreTrainedTokenizerFast:
    """The tokenizer with another token behind the assistant's answers."""
    tokenizer = deepcopy(bpe_tokenizer())
    tokenizer.chat_template = tokenizer.chat_template.replace("<|end|>", end)
    return tokenizer


def test_a_chats_answer_is_closed_by_the_templates_own_token() -> None:
    tokenizer = ending_with("<|user|>\n")
    (user,) = tokenizer.encode("<|user|>")
    assert turn_end(tokenizer) == TEMPLATES["chat"].closing_id(tokenizer) == user
    assert TEMPLATES["alpaca"].closing_id(tokenizer) == tokenizer.eos_token_id
    tokenizer.eos_token = None
    assert (TEMPLATES["chat"].closing_id(tokenizer), TEMPLATES["plain"].closing_id(tokenizer)) == (user, None)


@pytest.mark.parametrize("template", [None, "{{ messages[0]['content'] }}", "{{ raise_exception('no') }}"])
def test_without_such_a_token_eos_closes_it(template: str | None) -> None:
    tokenizer = ending_with(" and so on")
    assert turn_end(tokenizer) is None
    tokenizer.chat_template = template
    assert turn_end(tokenizer) is None
    assert TEMPLATES["chat"].closing_id(tokenizer) == tokenizer.eos_token_id
    assert turn_end(bpe_tokenizer()) == bpe_tokenizer().eos_token_id


def test_what_the_models_template_refuses_is_named() -> None:
    tokenizer = deepcopy(bpe_tokenizer())
    tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
    message = "refuses a conversation of system, user, assistant, user: System role not supported; its last"
    with pytest.raises(DataError, match=message):
        TEMPLATES["chat"].render(tokenizer, TALK)
