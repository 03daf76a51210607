"""Which answer a text states, and whether it is that of a reference."""

import re

import pytest

from py_worker.metrics import accuracy
from py_worker.metrics.accuracy import stated_answer

FACTS = "Fact one. Fact two. So the answer is yes."


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        # The word after the phrase, without what stands around it.
        (FACTS, "yes"),
        ("So the answer is: No", "no"),
        ("THE ANSWER IS YES!", "yes"),
        ("so the\nanswer  is\n\nyes, it can be", "yes"),
        ('The answer is "No".', "no"),
        ("The answer is **yes**.", "yes"),
        ("the answer is (B) because it rains", "b"),
        ("the answer is -3.", "-3"),
        ("the answer is 1,250.50.", "1,250.50"),
        ("the answer is no\u2019", "no"),
        # The last of several.
        ("One might think the answer is yes. But no: the answer is no.", "no"),
        ("The answer is yes. So the answer is", None),
        # Only that word, whole, from the beginning.
        ("the answer is not yes", "not"),
        ("the answer is yes/no", "yes/no"),
        ("the answer is nobody", "nobody"),
        ("the answer is", None),
        ("the answer is ...", None),
        # Words that only look like the phrase: the text is taken whole.
        ("the answer isn't no", "the answer isn't no"),
        ("bathe answer is no", "bathe answer is no"),
        # A bare label.
        (" Yes.\n", "yes"),
        ("'no'", "no"),
        ("(A)", "a"),
        ("not entailment", "not entailment"),
        ("-3", "-3"),
        # Nothing.
        ("", None),
        (" \n.", None),
    ],
    ids=lambda value: re.sub(r"\W+", "-", str(value)),
)
def test_the_answer_that_a_text_states(text: str, answer: str | None) -> None:
    assert stated_answer(text) == answer


def test_a_chain_of_thought_is_right_when_its_answer_is() -> None:
    assert accuracy("Other facts, all wrong. So the answer is yes.", [FACTS]) == 100.0
    assert accuracy("Fact one. Fact two. So the answer is no.", [FACTS]) == 0.0
    assert accuracy("Yes.", [FACTS]) == 100.0
    assert accuracy("no", [FACTS]) == 0.0


def test_what_states_no_answer_is_wrong() -> None:
    # A yes somewhere is none: the sentence may go either way.
    for text in ("", "Yes, Fact one.", "Fact one. Fact two. yes", "Fact one. So the answer is"):
        assert accuracy(text, [FACTS]) == 0.0, text
    assert accuracy("So the answer is", ["So the answer is"]) == 0.0
    assert accuracy("", [""]) == 0.0


def test_references_may_be_bare_labels_and_several() -> None:
    assert accuracy("Facts. The answer is (C).", ["B", "C"]) == 100.0
    assert accuracy("c", ["B", "C."]) == 100.0
    assert accuracy("D", ["B", "C"]) == 0.0
