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


def year_first(text: str, _: str = "") -> str:
    """`3 may 14`, with or without a day of the week in front, to `14-05-03`."""
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
    date = f"{rng.randint(1, 28)} {rng.choice(MONTHS)} {int(_in_range(rng, parameter, longer)):02d}"
    return f"{rng.choice(DAYS)} {date}" if longer else date


def _time(rng: Random, _: str, longer: bool) -> str:
    seconds = f":{rng.randrange(60):02d}" if longer else ""
    return f"{rng.randint(1, 12)}:{rng.randrange(60):02d}{seconds} {rng.choice(('am', 'pm'))}"


NUMBER_TASKS = (
    Task(
        name="add",
        draw=_sum,
        solve=add,
        phrasings=("add", "sum", "the sum"),
        new_phrasings=("add up", "sum of"),
        weight=5,  # carries are the slowest thing to learn here
    ),
    Task(
        name="larger",
        draw=_numbers,
        solve=larger,
        phrasings=("larger", "more", "the larger"),
        new_phrasings=("which is larger", "which is more"),
        weight=4,
    ),
    Task(
        name="roman",
        draw=_in_range,
        solve=roman,
        phrasings=("roman", "to roman", "as roman"),
        new_phrasings=("in roman", "make it roman"),
        parameters=("1-199", "300-399"),
        new_parameters=("200-299",),
        has_longer=False,
        weight=3,
    ),
    Task(
        name="date",
        draw=_date,
        solve=year_first,
        phrasings=("y-m-d", "date y-m-d", "as y-m-d"),
        new_phrasings=("to y-m-d", "this date y-m-d"),
        parameters=("0-29", "60-99"),
        new_parameters=("30-59",),
    ),
    Task(
        name="units",
        draw=lambda rng, _, longer: str(rng.randint(100, 999) if longer else rng.randint(1, 99)),
        solve=convert,
        phrasings=("{}", "from {}", "turn {}"),
        new_phrasings=("change {}", "convert {}"),
        parameters=("km to m", "m to cm", "m to mm", "cm to mm", "t to kg"),
        new_parameters=("km to cm", "kg to g", "t to g"),
    ),
    Task(
        name="clock",
        draw=_time,
        solve=clock,
        phrasings=("24h", "24h clock", "in 24h"),
        new_phrasings=("to 24h", "on a 24h clock"),
    ),
)
