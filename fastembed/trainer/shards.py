"""Division of the outputs into shards, each processed by one thread at a time, and of the shards among ranks.

The shards depend on the number of outputs alone, so that no bit depends on the number of threads or of ranks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Largest number of rows of a shard: its part of the linear layer and 256 rows of logits fit into 1.5 MiB of cache
SHARD_ROWS = 1024
NODES_PER_RANK = 4  # minimum if the number of ranks is not a power of two: then no rank has 1.25 times its part
ROW_GROUP = 16  # bounds are multiples of this, so that SIMD loops over the outputs of a shard have no remainder


def shard_bounds(rows: int) -> NDArray[np.intp]:
    """Return the ends of shards of about equal size, (S + 1,), from 0 to `rows`; S is a power of two.

    They depend on the number of rows only, never on the number of threads. Partial results are merged by a fixed binary
    tree, so the sums have the same bits whichever thread computed them.

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


class Division(NamedTuple):
    """The shards of each rank: consecutive nodes of the tree of results, each with the same number of shards.

    Attributes
    ----------
    node : int
        The number of shards of a node.
    firsts : tuple of int (P + 1,)
        The first node of each rank, and the number of nodes.

    Examples
    --------
    >>> Division.of(64, 4)  # a node for each
    Division(node=16, firsts=(0, 1, 2, 3, 4))
    >>> Division.of(64, 3)
    Division(node=4, firsts=(0, 5, 10, 16))
    """

    node: int
    firsts: tuple[int, ...]

    @classmethod
    def of(cls, shards: int, ranks: int) -> Division:
        """Divide a number of shards, a power of two, among at most as many ranks.

        If the number of ranks is not a power of two, each gets several nodes, so that their work is about equal.
        """
        nodes = ranks
        if ranks & (ranks - 1):
            nodes = min(1 << (NODES_PER_RANK * ranks).bit_length(), shards)
        return cls(shards // nodes, tuple(rank * nodes // ranks for rank in range(ranks + 1)))

    @property
    def nodes(self) -> int:
        """The number of nodes."""
        return self.firsts[-1]

    @property
    def most(self) -> int:
        """The largest number of nodes of a rank."""
        return int(np.diff(self.firsts).max())

    def shards(self, rank: int) -> slice:
        """Return the shards of a rank."""
        return slice(self.node * self.firsts[rank], self.node * self.firsts[rank + 1])
