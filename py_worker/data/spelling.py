"""Texts that spell special tokens: in a template they are control tokens, in a record they are text."""

import re

from transformers import PreTrainedTokenizerFast

from py_worker.data.records import Record
from py_worker.data.templates import Template

_PRIVATE = range(0xE000, 0xF900)
"""The private use area of Unicode: 6,400 characters that no language has."""


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: list[str], special_tokens: bool) -> list[list[int]]:
    """Ids of texts, nothing added; with `special_tokens` those that a text spells are read as tokens."""
    encoded = tokenizer(
        texts,
        add_special_tokens=False,
        split_special_tokens=not special_tokens,
        return_attention_mask=False,
        verbose=False,
    )
    ids: list[list[int]] = encoded["input_ids"]
    return ids


class Speller:
    """Tokenizes records that spell special tokens, for a template that has special tokens of its own."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, template: Template):
        self._tokenizer = tokenizer
        self._template = template
        added = tokenizer.added_tokens_decoder.values()
        self._specials = sorted((token.content for token in added if token.special), key=len, reverse=True)
        self._pattern = re.compile(f"({'|'.join(map(re.escape, self._specials)) or '(?!)'})")

    def spells(self, record: Record) -> bool:
        """Whether one of the record's texts that are tokenized has a special token in it."""
        texts = (record.instruction, record.input, *record.outputs[:1])
        return any(self._pattern.search(text) for text in texts)

    def text(self, text: str) -> list[int]:
        """Ids of a text in which nothing is special."""
        return tokenize(self._tokenizer, [text], special_tokens=False)[0]

    def prompt(self, record: Record) -> list[int]:
        """Ids of the rendered prompt, each stretch between the template's own special tokens by itself."""
        # Marked while it is rendered, so that what the template adds can be told from what the record says.
        own = {*record.instruction, *record.input}
        free = (mark for mark in map(chr, _PRIVATE) if mark not in own)
        marks = dict(zip(self._specials, free, strict=False))

        def mark(text: str) -> str:
            return self._pattern.sub(lambda match: marks[match[0]], text)

        rendered = self._template.render(self._tokenizer, mark(record.instruction), mark(record.input))
        spellings = str.maketrans({mark: special for special, mark in marks.items()})
        ids: list[int] = []
        for index, stretch in enumerate(self._pattern.split(rendered)):
            if index % 2:
                ids.append(self._tokenizer.convert_tokens_to_ids(stretch))
            elif stretch:
                ids += self.text(stretch.translate(spellings))
        return ids
