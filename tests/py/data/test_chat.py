"""Chat templates as models have them: what is asked, what is learned, and what ends an answer."""

from copy import deepcopy

import pytest
from transformers import PreTrainedTokenizerFast

from py_worker.data.chat import Chat, turn_end
from py_worker.data.encoding import Limits, encode
from py_worker.data.errors import DataError
from py_worker.data.records import Message, Record
from py_worker.data.shown import Shown
from tests.py.data.tokenizers import bpe_tokenizer

ASK = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
CHATML = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}" + ASK
GEMMA = "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>\n{% endfor %}" + ASK
MISTRAL = (
    "{% for m in messages %}{% if m.role == 'user' %}<|user|> {{ m.content }}<|assistant|>"
    "{% else %} {{ m.content }}<|end|>{% endif %}{% endfor %}"
)
LLAMA_2 = MISTRAL.replace("<|end|>", " <|end|>")
QWEN_3 = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' and '<think>' not in m.content %}"
    "<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% if enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
NEVER_ASKS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
DEEPSEEK_R1 = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content.split('</think>')[-1] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}"
)


def tokenizer_of(template: str) -> PreTrainedTokenizerFast:
    tokenizer = deepcopy(bpe_tokenizer())
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize(
    "answer", ["Red", " Red, yellow\n", "<think>\nblue\n</think>\n\nRed"], ids=["bare", "spaced", "thought"]
)
@pytest.mark.parametrize("template", [CHATML, GEMMA, MISTRAL, LLAMA_2, QWEN_3, NEVER_ASKS])
def test_prompt_and_response_are_the_conversation_as_the_template_has_it(template: str, answer: str) -> None:
    tokenizer = tokenizer_of(template)
    history = (Message("user", "Hi"), Message("assistant", "Hello"))
    record = Record("A colour?", "", (answer,), "", history)
    (row,) = encode([record], Chat(tokenizer), Limits(200, 400))
    assert row is not None and row.has_eos
    messages = [
        *map(vars, history),
        {"role": "user", "content": "A colour?"},
        {"role": "assistant", "content": answer},
    ]
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    assert tokenizer.decode([*row.prompt, *row.response]) == whole.rstrip("\n")
    asked = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    assert tokenizer.decode(row.prompt) == asked


def test_options_of_the_template_change_what_is_asked() -> None:
    record = Record("Hi", "", ("Red",))
    thought = "<think>\n\n</think>\n\n"
    tokenizer = tokenizer_of(QWEN_3)
    assert Chat(tokenizer).show(record) == Shown("<|user|>Hi<|end|>\n<|assistant|>", f"{thought}Red")
    shown = Chat(tokenizer, {"enable_thinking": False}).show(record)
    assert shown == Shown(f"<|user|>Hi<|end|>\n<|assistant|>{thought}", "Red")
    assert Chat(tokenizer).identity != Chat(tokenizer, {"enable_thinking": False}).identity


def test_a_message_that_the_template_moves_changes_nothing_behind_the_question() -> None:
    """The system's is before the last message, as long as that is the user's."""
    moves = (
        "{% for m in messages %}{% if m.role == 'user' %}<|user|>"
        "{% if loop.last and messages[0].role == 'system' %}{{ messages[0].content }} {% endif %}"
        "{{ m.content }}<|assistant|>{% elif m.role == 'assistant' %} {{ m.content }}<|end|>{% endif %}"
        "{% endfor %}"
    )
    record = Record("Hi", "", ("Hi, Red",), "", (Message("system", "Be brief."),))
    assert Chat(tokenizer_of(moves)).show(record) == Shown("<|user|>Be brief. Hi<|assistant|>", " Hi, Red")


@pytest.mark.parametrize("question", ["Hi", "i", "think", "<think>", "assistant"])
def test_what_the_question_says_changes_nothing_behind_it(question: str) -> None:
    chat = Chat(tokenizer_of(DEEPSEEK_R1))
    shown = chat.show(Record(question, "", ("<think>\nblue\n</think>\nRed",)))
    assert (shown.answer, shown.opened) == ("blue\n</think>\nRed", "<think>\n")


def test_a_thought_that_the_prompt_opens_is_not_opened_again() -> None:
    chat = Chat(tokenizer_of(DEEPSEEK_R1))
    thoughtful = chat.show(Record("Hi", "", ("<think>\nblue\n</think>\nRed",)))
    assert thoughtful == Shown("<|user|>Hi<|end|><|assistant|><think>\n", "blue\n</think>\nRed", "<think>\n")
    assert chat.show(Record("Hi", "", ("Red",))).answer == "Red"
    assert chat.show(Record("Hi", "", ())) == Shown("<|user|>Hi<|end|><|assistant|><think>\n", None)


