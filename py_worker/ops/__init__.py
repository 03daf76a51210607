"""The operations: one module each, found by its name in the contract.

A module `py_worker.ops.NAME` has `run(session, args, context)`, which returns the operation's result. Before
its commit point it changes nothing that a later operation could see. Modules are imported when first used,
because some need transformers, which takes seconds to import. What operations are made of is in `support`.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from msgspec import Struct

from py_worker.session.context import OperationContext
from py_worker.session.outcome import Outcome
from py_worker.session.session import Session

Run = Callable[[Session, Any, OperationContext], Outcome]


@cache
def find(op: str) -> Run:
    """The function of an operation of the contract."""
    run: Run = import_module(f"py_worker.ops.{op}").run
    return run


def run(op: str, session: Session, args: Struct, context: OperationContext) -> Outcome:
    """Runs one operation on the session."""
    return find(op)(session, args, context)
