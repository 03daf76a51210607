"""Which label a reference has, and whether a prediction states that and no other."""

import re

import pytest

from py_worker.metrics import accuracy
from py_worker.metrics.accuracy import label_of

FACTS = "Fact one. Fact two. So the answer is yes."


def slug(value: object) -> str:
    return re.sub(r"\W+", "-", str(value))


@pytest.mark.parametrize(
    ("reference", "label"),
    [
        # What follows the phrase, without what stands around it.
        (FACTS, "yes"),
        ("So the answer is: No", "no"),
        ("THE ANSWER IS YES!", "yes"),
        ("so the\nanswer  is\n\n  yes", "yes"),
        ('The answer is "New  Jersey." It is small.', "new jersey"),
        ("The answer is **yes**.", "yes"),
        ("The answer is — yes.", "yes"),
        ("The answer is:\n- yes", "yes"),
        ("the answer is no\u2019", "no"),
        # The last of several.
        ("One might think the answer is yes. But no: the answer is no.", "no"),
        # All of it, to the end of the sentence or of the line.
        ("So the answer is New Jersey.", "new jersey"),
        ("the answer is New Jersey. It is small.", "new jersey"),
        ("the answer is New Jersey\nIt is small", "new jersey"),
        ("the answer is (B) Paris", "b) paris"),
        ("the answer is (B). It rains.", "b"),
        ("the answer is yes/no", "yes/no"),
        ("the answer is Who? It is a band.", "who"),
        # A point that ends no sentence.
        ("the answer is 3.5. It is more than 3.", "3.5"),
        ("the answer is -1,250.50.", "-1,250.50"),
        ("the answer is .5.", ".5"),
        ("the answer is -3 %.", "-3 %"),
        ("the answer is - 3.", "- 3"),
        ("the answer is Chanel No. 5. It smells.", "chanel no. 5"),
        ("the answer is St. Louis. It is a city.", "st. louis"),
        ("the answer is U.S. Steel. It is a company.", "u.s. steel"),
        ("the answer is George W. Bush. He ruled.", "george w. bush"),
        # Words that only look like the phrase, and a bare label: the text is taken whole.
        ("the answer isn't no", "the answer isn't no"),
        ("bathe answer is no", "bathe answer is no"),
        (" Yes.\n", "yes"),
        ("'no'", "no"),
        ("(A)", "a"),
        ("not\nentailment", "not entailment"),
        ("-3", "-3"),
        # Nothing.
        ("the answer is", ""),
        ("the answer is ...", ""),
        ("The answer is yes. So the answer is", ""),
        ("", ""),
        (" \n.", ""),
    ],
    ids=slug,
)
def test_the_label_of_a_reference(reference: str, label: str) -> None:
    assert label_of(reference) == label


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("New Jersey", "New Jersey."),
        ("New Jersey", "new   jersey"),
        ("New Jersey", "**New Jersey** (a state)."),
        ("New Jersey", "New Jersey — a state."),
        ("New Jersey", "New Jersey - a state."),
        ("New Jersey", "New Jersey, since it is small."),
        ("New Jersey", "New Jersey because it is small."),
        ("New Jersey", "New Jersey. It is small."),
        ("New Jersey", "New Jersey\nIt is small."),
        ("New Jersey", "“New Jersey.” It is small."),
        ("vitamin C", "vitamin C. It is sour."),
        ("B", "(B) because it rains"),
        ("3", "3. It is odd."),
        ("3 million", "3 million."),
        ("1,000", "1,000."),
        ("U.S. Steel", "U.S. Steel. It is a company."),
        ("yes", "yes"),
        ("yes", "yes because it can"),
        ("yes", "yes as it can"),
        ("yes", "yes, it can"),
        ("yes", "yes, 12 is more than 10"),
        ("yes", "**yes**: it can"),
        ("yes", "yes; it can"),
        ("yes", "yes.Therefore it can"),
        ("yes", "yes—because it can"),
        ("yes", "yes – 12 is more than 10"),
        ("yes", "— yes"),
        ("no", "no. No fish can fly."),
    ],
    ids=slug,
)
def test_an_answer_may_go_on_where_its_label_is_over(answer: str, said: str) -> None:
    assert accuracy(f"Facts. So the answer is {said}", [f"Fact. So the answer is {answer}."]) == 100.0
    assert accuracy(f"Facts. So the answer is {said}", [answer]) == 100.0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("New York", "New Jersey."),
        ("New", "New York."),
        ("New York", "New."),
        ("3", "3 million"),
        ("3 million", "3."),
        ("3", "3.5"),
        ("3", "3,000"),
        ("3", "3, 4 and 5"),
        ("3", "3%"),
        ("3", "-3"),
        ("3", "— 3"),
        ("3", "3 – 4"),
        ("3", "3—4"),
        ("5", ".5"),
        ("5", "> 5"),
        ("Chanel No", "Chanel No. 5"),
        ("Paris", "Paris, Texas"),
        ("B", "B, C"),
        ("salt", "salt and pepper"),
        ("salt", "salt as well as pepper"),
        ("St. Louis", "St. Paul."),
        ("U.S.", "U.S. Steel"),
        ("node", "node.js"),
        ("yes", "yes/no"),
        ("no", "yes/no"),
        ("yes", "yes or no"),
        ("yes", "yes, or no"),
        ("yes", "yes, no"),
        ("yes", "yes-man"),
        ("yes", "not yes"),
        ("no", "nobody"),
        ("no", "no one"),
        ("yes", "..."),
    ],
    ids=slug,
)
def test_another_label_that_begins_alike_is_wrong(answer: str, said: str) -> None:
    assert accuracy(f"Facts. So the answer is {said}", [f"Fact. So the answer is {answer}."]) == 0.0
    assert accuracy(f"Facts. So the answer is {said}", [answer]) == 0.0


