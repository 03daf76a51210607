"""The worker, and the whole program, with a GPU that is pretended (tests/pretend_cuda)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

ROOT = Path(__file__).parents[2]
OPERATIONS = ROOT / "tests/py/ops"
LEFT_OUT = ("test_halving.py", "test_fitted_draw.py", "test_step_failures.py", "test_import_data.py")
"""A third of the time, and no place where tensors are made that the others do not reach."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("g++") is None or torch.version.cuda is not None,
    reason="the pretended GPU needs Linux, a C++ compiler, and a build of torch for CPUs",
)


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", **more}


def output_of(command: list[str], env: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def test_operations() -> None:
    tests = [str(file) for file in sorted(OPERATIONS.rglob("test_*.py")) if file.name not in LEFT_OUT]
    plugin = ["-p", "tests.pretend_cuda.plugin", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", *plugin, "tests/pretend_cuda", *tests]
    assert " passed" in output_of(command, environment(AMMD_TEST_DEVICE="cuda"))


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
def test_a_run(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "tests/fixtures/configs/tiny.yaml").read_text())
    config["worker"] = {"device": "cuda", "threads": 1, "offload_teacher": True}
    config["models"]["small"]["compute_dtype"] = "bfloat16"
    config["stage_defaults"]["rollout"]["engine"] = "native_graphs"
    config["stages"]["ahead"] = {
        "student": "small",
        "teacher": {"stage": "teacher"},
        "method": {"extends": "gkd", "sources": {"mix": {"probability": 1, "max_staleness": 1}}},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    site = str(ROOT / "tests/pretend_cuda/site")
    env = environment(PYTHONPATH=site, AMMD_WORKER_PYTHON=sys.executable)
    ammd = ["node", "dist/ts/cli/main.js"]
    assert "of 64.0 GiB available" in output_of([*ammd, "check", str(path)], env)
    output_of([*ammd, "train", str(path), "--out", str(tmp_path / "run")], env)
    assert '"cuda:0 a pretended GPU"' in (tmp_path / "run/manifest.json").read_text()
