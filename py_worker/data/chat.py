"""A tokenizer's own chat template: conversations as its model was trained to see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from inspect import signature

from transformers import PreTrainedTokenizerFast

from py_worker.data.errors import DataError
from py_worker.data.records import Message, Record
from py_worker.data.shown import Shown

_ANSWER = "answer"
_MARK = "\U0010fffe"
"""Stands for a question; no text has it."""
_DATE = {"%Y": "2024", "%m": "07", "%d": "26", "%b": "Jul", "%B": "July", "%a": "Fri", "%A": "Friday"}
_CALENDAR = "".join(
    [
        "{% macro strftime_now(format) %}{{ format",
        *(f"|replace('{directive}', '{text}')" for directive, text in _DATE.items()),
        "|replace('%H', '12')|replace('%M', '00')|replace('%S', '00') }}{% endmacro %}",
    ]
)
"""Before templates that ask for the day: rows must not depend on when they are tokenized. It is the day that
Llama 3's template takes where it is told none."""
_RESERVED = frozenset({"messages", *signature(PreTrainedTokenizerFast.apply_chat_template).parameters})


@dataclass(frozen=True)
class Chat:
    """Shows a record as the chat template shows a conversation; an input follows its instruction.

    Attributes:
        tokenizer: whose template it is.
        options: variables of the template besides the messages, such as `enable_thinking`.
    """

    tokenizer: PreTrainedTokenizerFast
    options: Mapping[str, bool | float | str] = field(default_factory=dict)
    special_tokens = True

    def __post_init__(self) -> None:
        if not self.tokenizer.chat_template:
            raise DataError(
                "the tokenizer has no chat template; take another: alpaca, plain or text (--template, or the "
                "dataset's template)"
            )
        if taken := _RESERVED.intersection(self.options):
            raise DataError(f"template_options: {', '.join(sorted(taken))} cannot be set")

    @property
    def identity(self) -> list[object]:
        """All that decides what is shown, but the tokenizer."""
        return ["chat", dict(self.options)]

    @property
    def closing_id(self) -> int | None:
        """The template's own end of an answer, or EOS where it has none."""
        return self.tokenizer.eos_token_id if self._end is None else self._end

    def show(self, record: Record) -> Shown:
        """The prompt up to where the assistant speaks, and the answer as the template shows it behind that.

        So both together are the ids of the whole conversation, with what some templates put before an answer:
        a space (Mistral), an empty thought (Qwen3).

        Raises:
            DataError: the template refuses the conversation.
        """
        prompt, whole = self._asked(record), self._answered(record)
        if whole is None:
            return Shown(prompt, None)
        if whole.startswith(prompt):
            return Shown(prompt, self._without_end(whole[len(prompt) :]))
        # Some templates of Mistral's move the system's message; what is behind the question is as it was.
        marked = replace(record, instruction=_MARK, input="")
        behind = self._asked(marked).rpartition(_MARK)[2]
        shown = (self._answered(marked) or "").rpartition(_MARK)[2]
        if shown.startswith(behind):
            return Shown(prompt, self._without_end(shown[len(behind) :]))
        # DeepSeek-R1's prompt opens a thought, and its conversations have none.
        opened = behind[_common(behind, shown) :]
        return Shown(prompt, record.outputs[0].removeprefix(opened), opened=opened)

    def _asked(self, record: Record) -> str:
        return self._render(_question(record), ask=True)

    def _answered(self, record: Record) -> str | None:
        """The whole conversation; None without a reference."""
        answer = (Message("assistant", text) for text in record.outputs[:1])
        return self._render([*_question(record), *answer], ask=False) if record.outputs else None

    def _without_end(self, shown: str) -> str:
        if self._end_text is None:
            return shown
        before, found, _ = shown.rpartition(self._end_text)
        return before if found else shown

    @cached_property
    def _end(self) -> int | None:
        return turn_end(self.tokenizer, self.options)

    @cached_property
    def _end_text(self) -> str | None:
        return None if self._end is None else self.tokenizer.added_tokens_decoder[self._end].content

    def _render(self, messages: Sequence[Message], *, ask: bool) -> str:
        try:
            return _rendered(self.tokenizer, messages, self.options, ask=ask)
        except Exception as error:  # a template is a program of others
            roles = ", ".join(message.role for message in messages)
            raise DataError(
                f"the tokenizer's chat template refuses a conversation of {roles}: {error}; leave out the "
                "row (skip_bad_lines does) or its system message"
            ) from error


def turn_end(
    tokenizer: PreTrainedTokenizerFast, options: Mapping[str, bool | float | str] | None = None
) -> int | None:
    """Id of the added token that the chat template puts behind an answer; None where it puts none.

    It is not EOS everywhere: Gemma's is `<end_of_turn>`, Phi-3's `<|end|>`, that of Qwen's base models
    `<|im_end|>`.
    """
    if not tokenizer.chat_template:
        return None
    messages = (Message("user", "question"), Message("assistant", _ANSWER))
    # Some refuse a system's message, and some want one.
    for before in ((), (Message("system", "system"),)):
        try:
            shown = _rendered(tokenizer, (*before, *messages), options or {}, ask=False)
        except Exception:  # a template is a program of others
            continue
        _, found, behind = shown.rpartition(_ANSWER)
        ids = tokenizer(behind, add_special_tokens=False)["input_ids"] if found else []
        known = tokenizer.added_tokens_decoder
        return next((index for index in ids if index in known and known[index].content.strip()), None)
    return None


def _question(record: Record) -> list[Message]:
    text = f"{record.instruction}\n\n{record.input}" if record.input else record.instruction
    return [*record.history, Message("user", text)]


def _rendered(
    tokenizer: PreTrainedTokenizerFast,
    messages: Sequence[Message],
    options: Mapping[str, bool | float | str],
    *,
    ask: bool,
) -> str:
    plain = [vars(message) for message in messages]
    template = tokenizer.get_chat_template()
    text = tokenizer.apply_chat_template(
        plain,
        chat_template=(_CALENDAR if "strftime_now" in template else "") + template,
        tokenize=False,
        add_generation_prompt=ask,
        **options,
    )
    return str(text)


def _common(left: str, right: str) -> int:
    """Characters that both begin with."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(left), len(right)))
