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

from fastembed._kernels.cpu import data_cache_bytes

KIB = 1 << 10
MIB = 1 << 20
TILE_BYTES = 8 * KIB  # with the next one, half of the smallest first-level cache in use, 32 KiB
TILE_BYTES_IN_LEVEL2 = 32 * KIB
TILE_ROWS = 256  # most rows in a tile: what the kernels have memory for


def tiling(rows: int, row_bytes: int, level2: int) -> tuple[int, bool]:
    """Return the rows per tile of a linear layer, a multiple of 8, and whether to prefetch the next tile."""
    prefetch = rows * row_bytes > level2
    tile_rows = (TILE_BYTES if prefetch else TILE_BYTES_IN_LEVEL2) // row_bytes // 8 * 8
    return min(max(tile_rows, 8), TILE_ROWS), prefetch


def level2_bytes() -> int:
    """Return the size of the second-level cache, from CPUID; 512 KiB where that does not say it."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return 4 * MIB  # of the efficiency cores of the M1; all others have at least as much
    return data_cache_bytes(2) or 512 * KIB
