"""Every task's answers against an independent way of computing them."""

from collections.abc import Callable, Iterable
from datetime import datetime
from random import Random

import pytest

from py_worker.data.microtasks import TASKS
from py_worker.data.microtasks.task import Task

BY_NAME = {task.name: task for task in TASKS}
VOWELS = set("aeiou")


def value_of_roman(numeral: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}[symbol] for symbol in numeral]
    following = [*values[1:], 0]
    return sum(-value if value < after else value for value, after in zip(values, following, strict=True))


def pluralised(noun: str) -> str:
    if noun[-1] == "y" and noun[-2] not in VOWELS:
        return noun[:-1] + "ies"
    return noun + ("es" if noun[-1] in "sxz" or noun[-2:] in ("ch", "sh") else "s")


def in_grams_or_millimetres(text: str, unit: str) -> float:
    return float(text) * {"km": 1e6, "m": 1e3, "cm": 1e1, "mm": 1, "t": 1e6, "kg": 1e3, "g": 1}[unit]


def same_quantity(text: str, answer: str, parameter: str) -> bool:
    before, after = parameter.split(" to ")
    return in_grams_or_millimetres(text, before) == in_grams_or_millimetres(answer, after)


def composed(text: str, answer: str, parameter: str) -> bool:
    steps: dict[str, Callable[[str], Iterable[str]]] = {
        "reverse": reversed,
        "sort": sorted,
        "upper": str.upper,
        "no vowels": lambda word: (letter for letter in word if letter.lower() not in VOWELS),
        "twice": lambda word: (word, " ", word),
    }
    for step in parameter.split(", "):
        text = "".join(steps[step](text))
    return text == answer


CHECKS: dict[str, Callable[[str, str, str], bool]] = {
    "reverse": lambda text, answer, _: list(answer) == list(reversed(text)),
    "sort": lambda text, answer, _: list(answer) == sorted(text),
    "upper": lambda text, answer, _: answer.lower() == text and answer.isupper(),
    "twice": lambda text, answer, _: answer.split(" ") == [text, text],
    "vowels": lambda text, answer, _: answer == "".join(c for c in text if c not in VOWELS) != text,
    "shift": lambda text, answer, shift: all(
        (ord(after) - ord(before)) % 26 == int(shift) for before, after in zip(text, answer, strict=True)
    ),
    "plural": lambda text, answer, _: answer == pluralised(text),
    "extract": lambda text, answer, position: dict(enumerate(text.split(), 1))[int(position)] == answer,
    "add": lambda text, answer, _: eval(text.replace(" ", "+")) == int(answer),
    "larger": lambda text, answer, _: (
        answer in text.split() and all(int(n) <= int(answer) for n in text.split())
    ),
    "roman": lambda text, answer, _: value_of_roman(answer) == int(text),
    "date": lambda text, answer, _: (
        datetime.strptime(" ".join(text.split()[-3:]), "%d %b %y") == datetime.strptime(answer, "%y-%m-%d")
    ),
    "units": same_quantity,
    "clock": lambda text, answer, _: clock_agrees(text, answer),
    "compose": composed,
}


def clock_agrees(text: str, answer: str) -> bool:
    seconds = ":%S" if text.count(":") == 2 else ""
    return datetime.strptime(text, f"%I:%M{seconds} %p") == datetime.strptime(answer, f"%H:%M{seconds}")


def test_there_are_at_least_twelve_tasks_and_each_is_checked_here() -> None:
    assert len(TASKS) >= 12
    assert set(CHECKS) == set(BY_NAME)
    assert len(BY_NAME) == len(TASKS)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("longer", [False, True])
def test_answers(task: Task, longer: bool) -> None:
    rng = Random(f"{task.name} {longer}")
    for parameter in (*task.parameters, *task.new_parameters):
        for _ in range(60):
            text = task.draw(rng, parameter, longer)
            answer = task.solve(text, parameter)
            assert answer
            assert CHECKS[task.name](text, answer, parameter), (text, answer, parameter)


@pytest.mark.parametrize(
    ("name", "parameter", "text", "answer"),
    [
        ("roman", "200-299", "294", "CCXCIV"),
        ("roman", "1-199", "48", "XLVIII"),
        ("clock", "", "12:05 am", "00:05"),
        ("clock", "", "12:30 pm", "12:30"),
        ("clock", "", "11:59:59 pm", "23:59:59"),
        ("shift", "2", "yaz", "acb"),
        ("plural", "y", "baby", "babies"),
        ("plural", "", "key", "keys"),
        ("date", "0-29", "sun 9 dec 01", "01-12-09"),
        ("units", "t to g", "3", "3000000"),
        ("compose", "sort, twice", "kale", "aekl aekl"),
        ("compose", "upper, no vowels", "kale", "KL"),
    ],
)
def test_edges(name: str, parameter: str, text: str, answer: str) -> None:
    assert BY_NAME[name].solve(text, parameter) == answer


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_new_variants_are_new(task: Task) -> None:
    assert not set(task.phrasings) & set(task.new_phrasings)
    assert not set(task.parameters) & set(task.new_parameters)
    assert all(("{}" in phrasing) == ("{}" in task.phrasings[0]) for phrasing in task.new_phrasings)


def test_longer_inputs_exceed_those_of_training() -> None:
    rng = Random(0)
    for task in TASKS:
        if not task.has_longer:
            continue
        for parameter in task.parameters:
            usual = max(len(task.draw(rng, parameter, False)) for _ in range(300))
            assert min(len(task.draw(rng, parameter, True)) for _ in range(300)) > usual, task.name
