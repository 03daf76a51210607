import pytest

from py_worker.data.conversations import from_messages
from py_worker.data.errors import DataError
from py_worker.data.records import Message, Record

SYSTEM = {"role": "system", "content": "Be brief."}
ASK = {"role": "user", "content": "1 + 1?"}
ANSWER = {"role": "assistant", "content": "2"}
AGAIN = {"role": "user", "content": "And 2 + 2?"}


def test_the_last_answer_is_learned_and_the_rest_is_asked() -> None:
    record = from_messages([SYSTEM, ASK, ANSWER, AGAIN, {"role": "assistant", "content": "4"}], "x", "sums")
    history = (Message("system", "Be brief."), Message("user", "1 + 1?"), Message("assistant", "2"))
    assert record == Record("And 2 + 2?", "", ("4",), "sums", history)


def test_one_question_and_its_answer_are_as_a_row_of_columns() -> None:
    assert from_messages([ASK, ANSWER], "x", "") == Record("1 + 1?", "", ("2",))


def test_without_a_last_answer_there_is_no_reference() -> None:
    record = from_messages([ASK, ANSWER, AGAIN], "x", "")
    assert (record.instruction, record.outputs, len(record.history)) == ("And 2 + 2?", (), 2)
    assert from_messages([ASK, {**ANSWER, "content": ""}], "x", "").outputs == ("",)


def test_the_other_spelling() -> None:
    turns = [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "1 + 1?", "weight": 0},
        {"from": "gpt", "value": "2"},
    ]
    assert from_messages(turns, "x", "") == from_messages([SYSTEM, ASK, ANSWER], "x", "")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Hi", "messages is a string; expected a list of messages"),
        (None, "messages is null"),
        ([], "ends with the user's message.*this one has no message"),
        ([SYSTEM], "this one has system"),
        ([SYSTEM, ANSWER], "this one has system, assistant"),
        ([ASK, ANSWER, SYSTEM], "this one has user, assistant, system"),
        ([ASK, ANSWER, ANSWER], "this one has user, assistant, assistant"),
        ([ANSWER], "this one has assistant"),
        ([{**ASK, "content": " \n"}, ANSWER], "the user's last message is empty"),
        ([ASK, "2"], r"messages\[1\] is a string; expected an object with role and content"),
        ([{"role": "user", "text": "Hi"}], r"messages\[0\] has role, text; expected role and content"),
        ([{}], r"messages\[0\] has nothing"),
        (
            [ASK, {"role": "tool", "content": "2"}],
            r"messages\[1\] is of 'tool'; expected system, user, assistant",
        ),
        ([{"role": ["user"], "content": "2"}], r"messages\[0\] is of .\['user'\]"),
        ([ASK, {**ANSWER, "content": None}], r"messages\[1\]: content is null; expected a string"),
        ([{"from": "human", "value": [ASK]}], r"messages\[0\]: value is a list; expected a string"),
    ],
)
def test_errors_name_place_and_fault(value: object, message: str) -> None:
    with pytest.raises(DataError, match=f"data.jsonl, line 7: .*{message}"):
        from_messages(value, "data.jsonl, line 7", "")
