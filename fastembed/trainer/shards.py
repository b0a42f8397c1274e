"""How the vocabulary is cut into shards, each the work of one thread at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHARD_ROWS = 1024  # at most: 256 rows of logits of a shard and its part of the linear layer fit into 1.5 MiB of cache
ROW_GROUP = 16  # bounds are multiples of it, so that vectors over a shard's outputs have no tail


def shard_bounds(rows: int) -> NDArray[np.intp]:
    """Return the ends of shards of about equal size, (S + 1,), from 0 to `rows`; S is a power of two.

    They depend on the number of rows alone, never on the number of threads. Partial results are merged by a fixed
    binary tree, so the sums have the same bits whichever thread computed them.

    Examples
    --------
    >>> shard_bounds(3000).tolist()
    [0, 752, 1504, 2256, 3000]
    """
    count = 1
    while count * SHARD_ROWS < rows:
        count *= 2
    bounds = np.arange(count + 1, dtype=np.intp) * rows // count
    bounds[1:-1] = -(-bounds[1:-1] // ROW_GROUP) * ROW_GROUP
    return bounds