def test_a_chain_of_thought_is_right_when_its_answer_is() -> None:
    assert accuracy("Other facts, all wrong. So the answer is yes.", [FACTS]) == 100.0
    assert accuracy("Fact one. Fact two. So the answer is no.", [FACTS]) == 0.0
    assert accuracy("Yes.", [FACTS]) == 100.0
    assert accuracy("no", [FACTS]) == 0.0
    assert accuracy("The answer is yes. No: the answer is no.", [FACTS]) == 0.0


def test_what_states_no_answer_is_wrong() -> None:
    # A yes somewhere is none: the sentence may go either way.
    for text in ("", "Yes, Fact one.", "Fact one. Fact two. yes", "Fact one. So the answer is"):
        assert accuracy(text, [FACTS]) == 0.0, text


@pytest.mark.parametrize("reference", ["", "Fact one. So the answer is"])
def test_a_reference_that_states_nothing_is_refused(reference: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"a reference states no answer: {reference!r}")):
        accuracy("yes", ["yes", reference])


def test_references_may_be_bare_labels_and_several() -> None:
    assert accuracy("Facts. The answer is (C).", ["B", "C"]) == 100.0
    assert accuracy("c", ["B", "C."]) == 100.0
    assert accuracy("D", ["B", "C"]) == 0.0


@pytest.mark.parametrize(
    ("prediction", "right"),
    [
        ("The answer is: (B) Paris", True),
        ("The answer is B) Paris.", True),
        ("The answer is [B]", True),
        ("The answer is B) or C)", False),
        ("The answer is (C) Berlin", False),
        ("The answer is B)x", False),
    ],
)
def test_an_option_may_be_closed_by_its_bracket(prediction: str, right: bool) -> None:
    assert accuracy(prediction, ["So the answer is (B)."]) == 100.0 * right


def test_a_full_stop_of_chinese_and_japanese_ends_an_answer() -> None:
    assert accuracy("the answer is yes。", ["yes"]) == 100.0
