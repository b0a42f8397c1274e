"""The second-level cache of the CPU."""

import platform
from pathlib import Path

import pytest

from fastembed import _kernels
from fastembed._kernels.caches import KIB, MIB, level2_bytes
from fastembed._kernels.cpu import data_cache_bytes

LINUX = Path("/sys/devices/system/cpu")


def test_the_cache_of_this_cpu_is_read_once_and_has_a_plausible_size():
    assert level2_bytes() == _kernels.LEVEL2_BYTES
    assert 64 * KIB <= _kernels.LEVEL2_BYTES <= 256 * MIB


def sizes_listed(level):
    for cache in LINUX.glob("cpu[0-9]*/cache/index[0-9]*"):
        number, kind, size = ((cache / name).read_text(encoding="ascii").strip() for name in ("level", "type", "size"))
        if number == str(level) and kind != "Instruction":
            yield int(size.removesuffix("K")) * KIB


@pytest.mark.skipif(not (LINUX / "cpu0/cache/index0/size").exists(), reason="needs the system's list of caches")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="only there CPUID says it")
def test_cpuid_says_what_the_system_says():
    for level in (1, 2):
        assert data_cache_bytes(level) in (0, min(sizes_listed(level)))
    assert data_cache_bytes(9) == 0


@pytest.mark.thread_unsafe(reason="replaces what the platform module says")
def test_other_caches_are_assumed(set_constant):
    set_constant("fastembed._kernels.caches.data_cache_bytes", lambda level: 0)
    assert level2_bytes() == 512 * KIB
    set_constant("sys.platform", "darwin")
    set_constant("platform.machine", lambda: "arm64")
    assert level2_bytes() == 4 * MIB
