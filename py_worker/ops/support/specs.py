"""From the contract's types to those of the packages, which know nothing of the wire."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from py_worker import protocol_gen as wire
from py_worker.data.layout import MicroBatchLimits
from py_worker.data.sources import DataSource
from py_worker.losses.returns import Returns
from py_worker.losses.terms import Term
from py_worker.models.spec import ArchSpec, CriticSpec, LoraSpec, ModelSpec, OptimizerSpec
from py_worker.rollout.sampling import Sampling
from py_worker.session.errors import ArgumentError

Value = TypeVar("Value")


def given(value: Value | UnsetType) -> Value | None:
    """The value of an optional field, or None."""
    return None if isinstance(value, UnsetType) else value


def given_fields(struct: msgspec.Struct) -> dict[str, Any]:
    """The fields that have a value; the others take the defaults of whoever gets them."""
    return {name: value for name, value in msgspec.structs.asdict(struct).items() if value is not UNSET}


def model_spec(model: wire.Model) -> ModelSpec:
    """A model by itself, in no role."""
    arch = given(model.arch)
    return ModelSpec(
        source=model.source,
        init=model.init,
        layers=tuple(given(model.layers) or ()),
        arch=None if arch is None else ArchSpec(**msgspec.structs.asdict(arch)),
        seed=model.seed,
        dtype=model.dtype,
        compute_dtype=given(model.compute_dtype),
        trust_remote_code=model.trust_remote_code,
        attention=given(model.attention),
    )


def role_spec(args: wire.LoadRoleArgs) -> ModelSpec:
    """What a role is loaded from."""
    return replace(
        model_spec(args.model),
        gradient_checkpointing=args.gradient_checkpointing,
        lora=_lora_spec(given(args.lora)),
    )


def _lora_spec(lora: wire.Lora | None) -> LoraSpec | None:
    if lora is None:
        return None
    return LoraSpec(**{**given_fields(lora), "targets": tuple(lora.targets)})


def optimizer_spec(optimizer: wire.Optimizer) -> OptimizerSpec:
    """AdamW's settings."""
    return OptimizerSpec(**given_fields(optimizer))


def critic_spec(spec: wire.CriticSpec) -> CriticSpec:
    """A critic's shape."""
    return CriticSpec(**given_fields(spec))


def data_source(source: wire.DataSource) -> DataSource:
    """What a dataset is read from."""
    return DataSource(
        source=source.source,
        split=source.split,
        fields=source.fields,
        limit=given(source.limit),
        validation_fraction=source.validation_fraction,
        seed=source.seed,
        skip_bad_lines=source.skip_bad_lines,
    )


def sampling_of(sampling: wire.Sampling) -> Sampling:
    """How tokens are drawn."""
    return Sampling(**msgspec.structs.asdict(sampling))


def limits_of(
    args: wire.BuildArgs | wire.MeasureArgs | wire.PredictMemoryArgs, halvings: int
) -> MicroBatchLimits:
    """What a micro-batch may hold, after memory ran out so often."""
    return MicroBatchLimits(
        rows=given(args.micro_batch),
        tokens=given(args.micro_tokens),
        packed=bool(given(args.packing)),
        halvings=halvings,
    )


def term_of(term: wire.Term) -> Term:
    """A term of the student's objective."""
    returns, gamma = given(term.returns), given(term.gamma)
    return Term(
        name=term.name,
        objective=term.objective,
        part=term.part,
        weight=term.weight,
        critic=given(term.critic),
        params=term.params,
        gamma=1.0 if gamma is None else gamma,
        drop_discount=bool(given(term.drop_discount)),
        returns=None if returns is None else Returns(**msgspec.structs.asdict(returns)),
    )


@contextmanager
def argument_errors() -> Iterator[None]:
    """Around a constructor whose ValueError means that an argument of the request cannot be used.

    Not around a computation: a ValueError from within one is a defect, and nobody's argument mends it.

    Raises:
        ArgumentError: with the message of the ValueError.
    """
    try:
        yield
    except ValueError as error:
        raise ArgumentError(str(error)) from error
