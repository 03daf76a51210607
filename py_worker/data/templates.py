"""Prompt templates: how what a record asks becomes the text before the response."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerFast

from py_worker.data.errors import DataError
from py_worker.data.records import Message, Record

_TASK = "Below is an instruction that describes a task"
_REQUEST = "Write a response that appropriately completes the request."


@dataclass(frozen=True)
class Template:
    """A prompt template.

    Attributes:
        render: `(tokenizer, record) -> prompt`.
        special_tokens: whether the prompt spells special tokens that must become ids. Where it does not, a
            text that happens to spell one stays text.
    """

    render: Callable[[PreTrainedTokenizerFast, Record], str]
    special_tokens: bool = False

    def closing_id(self, tokenizer: PreTrainedTokenizerFast) -> int | None:
        """Id of the token that closes a response: EOS, in a chat its own token where it has one."""
        own = turn_end(tokenizer) if self.special_tokens else None
        return tokenizer.eos_token_id if own is None else own


def _alpaca(instruction: str, text: str) -> str:
    """The wrapper that the instruction-following tables of the literature use, word for word."""
    if not text:
        return f"{_TASK}. {_REQUEST}\n\n### Instruction:\n{instruction}\n\n### Response:\n"
    return (
        f"{_TASK}, paired with an input that provides further context. {_REQUEST}\n\n"
        f"### Instruction:\n{instruction}\n\n### Input:\n{text}\n\n### Response:\n"
    )


def _plain(instruction: str, text: str) -> str:
    """Instruction and input on a line each: short, for models that read single characters."""
    return f"{instruction}\n{text}\n" if text else f"{instruction}\n"


def _text(instruction: str, text: str) -> str:
    """Nothing around: plain text, of which the instruction is the beginning and the response the rest."""
    return f"{instruction}{text}"


def _of_one_question(wrap: Callable[[str, str], str]) -> Template:
    """A template of instruction and input alone."""

    def render(_: PreTrainedTokenizerFast, record: Record) -> str:
        if record.history:
            roles = ", ".join(message.role for message in record.history)
            raise DataError(
                f"a conversation has messages before the user's last ({roles}), which only the template chat "
                f"can show; the last is {record.instruction[:60]!r}"
            )
        return wrap(record.instruction, record.input)

    return Template(render)


def _chat(tokenizer: PreTrainedTokenizerFast, record: Record) -> str:
    """The tokenizer's own chat template, up to where the assistant speaks; the input follows the instruction.

    Raises:
        DataError: the tokenizer has no chat template, or it refuses the conversation.
    """
    if not tokenizer.chat_template:
        raise DataError(
            "the tokenizer has no chat template; take another: alpaca, plain or text (--template, or the "
            "dataset's template)"
        )
    content = f"{record.instruction}\n\n{record.input}" if record.input else record.instruction
    messages = [vars(message) for message in (*record.history, Message("user", content))]
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in messages)
        raise DataError(
            f"the tokenizer's chat template refuses a conversation of {roles}: {error}; its last message is "
            f"{content[:60]!r}"
        ) from error


def turn_end(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """Id of the special token that the chat template puts right behind an answer; None where it puts none.

    It is not EOS everywhere: Gemma's is `<end_of_turn>`, Phi-3's `<|end|>`, that of Qwen's base models
    `<|im_end|>`.
    """
    if not tokenizer.chat_template:
        return None
    answer = "answer"
    messages = [{"role": "user", "content": "question"}, {"role": "assistant", "content": answer}]
    try:
        shown = str(tokenizer.apply_chat_template(messages, tokenize=False))
    except (TemplateError, TypeError):
        return None
    _, found, behind = shown.rpartition(answer)
    first, *_ = tokenizer(behind, add_special_tokens=False)["input_ids"] or [None]
    token = tokenizer.added_tokens_decoder.get(first)
    return first if found and token is not None and token.special else None


TEMPLATES: Mapping[str, Template] = {
    "alpaca": _of_one_question(_alpaca),
    "chat": Template(_chat, special_tokens=True),
    "plain": _of_one_question(_plain),
    "text": _of_one_question(_text),
}
