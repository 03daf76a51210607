"""Memory of this process and of its machine, as the operating system counts it."""

import contextlib
import ctypes
import gc
import os
import resource
import sys
from pathlib import Path
from typing import Final

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_KIB: Final = 1024


def resident_bytes() -> int:
    """Bytes of this process in memory; where there is no /proc, their peak, for want of another figure."""
    statm = _PROC / "self/statm"
    if not statm.exists():
        return peak_resident_bytes()
    return int(statm.read_text().split()[1]) * resource.getpagesize()


def peak_resident_bytes() -> int:
    """Largest so far, or since `forget_peak`. The kernel counts in KiB on Linux and in bytes on macOS."""
    status = _PROC / "self/status"
    if status.exists():
        return _fields(status)["VmHWM"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB


def forget_peak() -> None:
    """Begins the peak anew, where the system can."""
    with contextlib.suppress(OSError):
        (_PROC / "self/clear_refs").write_text("5")


def give_back() -> None:
    """Returns freed memory to the system. glibc by itself keeps what lies between blocks in use."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def available_bytes() -> int:
    """What processes may still take without swapping: of the machine, or less by the container's limit."""
    meminfo = _PROC / "meminfo"
    if meminfo.exists():
        machine = _fields(meminfo)["MemAvailable"]
    else:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = (_left(folder) for folder in _own_groups())
    return min([machine, *(left for left in limits if left is not None)])


def _fields(file: Path) -> dict[str, int]:
    """`NAME:   N kB` lines, in bytes."""
    lines = (line.split() for line in file.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * _KIB for words in lines if words[-1] == "kB"}


def _own_groups() -> list[Path]:
    """Folders that may have a limit: this process's control group and those around it.

    A batch system sets one on the job, whose steps and tasks have groups of their own without; a container
    sees its limit at the root.
    """
    groups = _PROC / "self/cgroup"
    folders = {_CGROUPS, _CGROUPS / "memory"}
    for line in groups.read_text().splitlines() if groups.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            own = Path(path.lstrip("/"))
            folders.update(_CGROUPS / controllers / group for group in (own, *own.parents))
    return sorted(folders)


def _left(group: Path) -> int | None:
    """Limit minus usage, files that can be let go aside; None without a limit. Both versions of cgroups."""
    for limit, usage in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number: no limit
            most, used = (int((group / name).read_text()) for name in (limit, usage))
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            cached = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
            return max(0, most - used + cached)
    return None
