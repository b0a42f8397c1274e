"""The second-level cache of the CPU."""

import platform
from pathlib import Path

import pytest

from fastembed import _kernels
from fastembed._kernels import caches
from fastembed._kernels.caches import KIB, MIB, level2_bytes
from fastembed._kernels.cpu import data_cache_bytes

LINUX = Path("/sys/devices/system/cpu")


def test_the_cache_of_this_cpu_is_read_once_and_has_a_plausible_size():
    assert level2_bytes() == _kernels.LEVEL2_BYTES
    assert 64 * KIB <= _kernels.LEVEL2_BYTES <= 256 * MIB


@pytest.mark.skipif(not (LINUX / "cpu0/cache/index0/size").exists(), reason="needs the system's list of caches")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="others are read from that list")
def test_cpuid_says_what_the_system_says():
    for level in (1, 2):
        assert data_cache_bytes(level) in (0, caches._least_of_all_cores(level))
    assert data_cache_bytes(9) == 0
