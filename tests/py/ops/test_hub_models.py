"""Models of the hub, from a cache as the hub's client leaves it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from py_worker.models.loading.builtin import builtin_model
from py_worker.models.spec import ArchSpec
from tests.py.tiny_models import tiny_tokenizer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# A device that is pretended is in this process alone.
SETTINGS = {"HF_HUB_OFFLINE": "1", "AMMD_TEST_DEVICE": "cpu"}
LOAD = """
import json, sys
from tests.py.ops.local_worker import LocalWorker
worker = LocalWorker(sys.argv[1])
worker.call("configure", **worker.settings)
model = {
    "source": sys.argv[2], "init": sys.argv[3], "seed": 1, "dtype": "float32", "trust_remote_code": False
}
print(json.dumps(worker.call("load_role", role="student", model=model, gradient_checkpointing=False)))
worker.close()
"""


def cached_model(cache: Path) -> None:
    """`owner/tiny` at a commit, which its main branch points to."""
    repository = cache / "models--owner--tiny"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    module = builtin_model("builtin:llama", ArchSpec(16, 1, 2, 1, 32, 64), tiny_tokenizer(), 0, torch.float32)
    module.save_pretrained(snapshot)
    tiny_tokenizer().save_pretrained(snapshot)


@pytest.mark.parametrize("init", ["pretrained", "random"])
@pytest.mark.parametrize("source", ["owner/tiny", f"owner/tiny@{COMMIT}"])
def test_the_commit_that_was_read_is_told(tmp_path: Path, source: str, init: str) -> None:
    cached_model(tmp_path / "hub")
    found = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path), source, init],
        env={
            **os.environ,
            "HF_HUB_CACHE": str(tmp_path / "hub"),
            "HF_HUB_OFFLINE": "1",
            "AMMD_TEST_DEVICE": "cpu",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(found.stdout.splitlines()[-1])["revision"] == COMMIT
