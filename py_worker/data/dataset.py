"""A tokenized dataset: tokenized once, then memory-mapped."""

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from py_worker.data.cache import Cached, open_or_build
from py_worker.data.encoding import EncodedRow, Limits, encode
from py_worker.data.errors import DataError
from py_worker.data.records import Record
from py_worker.data.sources import Records
from py_worker.data.templates import Template
from py_worker.data.tokenizer_hash import tokenizer_hash

# Raised when the meaning of a cached array, or how texts become ids, changes.
_LAYOUT = 9


@dataclass(frozen=True)
class TokenizedRow:
    """One example.

    Attributes:
        prompt: int32 ids of the prompt.
        response: int32 ids of the first reference, EOS included where `has_eos`; empty without a reference.
        has_eos: whether the response ended by itself; one cut at the limit has no EOS to learn.
    """

    prompt: NDArray[np.int32]
    response: NDArray[np.int32]
    has_eos: bool


class TokenizedDataset:
    """Rows by number, from memory-mapped arrays.

    Attributes:
        content_hash: of the rows' records, whatever their tokens.
        bad_lines: lines of the source that were skipped, and rows that the template refused.
        cut_prompts: rows whose prompt was cut to the limit.
        dropped_prompts: rows left out in place of that.
        unanswered: rows without a reference; nothing can be learned from them, and no score compares them.
        cut_responses: rows whose response was cut to the limit.
        opened: what the template's prompt opens, see `Shown`.
        put_before: what the template puts before answers, by the first one; empty for white space alone.
        prompt_tokens: sum over rows.
        response_tokens: sum over rows, EOS included.
    """

    def __init__(self, cached: Cached, bad_lines: int) -> None:
        self._tokens = cached.arrays["tokens"]
        self._token_ends = cached.arrays["token_ends"]
        self._has_eos = cached.arrays["has_eos"]
        self._text = cached.arrays["text"]
        self._text_ends = cached.arrays["text_ends"]
        self._reference_ends = cached.arrays["reference_ends"]
        self._row_groups = cached.arrays["groups"]
        self._group_names: list[str] = cached.notes["groups"]
        self.content_hash: str = cached.notes["content_hash"]
        self.bad_lines = bad_lines + int(cached.notes["refused"])
        self.cut_prompts: int = cached.notes["cut_prompts"]
        self.dropped_prompts: int = cached.notes["dropped_prompts"]
        self.unanswered: int = cached.notes["unanswered"]
        self.opened: str = cached.notes["opened"]
        self.put_before: str = cached.notes["put_before"]
        self.cut_responses: int = cached.notes["cut_responses"]
        self.prompt_tokens: int = cached.notes["prompt_tokens"]
        self.response_tokens: int = cached.notes["response_tokens"]

    def __len__(self) -> int:
        return len(self._has_eos)

    def row(self, index: int) -> TokenizedRow:
        """Prompt and response of a row; the arrays are read-only views of the cache.

        Raises:
            IndexError: no such row.
        """
        self._check(index)
        start, middle, end = _bounds(self._token_ends, 2 * index, 2)
        return TokenizedRow(self._tokens[start:middle], self._tokens[middle:end], bool(self._has_eos[index]))

    def require_below(self, size: int) -> None:
        """Checks that all token ids are below `size`, the number of tokens that a model knows.

        Raises:
            DataError: one is not.
        """
        place = int(np.argmax(self._tokens)) if len(self._tokens) else None
        if place is not None and self._tokens[place] >= size:
            row = int(np.searchsorted(self._token_ends, place, side="right")) // 2
            raise DataError(
                f"row {row} (counted from 0) has the token id {self._tokens[place]}, and the model knows "
                f"{size} tokens; leave that token out of text and template, or take a model that has it"
            )

    def lengths(self) -> NDArray[np.int64]:
        """[rows, 2], tokens of each row's prompt and of its response."""
        return np.diff(self._token_ends, prepend=0).reshape(-1, 2)

    def references(self, index: int) -> tuple[str, ...]:
        """All references of a row, as text; none where the source has none.

        Raises:
            IndexError: no such row.
        """
        self._check(index)
        first, last = _bounds(self._reference_ends, index, 1)
        limits = _bounds(self._text_ends, first, last - first)
        return tuple(bytes(self._text[start:end]).decode() for start, end in pairwise(limits))

    def groups(self) -> dict[str, int]:
        """Rows per task or category, where the source has them."""
        counts = np.bincount(self._row_groups, minlength=len(self._group_names)).tolist()
        return {name: rows for name, rows in zip(self._group_names, counts, strict=True) if name}

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of a dataset of {len(self)} rows")


