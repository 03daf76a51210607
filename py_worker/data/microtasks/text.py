"""Tasks on words. The words are made up, so that there are enough of them and none is known by heart."""

from random import Random

from py_worker.data.microtasks.task import Task

VOWELS = "aeiou"
CONSONANTS = "bdfgklmnprst"
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def word(rng: Random, shortest: int, longest: int) -> str:
    """A made-up word of alternating consonants and vowels, such as `tako` or `ume`."""
    offset = rng.randrange(2)
    letters = (VOWELS, CONSONANTS)
    return "".join(rng.choice(letters[(i + offset) % 2]) for i in range(rng.randint(shortest, longest)))


def reverse(text: str, _: str = "") -> str:
    return text[::-1]


def sort_letters(text: str, _: str = "") -> str:
    return "".join(sorted(text))


def upper(text: str, _: str = "") -> str:
    return text.upper()


def drop_vowels(text: str, _: str = "") -> str:
    return "".join(letter for letter in text if letter.lower() not in VOWELS)


def twice(text: str, _: str = "") -> str:
    return f"{text} {text}"


def shift(text: str, parameter: str) -> str:
    """Moves each letter forward in the alphabet, `z` to `a`."""
    return "".join(ALPHABET[(ALPHABET.index(letter) + int(parameter)) % 26] for letter in text)


def plural(text: str, _: str = "") -> str:
    """English plural by rule: `-s`; `-es` after a hissing sound; `-y` after a consonant becomes `-ies`."""
    if text.endswith(("s", "x", "z", "ch", "sh")):
        return f"{text}es"
    if text.endswith("y") and text[-2] not in VOWELS:
        return f"{text[:-1]}ies"
    return f"{text}s"


def pick_word(text: str, parameter: str) -> str:
    return text.split()[int(parameter) - 1]


def _noun(rng: Random, ending: str, longer: bool) -> str:
    stem = rng.choice(CONSONANTS) + word(rng, 5, 6) if longer else word(rng, 2, 3)
    if stem[-1] in VOWELS and ending == "y":  # `boy` is another rule than `baby`
        stem += rng.choice(CONSONANTS)
    return stem + ending


def _words(rng: Random, _: str, longer: bool) -> str:
    return " ".join(word(rng, 2, 3) for _ in range(6 if longer else 4))


TEXT_TASKS = (
    Task(
        name="reverse",
        draw=lambda rng, _, longer: word(rng, 6, 7) if longer else word(rng, 3, 5),
        solve=reverse,
        phrasings=("reverse", "backwards", "now reverse"),
        new_phrasings=("reverse it", "go backwards"),
    ),
    Task(
        name="sort",
        draw=lambda rng, _, longer: word(rng, 5, 6) if longer else word(rng, 3, 4),
        solve=sort_letters,
        phrasings=("sort", "a to z", "now sort"),
        new_phrasings=("sort it", "order a to z"),
    ),
    Task(
        name="upper",
        draw=lambda rng, _, longer: word(rng, 7, 8) if longer else word(rng, 3, 6),
        solve=upper,
        phrasings=("upper case", "capitals", "in capitals"),
        new_phrasings=("make upper case", "all capitals"),
    ),
    Task(
        name="twice",
        draw=lambda rng, _, longer: word(rng, 6, 7) if longer else word(rng, 3, 5),
        solve=twice,
        phrasings=("twice", "repeat", "now twice"),
        new_phrasings=("say twice", "repeat it"),
    ),
    Task(
        name="vowels",
        draw=lambda rng, _, longer: word(rng, 7, 8) if longer else word(rng, 3, 6),
        solve=drop_vowels,
        phrasings=("no vowels", "drop vowels", "drop the vowels"),
        new_phrasings=("without vowels", "drop all vowels"),
    ),
    Task(
        name="shift",
        draw=lambda rng, _, longer: word(rng, 4, 5) if longer else word(rng, 2, 3),
        solve=shift,
        phrasings=("shift {}", "move {}", "shift by {}"),
        new_phrasings=("move by {}", "shift it {}"),
        parameters=("1", "3"),
        new_parameters=("2",),
        weight=4,
    ),
    Task(
        name="plural",
        draw=_noun,
        solve=plural,
        phrasings=("plural", "many", "the plural"),
        new_phrasings=("make plural", "as plural"),
        parameters=("", "s", "x", "ch", "y"),
        new_parameters=("sh", "ss"),
    ),
    Task(
        name="extract",
        draw=_words,
        solve=pick_word,
        phrasings=("word {}", "take word {}", "get word {}"),
        new_phrasings=("give word {}", "only word {}"),
        parameters=("1", "2", "4"),
        new_parameters=("3",),
    ),
)
