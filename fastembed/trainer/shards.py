"""How the vocabulary is cut into shards: the unit of work of a thread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHARD_ROWS = 1024
"""At most: 256 rows of logits of one shard and its part of the linear layer fit a second-level cache."""


def shard_bounds(rows: int) -> NDArray[np.intp]:
    """Return the ends of equal shards, (S + 1,), from 0 to `rows`.

    They depend on the number of rows alone, never on that of the threads: partial results are merged in the order of
    the shards, so the sums come out the same, bit for bit, whichever thread made them.
    """
    count = -(-rows // SHARD_ROWS)
    return np.arange(count + 1, dtype=np.intp) * rows // count
