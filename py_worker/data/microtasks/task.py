"""What a procedural task is: how its inputs are drawn, how it is asked, and the exact answer."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

Draw = Callable[[Random, str, bool], str]
Solve = Callable[[str, str], str]


@dataclass(frozen=True)
class Task:
    """A family of questions with exactly one right answer each.

    Attributes:
        name: the task's name in per-task figures.
        draw: `(generator, parameter, longer) -> input`; `longer` inputs exceed every input of training.
        solve: `(input, parameter) -> answer`.
        phrasings: instructions of training; `{}` stands for the parameter.
        new_phrasings: instructions that training never shows.
        parameters: variants of the task that training shows, such as pairs of units.
        new_parameters: variants that training never shows; empty where the task has only one variant.
        has_longer: whether there are inputs longer than those of training.
        weight: share of the rows, relative to the other tasks.
    """

    name: str
    draw: Draw
    solve: Solve
    phrasings: tuple[str, ...]
    new_phrasings: tuple[str, ...]
    parameters: tuple[str, ...] = ("",)
    new_parameters: tuple[str, ...] = ()
    has_longer: bool = True
    weight: int = 2
