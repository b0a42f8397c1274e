"""The size of the second-level cache of this CPU, and the tiles of the row kernels that follow from it.

A tile of the linear layer is read twice: for the logits, and for their share of the gradient. At the second use it
should still be in the first-level cache, together with the next tile, which is prefetched meanwhile. If the whole layer
fits into the second-level cache, prefetching costs more than it gains, and a larger tile is better. The figures are in
docs/decisions.md.

Tiles determine the order of sums, so they must not depend on the core that runs this: the smallest cache of all counts.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from fastembed._kernels.cpu import data_cache_bytes

KIB = 1 << 10
MIB = 1 << 20
TILE_BYTES = 8 * KIB  # with the next one, half of the smallest first-level cache in use, 32 KiB
TILE_BYTES_IN_LEVEL2 = 32 * KIB
TILE_ROWS = 256  # most rows in a tile: what the kernels have memory for
CPU_FOLDERS = Path("/sys/devices/system/cpu")  # Linux


def tiling(rows: int, row_bytes: int, level2: int) -> tuple[int, bool]:
    """Return the rows per tile of a linear layer, a multiple of 8, and whether to prefetch the next tile."""
    prefetch = rows * row_bytes > level2
    tile_rows = (TILE_BYTES if prefetch else TILE_BYTES_IN_LEVEL2) // row_bytes // 8 * 8
    return min(max(tile_rows, 8), TILE_ROWS), prefetch


def level2_bytes() -> int:
    """Return the size of the second-level cache: from CPUID, or on other architectures from Linux; else 512 KiB."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return 4 * MIB  # of the efficiency cores of the M1; all others have at least as much
    size = data_cache_bytes(2)
    if not size and platform.machine().lower() not in ("x86_64", "amd64"):
        size = _least_of_all_cores(2)
    return size or 512 * KIB


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
