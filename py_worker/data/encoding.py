"""Records to token ids: prompt, response, and where either was cut."""

from collections.abc import Callable, Iterator, Sequence
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
    tokenizer: PreTrainedTokenizerFast,
    template: str,
    limits: Limits,
    *,
    for_encoder: bool = False,
) -> Iterator[EncodedRow]:
    """Renders and tokenizes records, without adding special tokens; the template's closing token ends each
    response, which is EOS but for some chats.

    A prompt that is too long loses its end, as in MiniLLM's reference code (our choice to follow it). Prompt
    and response are tokenized as one text where that leaves the prompt's ids as they are alone, which is how
    a model meets them in generation; where a token would span the border, each is tokenized by itself (our
    choice). Only a template's own text may hold special tokens: where a record spells one it stays text.

    Args:
        records: rows of a dataset.
        tokenizer: of the models.
        template: name of how a prompt is rendered.
        limits: cuts.
        for_encoder: prompts go to an encoder. Each is tokenized by itself, and ends as the tokenizer ends a
            text (T5's EOS), after any cut; so encoders were trained.

    Raises:
        DataError: an unknown template, one that cannot show a conversation, or a tokenizer without EOS or,
            for `chat`, without a chat template that takes the records.
    """
    if template not in TEMPLATES:
        raise DataError(f"no template '{template}'; there are {', '.join(TEMPLATES)}")
    chosen = TEMPLATES[template]
    closing = chosen.closing_id(tokenizer)
    if closing is None:
        raise DataError("the tokenizer has no EOS token, so no response could end; set its eos_token")
    speller = Speller(tokenizer, chosen, records) if chosen.special_tokens else None
    ending = _ending(tokenizer) if for_encoder else None
    for start in range(0, len(records), _CHUNK):
        chunk = records[start : start + _CHUNK]
        pairs = _common(chunk, tokenizer, chosen, joint=ending is None)
        if speller is not None:
            for index, record in enumerate(chunk):
                if speller.spells(record):
                    prompts = [speller.prompt(record)]
                    (pairs[index],) = _pairs([record], prompts, speller.tokenize, joint=ending is None)
        for prompt, response in pairs:
            yield _cut(prompt, response, closing, limits, ending or [])


Pair = tuple[list[int], list[int] | None]
"""Ids of the prompt and, without EOS, of the response; None where there is no answer."""


def _common(
    records: Sequence[Record], tokenizer: PreTrainedTokenizerFast, template: Template, *, joint: bool
) -> list[Pair]:
    """Of records that spell no special token."""
    prompts = [template.render(tokenizer, record) for record in records]
    return _pairs(
        records, prompts, lambda texts: tokenize(tokenizer, texts, template.special_tokens), joint=joint
    )


def _pairs(
    records: Sequence[Record],
    prompts: list[str],
    ids_of: Callable[[list[str]], list[list[int]]],
    *,
    joint: bool,
) -> list[Pair]:
    """Ids of the prompts and of the answers; with `joint` of the answers after them."""
    answers = [record.outputs[0] if record.outputs else None for record in records]
    if not joint:
        responses = ids_of([answer or "" for answer in answers])
        each = zip(ids_of(prompts), answers, responses, strict=True)
        return [(prompt, None if answer is None else ids) for prompt, answer, ids in each]
    joined = ids_of([prompt + (answer or "") for prompt, answer in zip(prompts, answers, strict=True)])
    pairs: list[Pair] = []
    for prompt, whole, answer in zip(ids_of(prompts), joined, answers, strict=True):
        if answer is None:
            pairs.append((prompt, None))
        elif whole[: len(prompt)] == prompt:
            pairs.append((prompt, whole[len(prompt) :]))
        else:
            pairs.append((prompt, ids_of([answer])[0]))
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
