"""The share of the cores' time that a container has; torch looks at the machine's cores alone."""

import math
import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of a control group: microseconds of every period, `max` for no limit, and the period."""


def own_threads(torch_choice: int) -> int:
    """Threads where the user names none: torch's choice, or the container's share of the cores if less.

    `OMP_NUM_THREADS` is the user's word, and torch's choice then.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return torch_choice
    try:
        most, period = _QUOTA.read_text(encoding="ascii").split()
        share = int(most) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # another system, no control group, or no limit
        return torch_choice
    return max(1, min(torch_choice, math.floor(share)))
