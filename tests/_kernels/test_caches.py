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


@pytest.mark.thread_unsafe(reason="replaces what the platform module says")
@pytest.mark.parametrize(
    ("second", "size"), [("1024K", 512 * KIB), ("256K", 256 * KIB), (None, 512 * KIB), ("", 512 * KIB)]
)
def test_other_caches_are_the_least_that_linux_lists_or_assumed(tmp_path, set_constant, second, size):
    """Of two cores, whose instructions and third level do not count."""
    for number, level2 in enumerate(["512K", second]):
        caches_of = [
            ("1", "Data", "64K"),
            ("2", "Instruction", "16K"),
            ("3", "Unified", "64K"),
            ("2", "Unified", level2),
        ]
        for index, entries in enumerate(caches_of[: 3 + (level2 is not None)]):
            (folder := tmp_path / f"cpu{number}/cache/index{index}").mkdir(parents=True)
            for name, text in zip(("level", "type", "size"), entries, strict=True):
                (folder / name).write_text(f"{text}\n", encoding="ascii")
    set_constant("fastembed._kernels.caches.CPU_FOLDERS", tmp_path)
    set_constant("fastembed._kernels.caches.data_cache_bytes", lambda level: 0)
    set_constant("platform.machine", lambda: "aarch64")
    set_constant("sys.platform", "linux")
    assert level2_bytes() == size


@pytest.mark.thread_unsafe(reason="replaces what the platform module says")
def test_apples_caches_are_known(set_constant):
    set_constant("sys.platform", "darwin")
    set_constant("platform.machine", lambda: "arm64")
    assert level2_bytes() == 4 * MIB
