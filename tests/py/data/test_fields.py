import pytest

from py_worker.data.errors import DataError
from py_worker.data.fields import check_fields, to_record
from py_worker.data.records import Record

GOOD = {"instruction": "Add.", "input": "1 2", "output": ["3", "three"]}


def test_reads_one_or_several_references() -> None:
    assert to_record(GOOD, "x", {}) == Record("Add.", "1 2", ("3", "three"))
    assert to_record({**GOOD, "output": "3"}, "x", {}).outputs == ("3",)
    assert to_record({**GOOD, "output": []}, "x", {}).outputs == ()


def test_input_is_optional() -> None:
    assert to_record({"instruction": "Hi", "output": "Hello"}, "x", {}).input == ""
    assert to_record({**GOOD, "input": None}, "x", {}).input == ""


def test_fields_rename_and_descend() -> None:
    fields = {"instruction": "question", "output": "answer.short", "group": "level"}
    value = {"question": "Why?", "answer": {"short": "So."}, "level": 3}
    assert to_record(value, "x", fields) == Record("Why?", "", ("So.",), "3")
    # A column whose own name has a dot wins over descending.
    assert to_record({**value, "answer.short": "Dot."}, "x", fields).outputs == ("Dot.",)


def test_messages_are_a_conversation_unless_an_instruction_is_named() -> None:
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert to_record({"messages": talk, "task": "chat"}, "x", {}) == Record("Hi", "", ("Hello",), "chat")
    assert to_record({"prompt": "p", "talk": {"turns": talk}}, "x", {"messages": "talk.turns"}).outputs == (
        "Hello",
    )
    # A parquet file of both kinds has null in what is not meant.
    assert to_record({"messages": talk, "instruction": None, "output": None}, "x", {}).outputs == ("Hello",)
    # A row may have both, as UltraChat's have: what `fields` names is meant.
    assert to_record({**GOOD, "messages": talk}, "x", {}).instruction == "Add."
    assert to_record({**GOOD, "messages": talk}, "x", {"messages": "messages"}).instruction == "Hi"
    assert to_record({"q": "Why?", "messages": talk, "output": "So."}, "x", {"instruction": "q"}).outputs == (
        "So.",
    )
    with pytest.raises(DataError, match="x: there is no 'talk' \\(for messages\\); there is messages"):
        to_record({"messages": talk}, "x", {"messages": "talk"})


@pytest.mark.parametrize("column", ["task", "category"])
def test_group_is_found_by_itself(column: str) -> None:
    assert to_record({**GOOD, column: "maths"}, "x", {}).group == "maths"
    assert to_record({**GOOD, column: 7}, "x", {}).group == ""


def test_a_row_whose_group_is_null_has_none() -> None:
    assert to_record({**GOOD, "level": None}, "x", {"group": "level"}).group == ""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["a"], "expected an object with named fields, found a list"),
        ("text", "found a string"),
        ({"output": "3"}, "there is no 'instruction'; there is output. Map another column with fields"),
        ({"instruction": "a"}, "there is no 'output'"),
        ({}, "there is nothing"),
        ({**GOOD, "instruction": "  "}, "the instruction is empty"),
        ({**GOOD, "instruction": 3}, "instruction is a number; expected a string"),
        ({**GOOD, "input": {"a": 1}}, "input is an object; expected a string"),
        ({**GOOD, "output": False}, "output is a boolean; expected a string or a list of strings"),
        ({**GOOD, "output": None}, "output is null"),
        ({**GOOD, "output": ["a", 2.5]}, r"output\[1\] is a number"),
    ],
)
def test_errors_name_place_and_fault(value: object, message: str) -> None:
    with pytest.raises(DataError, match=f"data.jsonl, line 7: .*{message}"):
        to_record(value, "data.jsonl, line 7", {})


def test_a_mapped_column_that_is_missing_is_named_with_what_it_stands_for() -> None:
    with pytest.raises(DataError, match=r"no 'translation.fr' \(for output\); there is translation"):
        to_record(
            {"translation": {"de": "a"}}, "x", {"instruction": "translation.de", "output": "translation.fr"}
        )
    with pytest.raises(DataError, match=r"no 'context' \(for input\)"):
        to_record(GOOD, "x", {"input": "context"})


def test_unknown_names_in_fields_are_refused() -> None:
    check_fields({"instruction": "question"})
    with pytest.raises(DataError, match="unknown name 'prompt'; a record has instruction"):
        check_fields({"prompt": "question"})
    check_fields({"messages": "conversations", "group": "kind"})
    with pytest.raises(DataError, match="messages stands for output too; give one of them"):
        check_fields({"output": "answer", "messages": "conversations"})
