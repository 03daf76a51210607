"""Results that stay in the worker, under names that the controller chose."""

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from msgspec import Struct

from py_worker.protocol_gen import HandleUsage
from py_worker.session.errors import ArgumentError, HandleExistsError, OverBudgetError, UnknownHandleError

Scope = Literal["step", "buffer", "session"]
SCOPES: Final[tuple[Scope, ...]] = ("step", "buffer", "session")
KEPT_SCOPES: Final[tuple[Scope, ...]] = ("buffer", "session")
"""What outlives its step. Rollouts only: a batch holds hidden states of weights that change."""
Value = TypeVar("Value")


@dataclass(frozen=True)
class _Ready:
    """A value and its bytes."""

    value: Any
    bytes: int


@dataclass(frozen=True)
class _Pending:
    """A value that another thread makes, and the most bytes that it may hold."""

    future: "Future[Any]"
    bytes: int

    @property
    def has_failed(self) -> bool:
        return self.future.done() and self.future.exception() is not None

    def wait(self) -> _Ready:
        """Raises what kept the value from being made."""
        value = self.future.result()
        return _Ready(value, value.bytes)


def scope_of(name: str) -> Scope:
    """The scope that a handle's name begins with; the contract's pattern admits no other."""
    head = name.partition("/")[0].partition(":")[0]
    for scope in SCOPES:
        if head == scope:
            return scope
    raise ArgumentError(f"{name!r} is no handle: it begins with none of {', '.join(SCOPES)}")


def step_of(name: str) -> int:
    """N of `step:N/...`."""
    return int(name.partition("/")[0].partition(":")[2])


def step_of_args(args: Struct) -> int | None:
    """The optimizer step that an operation's arguments name, by number or by one of its handles."""
    step = getattr(args, "step", None)
    if step is not None:
        return int(step)
    named = (getattr(args, field, None) for field in ("out", "batch"))
    return next((step_of(name) for name in named if name is not None and scope_of(name) == "step"), None)


class HandleTable:
    """Live handles, with a byte budget per scope (0 is no limit)."""

    def __init__(self) -> None:
        self._entries: dict[str, _Ready | _Pending] = {}
        self.budgets: dict[Scope, int] = dict.fromkeys(SCOPES, 0)

    def get(self, name: str, kind: type[Value]) -> Value:
        """The value of a live handle; waits for one that is pending.

        Raises:
            UnknownHandleError: no such handle.
            ArgumentError: it holds something else.
            Exception: what kept a pending one from being made; the handle is then free again.
        """
        value = self._ready(name).value
        if not isinstance(value, kind):
            raise ArgumentError(f"{name} holds a {type(value).__name__}, not a {kind.__name__}")
        return value

    def require_free(self, name: str) -> None:
        """Checks that a new handle may have this name, before any work is done for it.

        Raises:
            HandleExistsError: the name is taken.
        """
        self._drop_failed()
        if name in self._entries:
            raise HandleExistsError(f"{name} exists already; free it first, or take another name")

    def require_room(self, name: str, extra: int) -> None:
        """Checks that the name's scope may hold `extra` more bytes.

        Raises:
            OverBudgetError: with the figures.
        """
        scope = scope_of(name)
        budget, used = self.budgets[scope], self._usage(scope).bytes
        if budget and used + extra > budget:
            raise OverBudgetError(
                f"{name} needs {extra} bytes, and {used} of the {budget} bytes of scope {scope} are in use; "
                f"free handles, take smaller batches, or raise {scope}_budget_bytes"
            )

    def add(self, name: str, value: object, size: int) -> None:
        """Gives a new name to a value of `size` bytes.

        Raises:
            HandleExistsError: the name is taken.
            OverBudgetError: the scope has no room.
        """
        self._add(name, _Ready(value, size))

    def add_pending(self, name: str, future: "Future[Any]", most: int) -> None:
        """Gives a new name to a value that another thread makes; one that it cannot make was never there.

        Args:
            name: of the handle.
            future: of the value, for which whoever takes it waits. It tells its size as `bytes`.
            most: bytes that it holds at most.

        Raises:
            HandleExistsError: the name is taken.
            OverBudgetError: the scope has no room.
        """
        self._add(name, _Pending(future, most))

    def replace(self, name: str, value: object, size: int) -> None:
        """Gives an existing name to another value.

        Raises:
            UnknownHandleError: no such handle.
            OverBudgetError: the scope has no room for the difference.
        """
        self.require_room(name, size - self._ready(name).bytes)
        self._entries[name] = _Ready(value, size)

    def require_alive(self, names: list[str]) -> None:
        """Checks that all are live handles.

        Raises:
            UnknownHandleError: one of them is not.
        """
        for name in names:
            self._require_alive(name)

    def drop(self, names: list[str]) -> None:
        """Frees handles; those that are not alive are left alone, and a pending value is lost."""
        for name in names:
            self._entries.pop(name, None)

    def end_step(self, step: int) -> None:
        """Frees the handles of the step, and of earlier steps that never came to their end."""
        for name in [name for name in self._entries if scope_of(name) == "step" and step_of(name) <= step]:
            del self._entries[name]

    def items(self, scope: Scope) -> dict[str, Any]:
        """Names and values of a scope, in the order they were added; waits for those that are pending."""
        self._drop_failed()
        return {name: self._ready(name).value for name in list(self._entries) if scope_of(name) == scope}

    def size_of(self, name: str) -> int:
        """Bytes of a live handle; waits for one that is pending."""
        return self._ready(name).bytes

    def clear(self) -> None:
        """Frees all."""
        self._entries.clear()

    def usage(self) -> list[HandleUsage]:
        """Live handles and their bytes, for every scope."""
        return [self._usage(scope) for scope in SCOPES]

    def _usage(self, scope: Scope) -> HandleUsage:
        self._drop_failed()
        sizes = [entry.bytes for name, entry in self._entries.items() if scope_of(name) == scope]
        return HandleUsage(scope=scope, count=len(sizes), bytes=sum(sizes))

    def _add(self, name: str, entry: _Ready | _Pending) -> None:
        self.require_free(name)
        self.require_room(name, entry.bytes)
        self._entries[name] = entry

    def _ready(self, name: str) -> _Ready:
        """Waits for a pending entry, which then is ready, or goes with what kept it from being made."""
        self._require_alive(name)
        entry = self._entries[name]
        if isinstance(entry, _Ready):
            return entry
        try:
            ready = entry.wait()
        except BaseException:
            del self._entries[name]
            raise
        self._entries[name] = ready
        return ready

    def _require_alive(self, name: str) -> None:
        self._drop_failed()
        if name not in self._entries:
            live = ", ".join(list(self._entries)[:8]) or "none"
            raise UnknownHandleError(f"no handle {name}; alive: {live}")

    def _drop_failed(self) -> None:
        """Frees the names of what could not be made; whatever asks for live handles begins with it."""
        failed = [name for name, it in self._entries.items() if isinstance(it, _Pending) and it.has_failed]
        for name in failed:
            del self._entries[name]
