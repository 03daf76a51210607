"""The record that every data source yields."""

from dataclasses import dataclass, field
from typing import Literal

Speaker = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    role: Speaker
    content: str


@dataclass(frozen=True)
class Record:
    """One example: what is asked, and the answers that count as right.

    Attributes:
        instruction: what to do; of a conversation the user's last message.
        input: what to do it with; empty where the instruction says everything.
        outputs: references, best first; the first is what a model is trained on. Empty where there is none.
        group: task or category, for figures per group; empty where the source has none.
        history: of a conversation, the messages before the user's last.
        place: where it stands, such as `data.jsonl, line 3`, for errors; no part of what it is.
    """

    instruction: str
    input: str
    outputs: tuple[str, ...]
    group: str = ""
    history: tuple[Message, ...] = ()
    place: str = field(default="", compare=False)
