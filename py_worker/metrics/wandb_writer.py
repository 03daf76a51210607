"""`python -m py_worker.metrics.wandb_writer`: passes a run's figures on to Weights & Biases.

A process of its own, started by the controller, which has no client of W&B: what uploads is slow or fails
without the run. It reads one JSON object a line from standard input and ends with it:

    {"kind": "begin", "project": …, "entity": …, "mode": …, "tags": […], "name": …, "id": …, "folder": …,
     "config": {…}}
    {"kind": "figures", "stage": …, "step": …, "values": {name: number}}
    {"kind": "summary", "values": {name: number}}
    {"kind": "end"}

Figures are named STAGE/NAME, over STAGE/step: the steps of each stage begin at 0. After a resume, steps that
are run again are logged again, with the same figures.
"""

import json
import signal
import sys
from collections.abc import Iterable
from typing import Any


def write(lines: Iterable[str], wandb: Any) -> None:
    """Logs everything to one run of W&B.

    Args:
        lines: as above; the first begins the run. Without `end` the run counts as failed: the controller was
            stopped or died, and may go on later under the same id.
        wandb: the library.

    Raises:
        ValueError: a line that is none of the above.
    """
    messages = (json.loads(line) for line in lines)
    run = _begin(next(messages, {"kind": None}), wandb)
    stages: set[str] = set()
    exit_code = 1
    try:
        for message in messages:
            match message:
                case {"kind": "figures", "stage": stage, "step": step, "values": values}:
                    if stage not in stages:
                        stages.add(stage)
                        run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
                    run.log({f"{stage}/step": step, **{f"{stage}/{name}": values[name] for name in values}})
                case {"kind": "summary", "values": values}:
                    run.summary.update(values)
                case {"kind": "end"}:
                    exit_code = 0
                case _:
                    raise ValueError(f"no message of a run: {message}")
    finally:
        run.finish(exit_code=exit_code)


def _begin(message: dict[str, Any], wandb: Any) -> Any:
    if message["kind"] != "begin":
        raise ValueError(f"the first message must be begin, not {message}")
    names = ("project", "entity", "mode", "tags", "name", "id", "config")
    settings = wandb.Settings(console="off")
    given = {name: message[name] for name in names}
    return wandb.init(**given, dir=message["folder"], resume="allow", settings=settings)


def main() -> None:
    """Serves until the input ends."""
    # Ctrl-C, a closed terminal, and what `timeout` or a job scheduler sends, reach the whole group; the
    # controller decides when the input ends.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    import wandb  # Only now, so that its own processes ignore them as well.

    write(sys.stdin, wandb)


if __name__ == "__main__":
    main()
