"""How the vocabulary is cut into shards, each the work of one thread at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# At most: 256 rows of logits of one shard and its part of the linear layer fit into a second-level cache
SHARD_ROWS = 1024


def shard_bounds(rows: int) -> NDArray[np.intp]:
    """Return the ends of shards of equal size, (S + 1,), from 0 to `rows`.

    They depend on the number of rows alone, never on the number of threads. Partial results are merged in the order of
    the shards, so the sums have the same bits whichever thread computed them.
    """
    count = -(-rows // SHARD_ROWS)
    return np.arange(count + 1, dtype=np.intp) * rows // count
