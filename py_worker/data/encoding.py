"""Records to token ids: prompt, response, and where either was cut."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from py_worker.data.errors import DataError
from py_worker.data.records import Record
from py_worker.data.spelling import Speller, tokenize
from py_worker.data.templates import TEMPLATES, Template

# Rows tokenized in one call: enough for the tokenizer's threads, little enough to hold few texts twice.
_CHUNK = 2048


@dataclass(frozen=True)
class Limits:
    """Cuts, in tokens: of the prompt, and of prompt and response together.

    Raises:
        DataError: no token is left for a response.
    """

    max_prompt_tokens: int = 256
    max_tokens: int = 512

    def __post_init__(self) -> None:
        if not 1 <= self.max_prompt_tokens < self.max_tokens:
            raise DataError(
                f"max_prompt_tokens is {self.max_prompt_tokens} and max_tokens {self.max_tokens}; "
                "a prompt needs at least one token, and max_tokens must leave room for a response"
            )


@dataclass(frozen=True)
class EncodedRow:
    """One example in token ids.

    Attributes:
        prompt: ids of the prompt.
        response: ids of the first reference, EOS included where `has_eos`; empty where there is no reference.
        has_eos: whether the response ended by itself; one cut at the limit has no EOS to learn.
        prompt_cut: whether the prompt was cut.
    """

    prompt: list[int]
    response: list[int]
    has_eos: bool
    prompt_cut: bool


def encode(
    records: Sequence[Record], tokenizer: PreTrainedTokenizerFast, template: str, limits: Limits
) -> Iterator[EncodedRow]:
    """Renders and tokenizes records, without adding special tokens; EOS closes each response.

    A prompt that is too long loses its end, as in MiniLLM's reference code (our choice to follow it). Prompt
    and response are tokenized as one text where that leaves the prompt's ids as they are alone, which is how
    a model meets them in generation; where a token would span the border, each is tokenized by itself (our
    choice). Only a template's own text may hold special tokens: where a record spells one it stays text, and
    its prompt and response are tokenized each by itself.

    Raises:
        DataError: an unknown template, a tokenizer without EOS, or one without a chat template for `chat`.
    """
    if template not in TEMPLATES:
        raise DataError(f"no template '{template}'; there are {', '.join(TEMPLATES)}")
    if tokenizer.eos_token_id is None:
        raise DataError("the tokenizer has no EOS token, so no response could end; set its eos_token")
    chosen = TEMPLATES[template]
    for start in range(0, len(records), _CHUNK):
        chunk = records[start : start + _CHUNK]
        pairs = _common(chunk, tokenizer, chosen)
        if chosen.special_tokens:
            speller = Speller(tokenizer, chosen)
            for index, record in enumerate(chunk):
                if speller.spells(record):
                    pairs[index] = _spelled(record, speller)
        for prompt, response in pairs:
            yield _cut(prompt, response, tokenizer.eos_token_id, limits)


Pair = tuple[list[int], list[int] | None]
"""Ids of the prompt and, without EOS, of the response; None where there is no answer."""


def _common(records: Sequence[Record], tokenizer: PreTrainedTokenizerFast, template: Template) -> list[Pair]:
    """Of records that spell no special token."""
    prompts = [template.render(tokenizer, record.instruction, record.input) for record in records]
    prompt_ids = tokenize(tokenizer, prompts, template.special_tokens)
    answers = [_answer(record) for record in records]
    responses = _responses(tokenizer, prompts, prompt_ids, answers, template.special_tokens)
    return list(zip(prompt_ids, responses, strict=True))


def _spelled(record: Record, speller: Speller) -> Pair:
    answer = _answer(record)
    return speller.prompt(record), None if answer is None else speller.text(answer)


def _answer(record: Record) -> str | None:
    return record.outputs[0] if record.outputs else None


def _responses(
    tokenizer: PreTrainedTokenizerFast,
    prompts: list[str],
    prompt_ids: list[list[int]],
    answers: list[str | None],
    special_tokens: bool,
) -> list[list[int] | None]:
    """Ids of the answers after their prompts, without EOS; None where there is no answer."""
    texts = [prompt + (answer or "") for prompt, answer in zip(prompts, answers, strict=True)]
    responses: list[list[int] | None] = []
    joint = tokenize(tokenizer, texts, special_tokens)
    for prompt, whole, answer in zip(prompt_ids, joint, answers, strict=True):
        if answer is None:
            responses.append(None)
        elif whole[: len(prompt)] == prompt:
            responses.append(whole[len(prompt) :])
        else:
            responses.append(tokenize(tokenizer, [answer], special_tokens)[0])
    return responses


def _cut(prompt: list[int], response: list[int] | None, eos_id: int, limits: Limits) -> EncodedRow:
    kept = prompt[: limits.max_prompt_tokens]
    prompt_cut = len(kept) < len(prompt)
    if response is None:
        return EncodedRow(kept, [], has_eos=False, prompt_cut=prompt_cut)
    room = limits.max_tokens - len(kept)
    has_eos = len(response) < room
    return EncodedRow(kept, [*response, eos_id] if has_eos else response[:room], has_eos, prompt_cut)
