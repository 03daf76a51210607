"""A worker's loop with everything loaded."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.py.ops.local_worker import LocalWorker
from tests.py.ops.scene import load_everything

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def empty(cache_dir: Path) -> Iterator[LocalWorker]:
    worker = LocalWorker(str(cache_dir))
    yield worker
    worker.close()


@pytest.fixture
def worker(empty: LocalWorker) -> LocalWorker:
    load_everything(empty)
    return empty
