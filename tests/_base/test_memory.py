"""Free memory, and limits on the memory used."""

import os
import platform

import pytest

from fastembed._base import memory
from fastembed._base.memory import check_memory_limit, free_memory, give_back_freed, resident_memory


def test_half_of_the_free_memory_is_the_default_limit(monkeypatch):
    assert 1 << 20 < free_memory() < 1 << 50
    assert check_memory_limit(5 << 20) == 5 << 20
    monkeypatch.setattr(memory, "free_memory", lambda: 10 << 20)
    assert check_memory_limit(None) == 5 << 20


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
