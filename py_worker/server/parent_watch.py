"""A worker must not outlive its controller: it would hold the accelerator's memory for nobody.

The kernel sends SIGTERM when the parent ends (Linux), and a poll of the parent's id notices it everywhere.
Both are looked after by threads, because a signal handler would wait for the main thread to leave its tensor
operation; and SIGTERM rather than SIGKILL, so that the log says what was running.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

EXIT_ORPHANED: Final = 4
EXIT_TERMINATED: Final = 128 + signal.SIGTERM
POLL_S: Final = 0.2
RESUME_HINT_VARIABLE: Final = "AMMD_RESUME_HINT"
"""Command by which the controller that started this worker can be continued."""
_PR_SET_PDEATHSIG: Final = 1

Describe = Callable[[], str]
"""What the worker is doing, for its last words."""


def claim_signals() -> None:
    """Blocks SIGTERM in this thread and those it starts, and ignores SIGINT.

    To be called before any import starts threads. Ctrl-C reaches the whole foreground group, and the
    controller decides what becomes of the run.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def ask_for_death_signal() -> None:
    """Has the kernel send SIGTERM when the parent ends. Linux alone; elsewhere the poll must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def watch(
    controller_pid: int | None,
    describe: Describe,
    *,
    tidy: Callable[[], None] = lambda: None,
    leave: Callable[[int], None] = os._exit,
) -> None:
    """Starts the threads that end this process.

    Args:
        controller_pid: the controller's id when it is the parent; None when it is not, and only SIGTERM
            counts.
        describe: names the running operation.
        tidy: removes what the controller would have removed, once it is gone.
        leave: ends the process at once with a status.
    """

    def leave_orphaned() -> None:
        _last_words("its controller is gone", describe)
        tidy()
        leave(EXIT_ORPHANED)

    def wait_for_signal() -> None:
        signal.sigwait({signal.SIGTERM})
        if _orphaned_soon(controller_pid):
            leave_orphaned()
        else:
            _last_words("terminated by SIGTERM", describe)
            leave(EXIT_TERMINATED)

    def poll() -> None:
        while not _orphaned(controller_pid):
            time.sleep(POLL_S)
        leave_orphaned()

    threading.Thread(target=wait_for_signal, name="sigterm", daemon=True).start()
    if controller_pid is not None:
        threading.Thread(target=poll, name="parent", daemon=True).start()


def _orphaned_soon(controller_pid: int | None) -> bool:
    """The signal comes when the controller's thread that started us dies.

    Its other threads, and with them its process id as our parent's, may last a little longer.
    """
    deadline = time.monotonic() + POLL_S
    while not _orphaned(controller_pid) and controller_pid is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    return _orphaned(controller_pid)


def _orphaned(controller_pid: int | None) -> bool:
    return controller_pid is not None and os.getppid() != controller_pid


def _last_words(reason: str, describe: Describe) -> None:
    hint = os.environ.get(RESUME_HINT_VARIABLE)
    remedy = f"; continue with: {hint}" if hint else ""
    print(f"py_worker: ending, {reason}; {describe()}{remedy}", file=sys.stderr, flush=True)
