"""A worker must not outlive its controller: it would hold the accelerator's memory for nobody.

One that a controller has started polls its parent's id, and leaves signals to the controller; one that was
started by hand ends at SIGTERM. A thread looks after either, because a signal handler would wait for the main
thread to leave its tensor operation.
"""

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

Describe = Callable[[], str]
"""What the worker is doing, for its last words."""


def claim_signals(controlled: bool) -> None:
    """Blocks SIGTERM in this thread and those it starts, and ignores SIGINT, under a controller SIGHUP too.

    To be called before any import starts threads. Ctrl-C and a terminal that is closed reach the whole group,
    and so may what `timeout` or a job scheduler sends; the controller decides what becomes of the run.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if controlled:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def watch(
    controller_pid: int | None,
    describe: Describe,
    *,
    tidy: Callable[[], None] = lambda: None,
    leave: Callable[[int], None] = os._exit,
) -> None:
    """Starts the thread that ends this process.

    Args:
        controller_pid: the controller's id when it is the parent, whose end counts; None when it is not, and
            SIGTERM counts.
        describe: names the running operation.
        tidy: removes what the controller would have removed, once it is gone.
        leave: ends the process at once with a status.
    """

    def wait_for_signal() -> None:
        signal.sigwait({signal.SIGTERM})
        _last_words("terminated by SIGTERM", describe)
        leave(EXIT_TERMINATED)

    def poll() -> None:
        while os.getppid() == controller_pid:
            time.sleep(POLL_S)
        _last_words("its controller is gone", describe)
        tidy()
        leave(EXIT_ORPHANED)

    wait = wait_for_signal if controller_pid is None else poll
    threading.Thread(target=wait, name="end", daemon=True).start()


def _last_words(reason: str, describe: Describe) -> None:
    hint = os.environ.get(RESUME_HINT_VARIABLE)
    remedy = f"; continue with: {hint}" if hint else ""
    print(f"py_worker: ending, {reason}; {describe()}{remedy}", file=sys.stderr, flush=True)
