"""What an operation returns: its result, or where the result will come from."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from msgspec import Struct


@dataclass(frozen=True)
class Late:
    """What an operation returns whose result is known only when the device has come this far.

    Attributes:
        finish: makes the result; called once, after everything that the operation queued on the device.
    """

    finish: Callable[[], Struct]


@dataclass(frozen=True)
class Eventually:
    """What an operation returns whose result comes from another thread; later operations do not wait for it.

    Attributes:
        result: of that thread.
    """

    result: "Future[Struct]"


Outcome = Struct | Late | Eventually