def tokenize_dataset(
    records: Records,
    template: Template,
    limits: Limits,
    cache_folder: Path,
    *,
    for_encoder: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> TokenizedDataset:
    """Tokenizes records as `encode` does, or takes the result of an earlier call from the cache.

    The cache is keyed by all that decides the result. `tick` is called as `encode` calls it: where it raises,
    nothing is cached.

    Raises:
        DataError: a row that the template cannot show and that is not to be skipped, a cache that cannot be
            written, or no row is left.
    """
    identity = [_LAYOUT, hash_records(records.rows), tokenizer_hash(template.tokenizer), template.identity]
    key = _hash([json.dumps([*identity, for_encoder, records.skips, *astuple(limits)]).encode()])

    def built() -> Cached:
        encoded = encode(
            records.rows,
            template,
            limits,
            for_encoder=for_encoder,
            skip_refused=records.skips,
            tick=tick,
        )
        rows = _build(zip(records.rows, encoded, strict=True), drop_cut=limits.drop_long_prompts)
        return replace(rows, notes={**rows.notes, **_around_answers(records.rows, template)})

    dataset = TokenizedDataset(open_or_build(cache_folder, key, built), records.bad_lines)
    if records.rows and dataset.dropped_prompts == 0 and not len(dataset):
        next(encode(records.rows, template, limits, for_encoder=for_encoder))  # says where and why
        raise DataError(f"the template shows none of the {len(records.rows)} rows")
    if dataset.dropped_prompts and not len(dataset):
        raise DataError(
            f"all {dataset.dropped_prompts} prompts are over {limits.max_prompt_tokens} tokens; raise "
            "max_prompt_tokens, or cut them (long_prompts: cut)"
        )
    return dataset


def _around_answers(records: Sequence[Record], template: Template) -> dict[str, str]:
    """By the first answer that can be shown."""
    for record in records:
        try:
            shown = template.show(record) if record.outputs and record.outputs[0].strip() else None
        except DataError:
            continue
        if shown is not None and shown.answer is not None:
            before, found, _ = shown.answer.partition(record.outputs[0].strip())
            return {"opened": shown.opened, "put_before": before if found and before.strip() else ""}
    return {"opened": "", "put_before": ""}


def hash_records(records: Iterable[Record]) -> str:
    """32 hexadecimal digits that depend on every field of every record, and on their order."""
    return _hash(json.dumps(_fields(record)).encode() for record in records)


def _fields(record: Record) -> list[object]:
    fields: list[object] = [record.instruction, record.input, record.outputs, record.group]
    return [*fields, [vars(message) for message in record.history]] if record.history else fields


def _hash(parts: Iterable[bytes]) -> str:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(part + b"\n")
    return digest.hexdigest()


def _bounds(ends: NDArray[np.int64], first: int, count: int) -> list[int]:
    """Start of item `first`, then the ends of `count` items; item i begins where item i - 1 ends."""
    start = int(ends[first - 1]) if first else 0
    return [start, *ends[first : first + count].tolist()]


def _build(pairs: Iterable[tuple[Record, EncodedRow | None]], *, drop_cut: bool) -> Cached:
    """Rows in their order, but those that were refused and, with `drop_cut`, those whose prompt was cut."""
    tokens, token_ends, has_eos = array("i"), array("q"), array("b")
    counts: Counter[str] = Counter()
    records: list[Record] = []
    for record, row in pairs:
        if row is None:
            counts["refused"] += 1
            continue
        if drop_cut and row.prompt_cut:
            counts["dropped_prompts"] += 1
            continue
        records.append(record)
        for ids in (row.prompt, row.response):
            tokens.extend(ids)
            token_ends.append(len(tokens))
        has_eos.append(row.has_eos)
        counts["prompt_tokens"] += len(row.prompt)
        counts["response_tokens"] += len(row.response)
        counts["cut_prompts"] += row.prompt_cut
        counts["cut_responses"] += bool(record.outputs) and not row.has_eos
        counts["unanswered"] += not record.outputs
    names = (
        *("prompt_tokens", "response_tokens", "cut_prompts", "cut_responses"),
        *("dropped_prompts", "refused", "unanswered"),
    )
    group_names = sorted({record.group for record in records})
    group_numbers = {name: number for number, name in enumerate(group_names)}
    notes = {name: counts[name] for name in names}
    return Cached(
        arrays={
            "tokens": np.frombuffer(tokens, np.int32),
            "token_ends": np.frombuffer(token_ends, np.int64),
            "has_eos": np.frombuffer(has_eos, np.int8),
            "groups": np.array([group_numbers[record.group] for record in records], np.int32),
            **_reference_arrays(records),
        },
        notes={**notes, "content_hash": hash_records(records), "groups": group_names},
    )


def _reference_arrays(records: Sequence[Record]) -> Mapping[str, NDArray[Any]]:
    texts = [text.encode() for record in records for text in record.outputs]
    return {
        "text": np.frombuffer(b"".join(texts), np.uint8),
        "text_ends": np.cumsum([len(text) for text in texts], dtype=np.int64),
        "reference_ends": np.cumsum([len(record.outputs) for record in records], dtype=np.int64),
    }
