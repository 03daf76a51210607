"""Whether a process still lives."""

import os
import time
from pathlib import Path


def gone_within(pid: int, seconds: float) -> bool:
    """Waits for the end of a process that need not be a child; a zombie has ended."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False
