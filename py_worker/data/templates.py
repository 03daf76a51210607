"""Prompt templates: how a record becomes the text before the response, and the response."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from transformers import PreTrainedTokenizerFast

from py_worker.data.chat import Chat
from py_worker.data.errors import DataError
from py_worker.data.records import Record
from py_worker.data.shown import Shown

_TASK = "Below is an instruction that describes a task"
_REQUEST = "Write a response that appropriately completes the request."


class Template(Protocol):
    """A template, for one tokenizer.

    Attributes:
        tokenizer: whose ids the texts become.
        identity: all that decides what it shows, for JSON.
        special_tokens: whether what it shows has special tokens that must become ids. Where it has none, a
            text that happens to spell one stays text.
    """

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast: ...

    @property
    def identity(self) -> list[object]: ...

    @property
    def special_tokens(self) -> bool: ...

    @property
    def closing_id(self) -> int | None:
        """Id of the token that closes a response; None where the tokenizer has none."""
        ...

    def show(self, record: Record) -> Shown:
        """The texts of a record.

        Raises:
            DataError: it cannot be shown.
        """
        ...


Options = Mapping[str, bool | float | str]


def bound_template(name: str, tokenizer: PreTrainedTokenizerFast, options: Options | None = None) -> Template:
    """The template of that name for a tokenizer.

    Args:
        name: of `TEMPLATES`.
        tokenizer: of the models.
        options: variables of a chat template; the others have none.

    Raises:
        DataError: an unknown name, options of a template that has none, or no chat template for `chat`.
    """
    if name not in TEMPLATES:
        raise DataError(f"no template '{name}'; there are {', '.join(TEMPLATES)}")
    return TEMPLATES[name](tokenizer, options or {})


@dataclass(frozen=True)
class _OneQuestion:
    """A template of instruction and input alone; EOS closes the response."""

    name: str
    wrap: Callable[[str, str], str]
    tokenizer: PreTrainedTokenizerFast
    special_tokens = False

    @property
    def identity(self) -> list[object]:
        return [self.name]

    @property
    def closing_id(self) -> int | None:
        own: int | None = self.tokenizer.eos_token_id
        return own

    def show(self, record: Record) -> Shown:
        if record.history:
            roles = ", ".join(message.role for message in record.history)
            raise DataError(
                f"a conversation has messages before the user's last ({roles}), which only the template chat "
                "can show"
            )
        answer = record.outputs[0] if record.outputs else None
        return Shown(self.wrap(record.instruction, record.input), answer)


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


def _one_question(
    name: str, wrap: Callable[[str, str], str], tokenizer: PreTrainedTokenizerFast, options: Options
) -> Template:
    if options:
        raise DataError(f"template_options are of the template chat; leave out {', '.join(options)}")
    return _OneQuestion(name, wrap, tokenizer)


TEMPLATES: Mapping[str, Callable[[PreTrainedTokenizerFast, Options], Template]] = {
    "alpaca": partial(_one_question, "alpaca", _alpaca),
    "chat": Chat,
    "plain": partial(_one_question, "plain", _plain),
    "text": partial(_one_question, "text", _text),
}
