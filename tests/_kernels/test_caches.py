"""The caches of the CPU, and the tiles that suit them."""

import platform
from pathlib import Path

import pytest

from fastembed import _kernels
from fastembed._kernels import caches
from fastembed._kernels.caches import KIB, MIB, Caches, find_caches
from fastembed._kernels.cpu import data_cache_bytes

LINUX = Path("/sys/devices/system/cpu/cpu0/cache")


@pytest.mark.parametrize(
    ("level1", "prefetched", "alone"), [(16, 4, 8), (32, 8, 16), (47, 11.75, 23.5), (48, 24, 32), (64, 32, 32)]
)
def test_a_tile_leaves_space_in_the_first_level_cache_for_the_next_one_that_is_prefetched(level1, prefetched, alone):
    caches = Caches(level1 * KIB, MIB)
    assert [caches.tile_bytes(prefetch) for prefetch in (True, False)] == [prefetched * KIB, alone * KIB]


@pytest.mark.parametrize(
    ("row_bytes", "rows"), [(64, 256), (448, 48), (832, 24), (1216, 16), (3072, 8), (4096, 8), (1 << 20, 8)]
)
def test_a_tile_has_a_multiple_of_eight_rows(row_bytes, rows):
    assert Caches(48 * KIB, MIB).tiling(1 << 20, row_bytes) == (rows, True)


def test_the_next_tile_is_prefetched_where_the_linear_layer_exceeds_the_second_level():
    assert [Caches(48 * KIB, MIB).tiling(rows, 512)[1] for rows in (1, 2048, 2049)] == [False, False, True]


def test_the_caches_of_this_cpu_are_read_once_and_have_plausible_sizes():
    assert find_caches() == _kernels.CACHES
    assert 8 * KIB <= _kernels.CACHES.level1 <= MIB
    assert 64 * KIB <= _kernels.CACHES.level2 <= 256 * MIB


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
    """Write Linux' list of caches, with CPUID silent, and return the caches found."""

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
        return find_caches()

    return find


pytestmark_threads = pytest.mark.thread_unsafe(reason="replaces what the platform module says")


@pytestmark_threads
def test_other_cpus_are_read_from_linux(listed):
    core = [(1, "Data", "64K"), (1, "Instruction", "16K"), (2, "Unified", "1024K"), (3, "Unified", "32768K")]
    assert listed(core, core) == Caches(64 * KIB, MIB)


@pytestmark_threads
def test_of_cores_of_several_kinds_the_smallest_caches_count(listed):
    large, small = ([(1, "Data", f"{kib}K"), (2, "Unified", f"{8 * kib}K")] for kib in (64, 32))
    assert listed(large, small, large) == Caches(32 * KIB, 256 * KIB)


@pytestmark_threads
@pytest.mark.parametrize("entry", [("2", "Unified"), ("2",), ("2", "Unified", ""), ("3", "Unified", "4096K")])
def test_caches_of_which_linux_does_not_say_the_size_are_assumed(listed, entry):
    assert listed([(1, "Data", "64K"), entry]) == Caches()
    assert listed() == Caches()


@pytestmark_threads
def test_apples_cores_are_known(set_constant):
    set_constant("sys.platform", "darwin")
    set_constant("platform.machine", lambda: "arm64")
    assert find_caches() == Caches(64 * KIB, 4 * MIB)
