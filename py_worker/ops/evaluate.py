"""Generates for rows of a dataset and scores the responses against the references."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from py_worker.metrics import METRICS, STATISTICS
from py_worker.metrics.accuracy import label_of
from py_worker.ops.support.fitted_draw import FittedDraw
from py_worker.ops.support.rollout_source import rollout_source
from py_worker.ops.support.specs import sampling_of
from py_worker.ops.support.texts import prompt_text, response_texts
from py_worker.protocol_gen import EvaluateArgs, EvaluateResult, SampleText
from py_worker.session.context import OperationContext
from py_worker.session.errors import ArgumentError
from py_worker.session.session import Session

Value = TypeVar("Value")


def run(session: Session, args: EvaluateArgs, context: OperationContext) -> EvaluateResult:
    """The row number is the sample id: a response depends on no other row and on no order."""
    _check_metrics(args)
    role, dataset = session.role(args.role), session.rows_of(args.dataset, args.rows)
    references = [list(dataset.references(row)) for row in args.rows]
    _check_references(args, references)
    prompts = [dataset.row(row).prompt for row in args.rows]
    source = rollout_source(session, args.role, share=None)
    fitted = FittedDraw(source, sampling_of(args.sampling), args.seed, session.drawn_rows, context)
    drawn = fitted.draw(prompts, args.rows)
    texts = response_texts(role.policy, drawn.tokens, drawn.ended)
    answers = [text.removeprefix(dataset.put_before.strip()).strip() for text in texts]
    return EvaluateResult(
        scores=_by_row(METRICS, args.metrics, answers, references, context),
        statistics=_by_row(STATISTICS, args.metrics, answers, references, context),
        lengths=[len(tokens) for tokens in drawn.tokens],
        ended=sum(drawn.ended),
        tokens=drawn.token_count,
        texts=[
            SampleText(
                row=args.rows[index],
                prompt=prompt_text(role.policy, prompts[index]),
                text=texts[index],
                references=references[index],
            )
            for index in range(min(args.texts, len(texts)))
        ],
    )


def _by_row(
    registry: Mapping[str, Callable[[str, Sequence[str]], Value]],
    names: list[str],
    texts: list[str],
    references: list[list[str]],
    context: OperationContext,
) -> dict[str, list[Value]]:
    """One value a row, of each of the named metrics that are in this registry."""
    values: dict[str, list[Value]] = {name: [] for name in names if name in registry}
    for text, expected in zip(texts, references, strict=True):
        context.check()
        for name, rows in values.items():
            rows.append(registry[name](text, expected))
    return values


def _check_metrics(args: EvaluateArgs) -> None:
    known = [*METRICS, *STATISTICS]
    unknown = [name for name in args.metrics if name not in known]
    if unknown:
        raise ArgumentError(f"metrics: unknown metric {unknown[0]!r}; use one of {', '.join(known)}")


_REMEDY = "leave such rows out of its source, or do not evaluate that dataset"


def _check_references(args: EvaluateArgs, references: list[list[str]]) -> None:
    bare = [row for row, texts in zip(args.rows, references, strict=True) if not texts]
    if bare and args.metrics:
        raise ArgumentError(
            f"rows: row {bare[0]} of {args.dataset!r} has no reference to compare with; {_REMEDY}"
        )
    if "accuracy" in args.metrics:
        mute = [
            row for row, texts in zip(args.rows, references, strict=True) if not all(map(label_of, texts))
        ]
        if mute:
            raise ArgumentError(
                f"rows: row {mute[0]} of {args.dataset!r} has a reference that states no answer; {_REMEDY}"
            )
