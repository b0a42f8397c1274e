"""Free memory, and limits on the memory used."""

import os
import platform
import sys

import pytest

from fastembed._base import memory
from fastembed._base.memory import check_memory_limit, free_memory, give_back_freed, resident_memory


def test_half_of_the_free_memory_is_the_default_limit(monkeypatch):
    assert 1 << 20 < free_memory() < 1 << 50
    assert check_memory_limit(5 << 20) == 5 << 20
    monkeypatch.setattr(memory, "free_memory", lambda: 10 << 20)
    assert check_memory_limit(None) == 5 << 20


@pytest.mark.thread_unsafe(reason="replaces functions of os")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has a function for it")
def test_free_memory_is_that_of_machines_and_cgroups(monkeypatch, tmp_path):
    """From the files of Linux; without them, from POSIX."""
    monkeypatch.setattr(memory, "Path", lambda path: tmp_path / path[1:])
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    pages = {"SC_AVPHYS_PAGES": 5, "SC_PHYS_PAGES": 9, "SC_PAGE_SIZE": 1 << 12}
    monkeypatch.setattr(memory.os, "sysconf_names", pages, raising=False)
    monkeypatch.setattr(memory.os, "sysconf", pages.get, raising=False)
    assert free_memory() == 5 << 12
    del pages["SC_AVPHYS_PAGES"]
    assert free_memory() == 9 << 12
    del pages["SC_PHYS_PAGES"]
    assert free_memory() == memory.UNKNOWN
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:  900 kB\nMemAvailable:   70 kB\n", encoding="utf-8")
    assert free_memory() == 70 << 10
    (group / "memory.max").write_text("max\n", encoding="utf-8")
    assert free_memory() == 70 << 10
    (group / "memory.max").write_text("50000\n", encoding="utf-8")
    (group / "memory.current").write_text("45000\n", encoding="utf-8")
    assert free_memory() == 5000
    (group / "memory.stat").write_text("active_file 9\ninactive_file 3000\n", encoding="utf-8")
    assert free_memory() == 8000
    (group / "memory.current").write_text("60000\n", encoding="utf-8")
    assert free_memory() == 0


@pytest.mark.thread_unsafe(reason="looks at the memory of the process")
@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or "LD_PRELOAD" in os.environ, reason="needs the allocator of glibc"
)
def test_freed_memory_goes_back_to_the_system_also_below_what_is_in_use():
    give_back_freed()
    before = resident_memory()
    pieces = [bytearray(2000) for _ in range(100_000)]
    assert resident_memory() > before + 150_000_000
    last = pieces[-1]
    del pieces
    give_back_freed()
    assert resident_memory() < before + 100_000_000
    assert len(last) == 2000
