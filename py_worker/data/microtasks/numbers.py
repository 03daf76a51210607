"""Tasks on numbers, units, dates and times."""

from random import Random

from py_worker.data.microtasks.task import Task

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ROMAN = ((100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))
# Powers of ten: the size of a unit within its quantity.
UNITS = {"km": 6, "m": 3, "cm": 1, "mm": 0, "t": 6, "kg": 3, "g": 0}


def add(text: str, _: str = "") -> str:
    return str(sum(map(int, text.split())))


def larger(text: str, _: str = "") -> str:
    return str(max(map(int, text.split())))


def roman(text: str, _: str = "") -> str:
    rest, numeral = int(text), ""
    for value, symbol in ROMAN:
        numeral += symbol * (rest // value)
        rest %= value
    return numeral


def iso_date(text: str, _: str = "") -> str:
    """`3 may 2014`, with or without a day of the week in front, to `2014-05-03`."""
    day, month, year = text.split()[-3:]
    return f"{year}-{MONTHS.index(month) + 1:02d}-{int(day):02d}"


def convert(text: str, parameter: str) -> str:
    """Converts to a smaller unit, `km to m`; always an integer."""
    larger_unit, smaller_unit = parameter.split(" to ")
    return str(int(text) * 10 ** (UNITS[larger_unit] - UNITS[smaller_unit]))


def clock(text: str, _: str = "") -> str:
    """`3:15 pm` to `15:15`; seconds stay as they are."""
    time, half = text.split()
    hour, rest = time.split(":", 1)
    return f"{int(hour) % 12 + (12 if half == 'pm' else 0):02d}:{rest}"


def _sum(rng: Random, _: str, longer: bool) -> str:
    return f"{rng.randint(10, 99)} {rng.randint(10, 99) if longer else rng.randint(1, 9)}"


def _numbers(rng: Random, _: str, longer: bool) -> str:
    return " ".join(str(rng.randint(10, 99)) for _ in range(3 if longer else 2))


def _in_range(rng: Random, parameter: str, _: bool) -> str:
    first, last = parameter.split("-")
    return str(rng.randint(int(first), int(last)))


def _date(rng: Random, parameter: str, longer: bool) -> str:
    date = f"{rng.randint(1, 28)} {rng.choice(MONTHS)} {_in_range(rng, parameter, longer)}"
    return f"{rng.choice(DAYS)} {date}" if longer else date


def _time(rng: Random, _: str, longer: bool) -> str:
    seconds = f":{rng.randrange(60):02d}" if longer else ""
    return f"{rng.randint(1, 12)}:{rng.randrange(60):02d}{seconds} {rng.choice(('am', 'pm'))}"


NUMBER_TASKS = (
    Task(
        name="add",
        draw=_sum,
        solve=add,
        phrasings=("add", "sum of"),
        new_phrasings=("add these", "the sum of"),
        weight=4,  # carries are the slowest thing to learn here
    ),
    Task(
        name="larger",
        draw=_numbers,
        solve=larger,
        phrasings=("larger", "which is more"),
        new_phrasings=("the larger one", "which one is more"),
        weight=3,
    ),
    Task(
        name="roman",
        draw=_in_range,
        solve=roman,
        phrasings=("roman", "in roman numerals"),
        new_phrasings=("to roman", "write roman numerals"),
        parameters=("1-299",),
        new_parameters=("300-399",),
        has_longer=False,
    ),
    Task(
        name="date",
        draw=_date,
        solve=iso_date,
        phrasings=("iso date", "date as y-m-d"),
        new_phrasings=("as iso date", "write date as y-m-d"),
        parameters=("1990-2029",),
        new_parameters=("2030-2059",),
    ),
    Task(
        name="units",
        draw=lambda rng, _, longer: str(rng.randint(200, 999) if longer else rng.randint(1, 199)),
        solve=convert,
        phrasings=("{}", "convert {}"),
        new_phrasings=("change {}", "from {}"),
        parameters=("km to m", "m to cm", "m to mm", "cm to mm", "t to kg"),
        new_parameters=("km to cm", "kg to g", "t to g"),
    ),
    Task(
        name="clock",
        draw=_time,
        solve=clock,
        phrasings=("24h clock", "time in 24h"),
        new_phrasings=("on a 24h clock", "this time in 24h"),
    ),
)
