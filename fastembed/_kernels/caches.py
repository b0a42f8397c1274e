"""The sizes of the data caches of this CPU, and the tiles of the row kernels that follow from them.

A tile of the linear layer is read twice: for the logits, and for their share of the gradient. At the second use it
should still be in the L1 cache, together with the next tile, which is prefetched then. If the whole layer fits into the
L2 cache, prefetching costs more than it gains, and a tile may be twice as large. The figures are in docs/decisions.md.

The sizes determine the order of sums, so they must not depend on the core that runs this: the smallest of all is used.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from fastembed._kernels.cpu import data_cache_bytes

KIB = 1 << 10
MIB = 1 << 20
LARGE_LEVEL1 = 48 * KIB  # from here on a prefetched tile may fill half of the first-level cache, below it a quarter
LARGEST_TILE = 32 * KIB
TILE_ROWS = 256  # most rows in a tile: what the kernels have memory for
CPU_FOLDERS = Path("/sys/devices/system/cpu")  # Linux


@dataclass(frozen=True)
class Caches:
    """The data caches of a core, in bytes; by default what is assumed where they are unknown."""

    level1: int = 32 * KIB
    level2: int = 512 * KIB

    def tile_bytes(self, prefetch: bool) -> int:
        """Return the bytes of the linear layer in a tile."""
        size = self.level1 // (2 if self.level1 >= LARGE_LEVEL1 else 4)
        return min(size if prefetch else 2 * size, LARGEST_TILE)

    def tiling(self, rows: int, row_bytes: int) -> tuple[int, bool]:
        """Return the rows per tile of a linear layer, a multiple of 8, and whether to prefetch the next tile."""
        prefetch = rows * row_bytes > self.level2
        tile_rows = self.tile_bytes(prefetch) // row_bytes // 8 * 8
        return min(max(tile_rows, 8), TILE_ROWS), prefetch

    def __str__(self) -> str:
        sizes = map(_size, (self.level1, self.level2, self.tile_bytes(True), self.tile_bytes(False)))
        return "{} L1d, {} L2; tile {}, or {} within L2".format(*sizes)


def find_caches() -> Caches:
    """Return the caches of this CPU: from CPUID, or on other architectures from Linux; else what is assumed."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return Caches(64 * KIB, 4 * MIB)  # the efficiency cores of the M1; all others have at least as much
    sizes = data_cache_bytes(1), data_cache_bytes(2)
    if not all(sizes) and platform.machine().lower() not in ("x86_64", "amd64"):
        sizes = _least_of_all_cores(1), _least_of_all_cores(2)
    return Caches(*sizes) if all(sizes) else Caches()


def _least_of_all_cores(level: int) -> int:
    """Return the size of the smallest data cache of this level that Linux lists, or 0."""
    sizes = []
    for cache in CPU_FOLDERS.glob("cpu[0-9]*/cache/index[0-9]*"):
        size = _entry(cache, "size").removesuffix("K")
        if _entry(cache, "level") == str(level) and _entry(cache, "type") != "Instruction" and size.isdigit():
            sizes.append(int(size) * KIB)
    return min(sizes, default=0)


def _entry(cache: Path, name: str) -> str:
    """Return an attribute of a cache from Linux, or an empty str, since firmware may omit any of them."""
    try:
        return (cache / name).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _size(count: int) -> str:
    """Return bytes in a suitable unit."""
    return f"{count // MIB} MiB" if count % MIB == 0 else f"{count / KIB:g} KiB"
