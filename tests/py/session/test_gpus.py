"""What this process says of GPUs, for machines that this one is not."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from py_worker.server.hello import device_names
from py_worker.session import gpus
from py_worker.session.gpus import gpu_names, shown_in_words


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """CUDA as it would answer: `counted` by the driver's library, `usable` once it has started."""

    def install(*, counted: int, usable: int, failure: Exception | None = None) -> None:
        started = False

        def init() -> None:
            nonlocal started
            if failure is not None:
                raise failure
            started = True

        def name(index: int) -> str:
            if index >= usable:
                raise AssertionError("Invalid device id")
            return f"GPU {index}"

        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "init", init)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: usable if started else counted)
        monkeypatch.setattr(torch.cuda, "get_device_name", name)

    return install


def test_a_machine_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpus, "_DRIVER", Path("/no/such/driver"))
    assert gpu_names() == []
    assert device_names() == ["cpu"]


def test_a_driver_that_is_too_old_is_told(
    machine: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """CUDA is "not available" there; only starting it says why."""
    machine(counted=1, usable=0, failure=RuntimeError("The NVIDIA driver on your system is too old"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "_DRIVER", tmp_path)
    assert gpu_names() == []
    assert "so no GPU is used: The NVIDIA driver on your system is too old" in capsys.readouterr().err
    for shown, build in (("", "13.0"), ("-1,0", "13.0"), ("NoDevFiles", "13.0"), ("0", None)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
        monkeypatch.setattr(torch.version, "cuda", build)
        assert gpu_names() == []
        assert capsys.readouterr().err == "", "hidden GPUs, or a build for CPUs"


def test_gpus_are_those_that_this_process_can_use(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(counted=4, usable=1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1,MIG-2")
    assert device_names() == ["cpu", "cuda:0 GPU 0"]
    assert shown_in_words() == "1 CUDA device (CUDA_VISIBLE_DEVICES=MIG-1,MIG-2)"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert shown_in_words() == "1 CUDA device"


@pytest.mark.parametrize("kind", [RuntimeError, AssertionError, torch.cuda.DeferredCudaCallError])
def test_cuda_that_does_not_start_leaves_the_cpu(
    kind: type[Exception], machine: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    machine(counted=2, usable=0, failure=kind("the driver is too old"))
    assert device_names() == ["cpu"]
    assert "CUDA does not start, so no GPU is used: the driver is too old" in capsys.readouterr().err
