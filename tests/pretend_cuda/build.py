"""Compiles `device.cpp` for the torch that is installed, and loads it."""

import ctypes
import importlib.util
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

_SOURCE = Path(__file__).with_name("device.cpp")


def load() -> None:
    """Makes torch believe in a CUDA device.

    Raises:
        RuntimeError: torch is imported already, or is no build for CPUs.
    """
    if "torch" in sys.modules:
        raise RuntimeError("pretend_cuda: torch is imported already")
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    torch = Path(spec.origin).parent
    if runpy.run_path(str(torch / "version.py"))["cuda"] is not None:
        raise RuntimeError("pretend_cuda: this torch knows real CUDA devices; take a build for CPUs")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "device.so"
        includes = [torch / "include", torch / "include/torch/csrc/api/include"]
        subprocess.run(
            [
                *("g++", "-std=c++20", "-shared", "-fPIC", str(_SOURCE), "-o", str(library)),
                *(f"-I{path}" for path in includes),
                *(f"-L{torch / 'lib'}", f"-Wl,-rpath,{torch / 'lib'}", "-lc10", "-ltorch_cpu"),
            ],
            check=True,
        )
        ctypes.CDLL(str(library))
