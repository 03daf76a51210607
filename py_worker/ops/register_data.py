"""Reads, tokenizes and names a dataset."""

import json
from collections import Counter
from pathlib import Path

from msgspec import UNSET

from py_worker.data.dataset import TokenizedDataset, tokenize_dataset
from py_worker.data.encoding import Limits
from py_worker.data.errors import DataError
from py_worker.data.sources import read_records
from py_worker.data.templates import Template, bound_template
from py_worker.ops.support.specs import data_source, given
from py_worker.protocol_gen import RegisterDataArgs, RegisterDataResult
from py_worker.session.context import OperationContext
from py_worker.session.errors import ArgumentError
from py_worker.session.session import Session

# As many as the contract lets a reply name.
_MOST_GROUPS = 256


def run(session: Session, args: RegisterDataArgs, context: OperationContext) -> RegisterDataResult:
    """The student's tokenizer makes the tokens, or the teacher's where there is no student."""
    if args.dataset in session.datasets:
        raise ArgumentError(f"dataset: {args.dataset!r} is registered already; send reset first")
    settings, policy = session.configured(), session.any_role().policy
    source = args.source
    limits = Limits(
        source.max_prompt_tokens, source.max_tokens, drop_long_prompts=source.long_prompts == "drop"
    )
    options = json.loads(given(source.template_options) or "{}")
    records = read_records(data_source(source))
    context.check()
    cache = Path(settings.cache_dir).expanduser()
    try:
        template = bound_template(source.template, policy.tokenizer, options)
        dataset = tokenize_dataset(
            records, template, limits, cache, for_encoder=policy.has_encoder, tick=context.check
        )
    except DataError as error:
        raise DataError(f"dataset {args.dataset}: {error}") from error
    dataset.require_below(policy.vocab_size)
    notes = _end_notes(session, template) if dataset.response_tokens else []
    notes += _answer_notes(dataset)
    result = RegisterDataResult(
        rows=len(dataset),
        content_hash=dataset.content_hash,
        prompt_tokens=dataset.prompt_tokens,
        response_tokens=dataset.response_tokens,
        bad_lines=dataset.bad_lines,
        cut_prompts=dataset.cut_prompts,
        dropped_prompts=dataset.dropped_prompts,
        cut_responses=dataset.cut_responses,
        groups=dict(Counter(dataset.groups()).most_common(_MOST_GROUPS)),
        unanswered=dataset.unanswered,
        notes=notes or UNSET,
    )
    context.commit()
    session.datasets[args.dataset] = dataset
    return result


def _end_notes(session: Session, template: Template) -> list[str]:
    """Responses end as the template has it; to a teacher that ends otherwise that end is any token."""
    if not {"student", "teacher"} <= session.roles.keys():
        return []
    teacher, end = session.role("teacher").policy, template.closing_id
    if end in teacher.eos_ids:
        return []
    own = template.tokenizer.convert_ids_to_tokens(end)
    others = ", ".join(repr(teacher.tokenizer.convert_ids_to_tokens(index)) for index in teacher.eos_ids[:8])
    return [
        f"With the template {template.identity[0]} responses in the data end with {own!r} (id {end}), the "
        f"teacher's with {others}: it teaches the student not to end there. Give both tokenizers the same "
        "end (eos_token, in chats the chat template's), or name it in the teacher's generation_config.json."
    ]


def _answer_notes(dataset: TokenizedDataset) -> list[str]:
    """What answers meet in the template."""
    if dataset.opened:
        return [
            f"The chat template's prompt ends with {dataset.opened[:99]!r}, behind which its own answers do "
            "not stand; begin answers with what belongs there, or give the tokenizer another chat template."
        ]
    if dataset.put_before:
        return [
            f"The chat template puts {dataset.put_before[:99]!r} before answers: it is learned, and taken "
            "off before responses are scored. Where the template has an option for that, as Qwen3's, "
            "template_options: {enable_thinking: false} puts it into the prompt."
        ]
    return []
