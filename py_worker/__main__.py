"""`python -m py_worker --connect ENDPOINT`: a worker that serves one controller."""

import argparse
import math
import os
import sys

from py_worker.server.parent_watch import claim_signals, watch

EXIT_USAGE = 2


def main(arguments: list[str]) -> int:
    """Runs a worker; returns the exit status (0 bye, 2 wrong usage, 3 refused, 4 the controller is gone)."""
    parser = argparse.ArgumentParser(
        prog="python -m py_worker",
        description="The PyTorch worker of ammd. The controller starts it; settings come in the environment.",
    )
    parser.add_argument("--connect", required=True, metavar="ENDPOINT", help="ipc://PATH or tcp://HOST:PORT")
    endpoint: str = parser.parse_args(arguments).connect

    controller = os.environ.get("AMMD_CONTROLLER_PID")
    if controller is not None and not controller.isdecimal():
        parser.error(f"AMMD_CONTROLLER_PID is {controller!r}; it must be a process id")
    claim_signals(controlled=controller is not None)
    # Progress bars of libraries would fill the log; the controller shows progress.
    os.environ.setdefault("TQDM_DISABLE", "1")

    # Only now: importing torch takes a second and starts threads, which must inherit the blocked signals.
    from py_worker import ops
    from py_worker.protocol_gen import ORPHAN_MS
    from py_worker.server.endpoint import remove_socket_folder, take_curve_keys
    from py_worker.server.worker import Worker
    from py_worker.session.errors import ArgumentError

    try:
        keys = take_curve_keys(endpoint, os.environ)
    except ArgumentError as error:
        print(f"py_worker: {error}", file=sys.stderr)
        return EXIT_USAGE
    # A controller's child ends with its process, which may be silent for long: a terminal that nobody reads
    # blocks it as it writes its progress, and a stop signal holds it.
    silence_s = ORPHAN_MS / 1000.0 if controller is None else math.inf
    worker = Worker(endpoint, os.environ.pop("AMMD_TOKEN", ""), silence_s, ops.run, keys)
    watch(
        None if controller is None else int(controller),
        worker.describe,
        tidy=lambda: remove_socket_folder(endpoint),
    )
    return worker.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
