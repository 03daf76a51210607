"""Records to token ids: prompt, response, and where either was cut."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from py_worker.data.errors import DataError
from py_worker.data.records import Record
from py_worker.data.shown import Shown
from py_worker.data.spelling import Speller, tokenize
from py_worker.data.templates import Template

# Rows tokenized in one call: enough for the tokenizer's threads, little enough to hold few texts twice.
_CHUNK = 2048


@dataclass(frozen=True)
class Limits:
    """Cuts, in tokens.

    Attributes:
        max_prompt_tokens: of the prompt.
        max_tokens: of prompt and response together.
        drop_long_prompts: rows whose prompt would be cut are left out of the dataset.

    Raises:
        DataError: no token is left for a response.
    """

    max_prompt_tokens: int = 256
    max_tokens: int = 512
    drop_long_prompts: bool = False

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
    records: Sequence[Record],
    template: Template,
    limits: Limits,
    *,
    for_encoder: bool = False,
    skip_refused: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[EncodedRow | None]:
    """Shows and tokenizes records, no special tokens added; the template's closing token ends responses.

    A prompt that is too long loses its end, as in MiniLLM's reference code (our choice to follow it). Prompt
    and response are tokenized as one text where that leaves the prompt's ids as they are alone, which is how
    a model meets them in generation; where a token would span the border, each is tokenized by itself (our
    choice). Only a template's own text may hold special tokens: where a record spells one it stays text.

    Args:
        records: rows of a dataset.
        template: how they are shown, with the models' tokenizer.
        limits: cuts.
        for_encoder: prompts go to an encoder. Each is tokenized by itself, and ends as the tokenizer ends a
            text (T5's EOS), after any cut; so encoders were trained.
        skip_refused: None in place of a record that the template cannot show, instead of an error.
        tick: called before each chunk of rows; may raise to stop.

    Raises:
        DataError: a record that the template cannot show, or a tokenizer without EOS.
    """
    tokenizer, closing = template.tokenizer, template.closing_id
    if closing is None:
        raise DataError("the tokenizer has no EOS token, so no response could end; set its eos_token")
    speller = Speller(tokenizer, template, records) if template.special_tokens else None
    ending = _ending(tokenizer) if for_encoder else None
    joint = ending is None
    for start in range(0, len(records), _CHUNK):
        tick()
        chunk = records[start : start + _CHUNK]
        shown = [_show(record, template.show, skip_refused) for record in chunk]
        there = [each for each in shown if each is not None]
        pairs = _pairs(there, lambda texts: tokenize(tokenizer, texts, template.special_tokens), joint=joint)
        rows = iter(pairs)
        for record, each in zip(chunk, shown, strict=True):
            if each is None:
                yield None
                continue
            prompt, response = next(rows)
            if speller is not None and speller.spells(record):
                ((prompt, response),) = _pairs([speller.show(record)], speller.tokenize, joint=joint)
            yield _cut(prompt, response, closing, limits, ending or [])


Pair = tuple[list[int], list[int] | None]
"""Ids of the prompt and, without its end, of the response; None where there is no answer."""


def _show(record: Record, show: Callable[[Record], Shown], skip_refused: bool) -> Shown | None:
    try:
        return show(record)
    except DataError as error:
        if skip_refused:
            return None
        raise DataError(f"{record.place}: {error}" if record.place else str(error)) from error


def _pairs(
    shown: Sequence[Shown], ids_of: Callable[[list[str]], list[list[int]]], *, joint: bool
) -> list[Pair]:
    """Ids of the prompts and of the answers; with `joint` of the answers after them."""
    if not shown:
        return []
    prompts = [each.prompt for each in shown]
    if not joint:
        responses = ids_of([each.answer or "" for each in shown])
        both = zip(shown, ids_of(prompts), responses, strict=True)
        return [(prompt, None if each.answer is None else ids) for each, prompt, ids in both]
    joined = ids_of([each.prompt + (each.answer or "") for each in shown])
    pairs: list[Pair] = []
    for each, prompt, whole in zip(shown, ids_of(prompts), joined, strict=True):
        if each.answer is None:
            pairs.append((prompt, None))
        elif whole[: len(prompt)] == prompt:
            pairs.append((prompt, whole[len(prompt) :]))
        else:
            pairs.append((prompt, ids_of([each.answer])[0]))
    return pairs


def _ending(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Ids that the tokenizer itself puts behind a text.

    Raises:
        DataError: it puts some in front.
    """
    bare, whole = (tokenizer("a", add_special_tokens=add)["input_ids"] for add in (False, True))
    if whole[: len(bare)] != bare:
        raise DataError(
            "the tokenizer puts a special token before a text, which T5's does not: other encoders than that "
            "family's are not supported"
        )
    return list(whole[len(bare) :])


def _cut(
    prompt: list[int], response: list[int] | None, closing: int, limits: Limits, ending: list[int]
) -> EncodedRow:
    """`ending` closes the prompt, within its limit."""
    own = prompt[: max(0, limits.max_prompt_tokens - len(ending))]
    kept, prompt_cut = (own + ending)[: limits.max_prompt_tokens], len(own) < len(prompt)
    if response is None:
        return EncodedRow(kept, [], has_eos=False, prompt_cut=prompt_cut)
    room = limits.max_tokens - len(kept)
    has_eos = len(response) < room
    return EncodedRow(kept, [*response, closing] if has_eos else response[:room], has_eos, prompt_cut)
