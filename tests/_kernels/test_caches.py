"""The second-level cache of the CPU, and the tiles that suit it."""

import platform
from pathlib import Path

import pytest

from fastembed import _kernels
from fastembed._kernels import caches
from fastembed._kernels.caches import KIB, MIB, level2_bytes
from fastembed._kernels.cpu import data_cache_bytes

LINUX = Path("/sys/devices/system/cpu/cpu0/cache")


def test_the_cache_of_this_cpu_is_read_once_and_has_a_plausible_size():
    assert level2_bytes() == _kernels.LEVEL2_BYTES
    assert 64 * KIB <= _kernels.LEVEL2_BYTES <= 256 * MIB


@pytest.mark.skipif(not (LINUX / "index0" / "size").exists(), reason="needs the system's list of caches")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="others are read from that list")
def test_cpuid_says_what_the_system_says():
    for level in (1, 2):
        if size := data_cache_bytes(level):
            assert size == caches._least_of_all_cores(level)
    assert data_cache_bytes(9) == 0


# ---------------------------------------------------------------- what Linux lists


@pytest.fixture
def listed(tmp_path, set_constant):
    """Write Linux' list of caches, with CPUID silent, and return the size found of the second level."""

    def find(*cores, machine="aarch64"):
        for core, entries in enumerate(cores):
            for index, entry in enumerate(entries):
                folder = tmp_path / f"cpu{core}" / "cache" / f"index{index}"
                folder.mkdir(parents=True)
                for name, text in zip(("level", "type", "size"), entry, strict=False):
                    (folder / name).write_text(f"{text}\n", encoding="ascii")
        set_constant("fastembed._kernels.caches.CPU_FOLDERS", tmp_path)
        set_constant("fastembed._kernels.caches.data_cache_bytes", lambda level: 0)
        set_constant("platform.machine", lambda: machine)
        set_constant("sys.platform", "linux")
        return level2_bytes()

    return find


pytestmark_threads = pytest.mark.thread_unsafe(reason="replaces what the platform module says")


@pytestmark_threads
def test_other_cpus_are_read_from_linux(listed):
    core = [(1, "Data", "64K"), (1, "Instruction", "16K"), (2, "Unified", "1024K"), (3, "Unified", "32768K")]
    assert listed(core, core) == MIB


@pytestmark_threads
def test_of_cores_of_several_kinds_the_smallest_caches_count(listed):
    large, small = ([(1, "Data", f"{kib}K"), (2, "Unified", f"{8 * kib}K")] for kib in (64, 32))
    assert listed(large, small, large) == 256 * KIB


@pytestmark_threads
@pytest.mark.parametrize("entry", [("2", "Unified"), ("2",), ("2", "Unified", ""), ("3", "Unified", "4096K")])
def test_caches_of_which_linux_does_not_say_the_size_are_assumed(listed, entry):
    assert listed([(1, "Data", "64K"), entry]) == 512 * KIB
    assert listed() == 512 * KIB


@pytestmark_threads
def test_apples_cores_are_known(set_constant):
    set_constant("sys.platform", "darwin")
    set_constant("platform.machine", lambda: "arm64")
    assert level2_bytes() == 4 * MIB