@pytest.mark.parametrize("name", ["tokenize", "messages", "chat_template", "add_generation_prompt"])
def test_what_the_template_is_called_with_is_no_option_of_it(name: str) -> None:
    with pytest.raises(DataError, match=f"template_options: {name} cannot be set"):
        Chat(bpe_tokenizer(), {name: "x"})


def test_a_template_that_tells_the_date_tells_one() -> None:
    dated = Chat(tokenizer_of("Today is {{ strftime_now('%d %b %Y') }}. " + CHATML))
    assert dated.show(Record("Hi", "", ())).prompt.startswith("Today is 26 Jul 2024. <|user|>Hi")


def test_the_end_is_found_with_the_templates_options_and_a_message_of_the_system() -> None:
    wants_system = (
        "{% if messages[0].role != 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
    )
    end = bpe_tokenizer().eos_token_id
    assert turn_end(tokenizer_of(wants_system)) == end
    tokenizer = tokenizer_of(CHATML.replace("<|end|>", "{% if closed %}<|end|>{% endif %}"))
    assert turn_end(tokenizer) is None
    assert turn_end(tokenizer, {"closed": True}) == end
    tokenizer.eos_token = None
    assert (Chat(tokenizer).closing_id, Chat(tokenizer, {"closed": True}).closing_id) == (None, end)


def test_an_answer_is_closed_by_the_templates_own_token() -> None:
    tokenizer = tokenizer_of(CHATML.replace("<|end|>", "<|user|>"))
    (user,) = tokenizer.encode("<|user|>")
    assert turn_end(tokenizer) == Chat(tokenizer).closing_id == user
    tokenizer.eos_token = None
    assert Chat(tokenizer).closing_id == user
    # White space before it is learned, and a token that is not called special is one all the same.
    tokenizer = tokenizer_of(CHATML.replace("<|end|>", "\n<stop>"))
    tokenizer.add_tokens(["<stop>"])
    assert turn_end(tokenizer) == tokenizer.convert_tokens_to_ids("<stop>")
    assert Chat(tokenizer).show(Record("Hi", "", ("Red",))).answer == "Red\n"


@pytest.mark.parametrize(
    "template", ["{{ messages[0].content }}", "{% for m in messages %}{{ m.content }} so{% endfor %}"]
)
def test_without_such_a_token_eos_closes_it(template: str) -> None:
    tokenizer = tokenizer_of(template)
    assert turn_end(tokenizer) is None
    assert Chat(tokenizer).closing_id == tokenizer.eos_token_id
    tokenizer.chat_template = None
    assert turn_end(tokenizer) is None


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('no system role') }}", "no system role; leave out the row"),
        ("{{ 1 // 0 }}", ".* by zero; leave out the row"),
        ("{{ messages + 1 }}", ".*list"),
    ],
)
def test_whatever_the_template_raises_is_a_refusal_of_the_row(template: str, message: str) -> None:
    chat = Chat(tokenizer_of(template))
    assert turn_end(chat.tokenizer) is None
    record = Record("Hi", "", ("Red",), "", (Message("system", "Be brief."),), "chats.jsonl, line 3")
    refusal = "the tokenizer's chat template refuses a conversation of system, user"
    with pytest.raises(DataError, match=f"^chats.jsonl, line 3: {refusal}: {message}"):
        list(encode([record], chat, Limits(60, 90)))
    assert list(encode([record], chat, Limits(60, 90), skip_refused=True)) == [None]


def test_rows_that_are_refused_leave_the_others_as_they_are() -> None:
    no_system = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
    chat = Chat(tokenizer_of(no_system + CHATML))
    good = [Record(f"ask {i}", "", (f"answer <|end|> {i}" if i % 3 else "x",)) for i in range(5)]
    bad = Record("Hi", "", ("Red",), "", (Message("system", "Be brief."),))
    mixed = [good[0], bad, *good[1:3], bad, *good[3:]]
    rows = list(encode(mixed, chat, Limits(60, 90), skip_refused=True))
    assert [row is None for row in rows] == [False, True, False, False, True, False, False]
    assert [row for row in rows if row is not None] == list(encode(good, chat, Limits(60, 90)))
