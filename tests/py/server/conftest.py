"""A worker in this process and a controller that has welcomed it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.py.server.controller import Controller, WorkerThread, ipc_endpoint

torch.set_num_threads(1)


@pytest.fixture
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return ipc_endpoint(Path(tmp_path_factory.mktemp("s")))


@pytest.fixture
def controller(endpoint: str) -> Iterator[Controller]:
    controller = Controller(endpoint)
    yield controller
    controller.close()


@pytest.fixture
def worker(controller: Controller) -> Iterator[WorkerThread]:
    worker = WorkerThread(controller.endpoint)
    controller.welcome()
    yield worker
    if worker.status is None:
        controller.bye()
        assert worker.join() == 0
