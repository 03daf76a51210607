"""Texts that spell special tokens: in a template they are control tokens, in a record they are text."""

import json
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cached_property, lru_cache

from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerFast

from py_worker.data.records import Record
from py_worker.data.shown import Shown
from py_worker.data.templates import Template

_PRIVATE = range(0xF0000, 0xFFFFE)
"""A private use area of Unicode: 65,534 characters that no language has."""
_NONCHARACTER = "\U0010ffff"
"""A code point that Unicode keeps out of texts."""


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: list[str], special_tokens: bool) -> list[list[int]]:
    """Ids of texts, nothing added; with `special_tokens` those that a text spells are read as tokens.

    Without, a Unigram model that has special tokens as pieces, as T5's has `</s>`, finds them all the same:
    texts in which it does are read again without these pieces.
    """
    ids = _ids_of(tokenizer, texts, special_tokens)
    if special_tokens:
        return ids
    specials = _specials(tokenizer)
    spelled = [place for place, row in enumerate(ids) if not specials.isdisjoint(row)]
    if spelled:
        again = _ids_of(_without_pieces(tokenizer), [texts[place] for place in spelled], False)
        for place, row in zip(spelled, again, strict=True):
            ids[place] = row
    return ids


def _ids_of(tokenizer: PreTrainedTokenizerFast, texts: list[str], special_tokens: bool) -> list[list[int]]:
    encoded = tokenizer(
        texts,
        add_special_tokens=False,
        split_special_tokens=not special_tokens,
        return_attention_mask=False,
        verbose=False,
    )
    ids: list[list[int]] = encoded["input_ids"]
    return ids


@lru_cache(maxsize=4)
def _specials(tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """Ids that no text may be read as; an unknown character may."""
    ids = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    return frozenset(ids - {tokenizer.unk_token_id})


@lru_cache(maxsize=4)
def _without_pieces(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """A copy whose Unigram model has names for special tokens that no text has; other models find none.

    0.1 s for 32,000 pieces, 0.8 s for 250,000, hence once.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    if state["model"]["type"] != "Unigram":
        return tokenizer
    pieces, specials = state["model"]["vocab"], _specials(tokenizer)
    for index in specials:
        if index < len(pieces):
            pieces[index][0] = f"{_NONCHARACTER}{index}"
    for token in state["added_tokens"]:
        if token["id"] in specials:
            token["content"] = f"{_NONCHARACTER}{token['id']}"
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)))


class Speller:
    """Tokenizes records that spell special tokens, for a template that has special tokens of its own.

    Each special token has a mark, a character that no such record has. While the template renders, marks
    stand for what the record spells; after that for the template's own tokens, which a copy of the tokenizer
    knows by them. So one text holds both, and is tokenized as any other.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, template: Template, records: Sequence[Record]):
        self._tokenizer = tokenizer
        self._template = template
        self._specials = {i: token for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        contents = sorted((token.content for token in self._specials.values()), key=len, reverse=True)
        self._pattern = re.compile(f"({'|'.join(map(re.escape, contents)) or '(?!)'})")
        own = {mark for record in records if self.spells(record) for text in _texts(record) for mark in text}
        free = (mark for mark in map(chr, _PRIVATE) if mark not in own)
        self._marks = dict(zip(contents, free, strict=False))
        self._spellings = str.maketrans({mark: content for content, mark in self._marks.items()})

    def spells(self, record: Record) -> bool:
        """Whether one of the record's texts that are tokenized has a special token in it."""
        return any(self._pattern.search(text) for text in _texts(record))

    def show(self, record: Record) -> Shown:
        """What the template shows, in which marks stand for the template's own special tokens."""
        marked = replace(
            record,
            instruction=self._mark(record.instruction),
            input=self._mark(record.input),
            history=tuple(replace(each, content=self._mark(each.content)) for each in record.history),
            outputs=tuple(map(self._mark, record.outputs[:1])),
        )
        shown = self._template.show(marked)
        answer = None if shown.answer is None else self._swap(shown.answer)
        return replace(shown, prompt=self._swap(shown.prompt), answer=answer)

    def _mark(self, text: str) -> str:
        return self._pattern.sub(lambda match: self._marks[match[0]], text)

    def _swap(self, shown: str) -> str:
        """Marks for special tokens, and for marks what they stood for."""
        return "".join(
            self._marks[stretch] if index % 2 else stretch.translate(self._spellings)
            for index, stretch in enumerate(self._pattern.split(shown))
        )

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Ids of texts in which marks are special tokens, and nothing else is."""
        marked, ids = self._marked
        return [[ids.get(i, i) for i in row] for row in tokenize(marked, texts, special_tokens=False)]

    @cached_property
    def _marked(self) -> tuple[PreTrainedTokenizerFast, dict[int, int]]:
        """The tokenizer with the marks as tokens, and what each of their ids stands for."""
        marked = deepcopy(self._tokenizer)
        tokens = [
            AddedToken(
                self._marks[token.content],
                lstrip=token.lstrip,
                rstrip=token.rstrip,
                single_word=token.single_word,
                normalized=False,
                special=False,
            )
            for token in self._specials.values()
        ]
        marked.add_tokens(tokens)  # at once: each call reads all of the tokenizer
        ids = marked.convert_tokens_to_ids([token.content for token in tokens])
        return marked, dict(zip(ids, self._specials, strict=True))


def _texts(record: Record) -> tuple[str, ...]:
    earlier = (message.content for message in record.history)
    return (*earlier, record.instruction, record.input, *record.outputs[:1])
