"""`python -m py_worker.sweep.study`: answers a sweep's questions, a JSON line each, until the input ends.

A process of its own, since Optuna is a Python library and the worker is busy. It imports no torch.
"""

import signal
import sys
from collections.abc import Iterable
from typing import BinaryIO

import msgspec

from py_worker.sweep.messages import (
    Answer,
    Ask,
    Asked,
    Open,
    Opened,
    Report,
    Reported,
    Request,
    Tell,
    Told,
    Weigh,
    Weighed,
)
from py_worker.sweep.search import SearchStudy


def serve(lines: Iterable[bytes], out: BinaryIO) -> None:
    """Answers each request in order.

    Args:
        lines: requests, the first to open the search.
        out: gets one line for each.

    Raises:
        msgspec.ValidationError: a line that is no request.
        ValueError: a request out of order.
    """
    decode = msgspec.json.Decoder(Request).decode
    study: SearchStudy | None = None
    for line in lines:
        request = decode(line)
        if isinstance(request, Open):
            if study is not None:
                raise ValueError("the search is open already")
            study = SearchStudy(request)
            answer: Answer = Opened(study.trials())
        elif study is None:
            raise ValueError("the first request must open the search")
        else:
            answer = _answer(study, request)
        out.write(msgspec.json.encode(answer) + b"\n")
        out.flush()


def _answer(study: SearchStudy, request: Ask | Report | Tell | Weigh) -> Answer:
    match request:
        case Ask():
            return Asked(*study.ask())
        case Report(number, step, value):
            return Reported(study.report(number, step, value))
        case Tell(number, state, value, reason):
            study.tell(number, state, value, reason)
            return Told()
        case Weigh():
            return Weighed(study.importances())


def main() -> None:
    """Serves until the input ends."""
    # Ctrl-C, a closed terminal, and what `timeout` or a job scheduler sends, reach the whole group; the
    # controller decides when the input ends.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
