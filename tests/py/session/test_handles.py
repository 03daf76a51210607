"""Names, scopes and budgets of what stays in the worker."""

from concurrent.futures import Future

import pytest
from msgspec import Struct

from py_worker import protocol_gen
from py_worker.session.errors import (
    ArgumentError,
    HandleExistsError,
    OverBudgetError,
    UnknownHandleError,
)
from py_worker.session.handles import HandleTable, scope_of, step_of, step_of_args


def counts(table: HandleTable) -> dict[str, tuple[int, int]]:
    return {usage.scope: (usage.count, usage.bytes) for usage in table.usage()}


def test_the_scope_is_in_the_name() -> None:
    assert [scope_of(name) for name in ("step:12/a", "buffer/b", "session/c")] == [
        "step",
        "buffer",
        "session",
    ]
    assert step_of("step:12/a") == 12
    with pytest.raises(ArgumentError, match="other/x"):
        scope_of("other/x")


def test_values_are_found_by_name_and_kind() -> None:
    table = HandleTable()
    table.add("step:1/text", "hello", 5)
    assert table.get("step:1/text", str) == "hello"
    with pytest.raises(ArgumentError, match="holds a str, not a list"):
        table.get("step:1/text", list)
    with pytest.raises(UnknownHandleError, match="step:1/text"):
        table.get("step:1/other", str)


def test_a_name_is_given_once() -> None:
    table = HandleTable()
    table.add("buffer/a", 1, 1)
    with pytest.raises(HandleExistsError):
        table.add("buffer/a", 2, 1)
    with pytest.raises(HandleExistsError):
        table.require_free("buffer/a")
    assert table.get("buffer/a", int) == 1


def test_budgets_are_per_scope_and_name_the_figures() -> None:
    table = HandleTable()
    table.budgets["step"] = 100
    table.add("step:1/a", 1, 60)
    with pytest.raises(OverBudgetError, match=r"41 bytes, and 60 of the 100 bytes of scope step"):
        table.add("step:1/b", 2, 41)
    assert counts(table)["step"] == (1, 60)
    table.add("buffer/b", 2, 10_000)
    table.replace("step:1/a", 3, 100)
    with pytest.raises(OverBudgetError):
        table.replace("step:1/a", 4, 101)
    assert table.get("step:1/a", int) == 3
    assert table.size_of("step:1/a") == 100


def test_the_end_of_a_step_frees_it_and_steps_before() -> None:
    table = HandleTable()
    for name in ("step:1/a", "step:2/a", "step:3/a", "buffer/a", "session/a"):
        table.add(name, 0, 8)
    table.end_step(2)
    assert counts(table) == {"step": (1, 8), "buffer": (1, 8), "session": (1, 8)}
    assert list(table.items("step")) == ["step:3/a"]
    table.clear()
    assert all(counted == (0, 0) for counted in counts(table).values())


def test_dropping() -> None:
    table = HandleTable()
    table.add("buffer/a", 0, 1)
    with pytest.raises(UnknownHandleError, match="buffer/b"):
        table.require_alive(["buffer/a", "buffer/b"])
    table.drop(["buffer/a", "buffer/a"])
    assert counts(table)["buffer"] == (0, 0)


@pytest.mark.parametrize(
    ("args", "step"),
    [
        (protocol_gen.EndStepArgs(step=7), 7),
        (protocol_gen.BuildArgs(out="step:3/batch", parts=[]), 3),
        (protocol_gen.ScoreArgs(batch="step:4/batch", teacher=False, student="none"), 4),
        (protocol_gen.BuildArgs(out="buffer/kept", parts=[]), None),
        (protocol_gen.ReportMemoryArgs(), None),
    ],
)
def test_the_step_of_an_operation_is_read_off_its_arguments(args: Struct, step: int | None) -> None:
    assert step_of_args(args) == step


class Text(str):
    """A value that tells its size."""

    @property
    def bytes(self) -> int:
        return len(self)


class Waited(Future[Text]):
    """Is there, or has failed, once somebody waits for it."""

    def __init__(self, outcome: str | Exception) -> None:
        super().__init__()
        self._outcome = outcome

    def result(self, timeout: float | None = None) -> Text:
        if isinstance(self._outcome, Exception):
            self.set_exception(self._outcome)
        else:
            self.set_result(Text(self._outcome))
        return super().result(timeout)


def test_a_pending_value_is_waited_for_and_counts_as_the_most_it_may_be() -> None:
    table = HandleTable()
    table.add_pending("buffer/a", Waited("hello"), 100)
    with pytest.raises(HandleExistsError):
        table.require_free("buffer/a")
    table.require_alive(["buffer/a"])
    assert counts(table)["buffer"] == (1, 100)
    table.budgets["buffer"] = 120
    with pytest.raises(OverBudgetError, match="21 bytes, and 100 of the 120"):
        table.add_pending("buffer/b", Future(), 21)
    assert table.get("buffer/a", Text) == "hello"
    assert counts(table)["buffer"] == (1, 5)


def test_a_scope_is_listed_when_all_of_it_is_there() -> None:
    table = HandleTable()
    table.add_pending("buffer/a", Waited("later"), 100)
    table.add("buffer/b", Text("now"), 3)
    assert table.items("buffer") == {"buffer/a": "later", "buffer/b": "now"}


def test_a_pending_value_can_be_dropped_unmade() -> None:
    table = HandleTable()
    value: Future[Text] = Future()
    table.add_pending("buffer/a", value, 100)
    table.drop(["buffer/a"])
    assert counts(table)["buffer"] == (0, 0)
    value.set_result(Text("late"))
    table.require_free("buffer/a")


def test_a_value_that_could_not_be_made_was_never_there() -> None:
    table = HandleTable()
    value: Future[Text] = Future()
    table.add_pending("buffer/a", value, 100)
    value.set_exception(MemoryError("full"))
    assert counts(table)["buffer"] == (0, 0)
    with pytest.raises(UnknownHandleError):
        table.require_alive(["buffer/a"])
    with pytest.raises(UnknownHandleError):
        table.get("buffer/a", Text)
    table.add("buffer/a", Text("next"), 4)
    assert counts(table)["buffer"] == (1, 4)


def test_whoever_waits_for_a_value_that_fails_learns_why() -> None:
    table = HandleTable()
    table.add_pending("buffer/a", Waited(MemoryError("full")), 100)
    with pytest.raises(MemoryError, match="full"):
        table.get("buffer/a", Text)
    table.require_free("buffer/a")
