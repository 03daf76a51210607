"""Prompt templates: how an instruction and its input become the text before the response."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from py_worker.data.errors import DataError

_TASK = "Below is an instruction that describes a task"
_REQUEST = "Write a response that appropriately completes the request."


@dataclass(frozen=True)
class Template:
    """A prompt template.

    Attributes:
        render: `(tokenizer, instruction, input) -> prompt`.
        special_tokens: whether the prompt spells special tokens that must become ids. Where it does not, a
            text that happens to spell one stays text.
    """

    render: Callable[[PreTrainedTokenizerFast, str, str], str]
    special_tokens: bool = False


def _alpaca(_: PreTrainedTokenizerFast, instruction: str, text: str) -> str:
    """The wrapper that the instruction-following tables of the literature use, word for word."""
    if not text:
        return f"{_TASK}. {_REQUEST}\n\n### Instruction:\n{instruction}\n\n### Response:\n"
    return (
        f"{_TASK}, paired with an input that provides further context. {_REQUEST}\n\n"
        f"### Instruction:\n{instruction}\n\n### Input:\n{text}\n\n### Response:\n"
    )


def _plain(_: PreTrainedTokenizerFast, instruction: str, text: str) -> str:
    """Instruction and input on a line each: short, for models that read single characters."""
    return f"{instruction}\n{text}\n" if text else f"{instruction}\n"


def _text(_: PreTrainedTokenizerFast, instruction: str, text: str) -> str:
    """Nothing around: plain text, of which the instruction is the beginning and the response the rest."""
    return f"{instruction}{text}"


def _chat(tokenizer: PreTrainedTokenizerFast, instruction: str, text: str) -> str:
    """The tokenizer's own chat template with one user message, up to where the assistant speaks.

    Raises:
        DataError: the tokenizer has no chat template.
    """
    if not tokenizer.chat_template:
        raise DataError(
            "the tokenizer has no chat template; take another: alpaca, plain or text (--template, or the "
            "dataset's template)"
        )
    content = f"{instruction}\n\n{text}" if text else instruction
    messages = [{"role": "user", "content": content}]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


TEMPLATES: Mapping[str, Template] = {
    "alpaca": Template(_alpaca),
    "chat": Template(_chat, special_tokens=True),
    "plain": Template(_plain),
    "text": Template(_text),
}
