"""Two tasks one after the other. Each part is seen first and second in training; some pairs never are."""

from py_worker.data.microtasks.task import Task
from py_worker.data.microtasks.text import drop_vowels, reverse, sort_letters, twice, upper, word

PARTS = {"reverse": reverse, "sort": sort_letters, "upper": upper, "no vowels": drop_vowels, "twice": twice}

UNSEEN = ("reverse, upper", "upper, no vowels", "no vowels, reverse", "sort, twice", "twice, upper")
# After `twice`, sorting moves the space to the front and reversing changes nothing else: both left out.
SEEN = tuple(
    f"{first}, {second}"
    for first in PARTS
    for second in PARTS
    if first != second and f"{first}, {second}" not in (*UNSEEN, "twice, sort", "twice, reverse")
)


def compose(text: str, parameter: str) -> str:
    for part in parameter.split(", "):
        text = PARTS[part](text)
    return text


COMPOSE = Task(
    name="compose",
    draw=lambda rng, _, longer: word(rng, 5, 6) if longer else word(rng, 3, 4),
    solve=compose,
    phrasings=("{}", "do {}", "now {}"),
    new_phrasings=("first {}", "please {}"),
    parameters=SEEN,
    new_parameters=UNSEEN,
    weight=6,
)
