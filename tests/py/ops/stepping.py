"""What the tests of steps share: weights to compare, and a scored batch to step on."""

from typing import Any

import torch
from torch import Tensor

from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import rows_of_step, step_requests

BATCH = "step:0/batch"


def weights(worker: LocalWorker) -> dict[str, Tensor]:
    module = worker.session.role("student").policy.module
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def critic_weights(worker: LocalWorker, name: str) -> dict[str, Tensor]:
    critic = worker.session.critic(name).critic
    return {name: p.detach().clone() for name, p in critic.named_parameters()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def prepare(worker: LocalWorker, *, teacher: bool = True, student: str = "values", **limits: Any) -> None:
    part = {"part": "off", "dataset": "train", "rows": rows_of_step(0)}
    other = {"part": "on", "dataset": "train", "rows": rows_of_step(1)}
    worker.call("build", out=BATCH, parts=[part, other], **limits)
    worker.call("score", batch=BATCH, teacher=teacher, student=student)


def student_step(**changes: Any) -> dict[str, Any]:
    return {**step_requests(0)[-2][1], **changes}


def critic_step(**changes: Any) -> dict[str, Any]:
    return {**step_requests(0)[3][1], **changes}
