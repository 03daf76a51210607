"""Compiles the kernel of `triton_rows` for GPUs that need not be there; prints a line for each variant."""

import os
import re
import subprocess
import tempfile
from itertools import product
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "0"

import sys

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import torch
import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from py_worker.losses.divergence import LOG_ZERO
from py_worker.losses.triton_kernel import rows
from py_worker.losses.triton_rows import BLOCK, WARPS

CONSTANTS = {
    "MIX": 0.5,
    "TEMPERATURE": 1.5,
    "LOG_ZERO": LOG_ZERO,
    "TINY": torch.finfo(torch.float32).tiny,
    "LOWEST": torch.finfo(torch.float32).min,
    "BLOCK": BLOCK,
}
WITHOUT_TOKENS = ("tokens", "log_prob", "token_upstream")
VARIANTS = (
    *((kind, ("values", *WITHOUT_TOKENS)) for kind in ("forward_kl", "reverse_kl", "jsd", "tvd")),
    *((kind, ("values", *WITHOUT_TOKENS)) for kind in ("skew_forward_kl", "skew_reverse_kl")),
    ("moment", WITHOUT_TOKENS),
    ("moment", ()),
    ("cross_entropy", ("teacher", "values")),
)
"""Kinds, and the arguments that each goes without."""


def compiled_for(kind: str, absent: tuple[str, ...], capability: int, aligned: bool) -> str:
    """Assembly of a variant, with a vocabulary that 16 divides or not, which decides how memory is read."""
    constants = {**CONSTANTS, "KIND": kind, **dict.fromkeys(absent)}

    def type_of(name: str) -> str:
        if name in constants:
            return "constexpr"
        if name.endswith("_stride") or name == "vocabulary":
            return "i32"
        return "*i64" if name == "tokens" else "*fp32"

    names = rows.arg_names
    known = [name for name in names if name not in constants]
    divided = known if aligned else [name for name in known if type_of(name) != "i32"]
    source = ASTSource(
        rows,
        {name: type_of(name) for name in names},
        {(names.index(name),): value for name, value in constants.items()},
        # As a launch says it of addresses and numbers.
        {(names.index(name),): [["tt.divisibility", 16]] for name in divided},
    )
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": WARPS})
    return str(compiled.asm["ptx"])


def spilled(assembly: str, capability: int) -> int:
    """Bytes that the machine code keeps of its registers in memory."""
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(assembly)
        file.flush()
        target = f"-arch=sm_{capability}{'a' * (capability >= 90)}"
        command = [get_ptxas(capability).path, "-v", target, file.name, "-o", os.devnull]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = re.findall(r"(\d+) bytes spill (?:stores|loads)", report)
    assert len(found) >= 2, report
    return sum(map(int, found))


with tempfile.TemporaryDirectory() as cache:
    knobs.cache.dir = cache
    for capability, aligned, (kind, absent) in product((80, 90), (True, False), VARIANTS):
        assembly = compiled_for(kind, absent, capability, aligned)
        kept = assembly.count("max.NaN.f32")
        name = f"sm_{capability} {kind}{'' if aligned else ', V odd'}"
        print(f"{name}: {spilled(assembly, capability)} bytes spilled, {kept} maxima keep nan")
