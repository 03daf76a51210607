"""Memory as the system counts it: the real one roughly, imaginary ones exactly."""

import mmap
import sys
from pathlib import Path

import pytest

from py_worker.session import host_memory

LARGE = 64 * 2**20

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc")


def fill() -> mmap.mmap:
    block = mmap.mmap(-1, LARGE)
    block.write(b"1" * LARGE)
    return block


@linux
def test_what_is_written_is_resident_and_the_peak_remembers_it():
    host_memory.forget_peak()
    before, peak = host_memory.resident_bytes(), host_memory.peak_resident_bytes()
    assert peak < before + LARGE / 2
    block = fill()
    assert host_memory.resident_bytes() > before + LARGE / 2
    block.close()
    assert host_memory.peak_resident_bytes() > before + LARGE / 2
    host_memory.forget_peak()
    assert host_memory.peak_resident_bytes() < before + LARGE / 2


@linux
def test_freed_memory_is_given_back():
    small = 2**16  # below what malloc takes from the system by itself
    blocks = [bytearray(b"1" * small) for _ in range(LARGE // small)]
    last = bytearray(b"1" * small)
    full = host_memory.resident_bytes()
    blocks.clear()
    host_memory.give_back()
    assert host_memory.resident_bytes() < full - LARGE / 2 and len(last) == small


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """An imaginary /proc and /sys/fs/cgroup."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    monkeypatch.setattr(host_memory, "_PROC", proc)
    monkeypatch.setattr(host_memory, "_CGROUPS", groups)
    write(proc / "meminfo", "MemTotal:  9000 kB\nMemAvailable:    7000 kB\nHugePages_Total:   0\n")
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def limit(folder: Path, most: str, used: str, stat: str, names=("memory.max", "memory.current")) -> None:
    for name, text in zip((*names, "memory.stat"), (most, used, stat), strict=True):
        write(folder / name, f"{text}\n")


def test_without_a_limit_the_machine_counts(machine):
    assert host_memory.available_bytes() == 7000 * 1024
    limit(machine / "cgroup", "max", "500", "inactive_file 0")
    assert host_memory.available_bytes() == 7000 * 1024


def test_a_container_has_less(machine):
    limit(machine / "cgroup", "4000000", "1500000", "anon 7\ninactive_file 200000")
    assert host_memory.available_bytes() == 4_000_000 - 1_500_000 + 200_000


def test_the_processs_own_group(machine):
    write(machine / "proc/self/cgroup", "0::/user.slice/job\n")
    limit(machine / "cgroup/user.slice/job", "3000000", "1000000", "inactive_file 0")
    assert host_memory.available_bytes() == 2_000_000


def test_groups_around_it(machine):
    """As a batch system makes them: the limit is the job's."""
    write(machine / "proc/self/cgroup", "0::/system.slice/job_7/step_0/task_0\n")
    limit(machine / "cgroup/system.slice/job_7/step_0/task_0", "max", "1000", "inactive_file 0")
    limit(machine / "cgroup/system.slice/job_7", "3000000", "1000000", "inactive_file 0")
    assert host_memory.available_bytes() == 2_000_000


def test_the_first_version_of_control_groups(machine):
    write(machine / "proc/self/cgroup", "3:cpuset:/other\n4:memory:/job\n")
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    limit(machine / "cgroup/memory/job", "2000000", "1900000", "total_inactive_file 50000", names)
    assert host_memory.available_bytes() == 150_000
    limit(machine / "cgroup/memory/job", "1000000", "1900000", "total_inactive_file 0", names)
    assert host_memory.available_bytes() == 0


def test_a_machine_without_proc(machine):
    (machine / "proc/meminfo").unlink()
    assert host_memory.available_bytes() > 2**28
    assert host_memory.resident_bytes() == host_memory.peak_resident_bytes() > 2**20
    host_memory.forget_peak()
