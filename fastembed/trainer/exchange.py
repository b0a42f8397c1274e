"""`Exchange`: what ranks send one another in a fit.

Messages, and when they are sent:

    per block           (max, sum, target logit) of its rows for each node, from each rank to all; with bags also dH
    per several blocks  without bags, dH of their rows, which share no row of the embedding: each rank merges an equal
                        part of the rows, updates their rows of the embedding, and sends them to all
    per epoch           the linear layer and its optimizer state
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import aligned_zeros
from fastembed._kernels import kernels_for
from fastembed.counts.groups import shard_bounds
from fastembed.trainer.parameters import Parameters
from fastembed.trainer.run import Run

KEPT_BYTES = 1 << 26  # of dH that ranks keep before they merge it: messages are long, and memory is bounded
UPDATED_ROWS = 512  # rows of the embedding per task of a rank


class Exchange:
    """The communication of the ranks during a fit; the kernels call it (``_kernels/exchange.pxi``).

    Parameters
    ----------
    row_rates : ndarray (V_in,)
        Factors on the learning rate of the rows of the embedding.
    h_gradients : ndarray (shards of this rank, B, width)
        The memory of the kernels for dH.
    squares : ndarray (V_in,) or None
        Adagrad's sums for the rows of the embedding; None for gradient descent.
    bags : bool
        Whether inputs are bags.

    Attributes
    ----------
    nodes, node_shards, rank_partials, partials, kept, gradients
        As in ``_kernels/exchange.pxi``; `rank_partials` is large enough for the most nodes of any rank.
    """

    def __init__(
        self,
        run: Run,
        parameters: Parameters,
        row_rates: NDArray[np.float64],
        h_gradients: NDArray[Any],
        squares: NDArray[np.float64] | None,
        *,
        bags: bool,
    ) -> None:
        self._ranks, self._pool, self._parameters, self._squares = run.ranks, run.pool, parameters, squares
        self._row_rates, self._h_gradients, self._bags = row_rates, h_gradients, bags
        _, self._block_size, width = h_gradients.shape
        shards = len(shard_bounds(parameters.outputs)) - 1
        sizes = np.diff(run.ranks.first_nodes(shards))  # nodes of each rank
        self.nodes, self._most = int(sizes.sum()), int(sizes.max())
        self.node_shards = shards // self.nodes
        # All ranks send the same number of nodes, though some have one less: where the nodes are in what is received
        places = np.concatenate([rank * self._most + np.arange(size) for rank, size in enumerate(sizes)])
        self._places = slice(None) if self._most == 1 else places
        self.rank_partials = np.empty(self._most * 3 * self._block_size)
        self.partials = np.empty(self.nodes * 3 * self._block_size)
        fit = KEPT_BYTES // (width * parameters.dtype.itemsize * self._most)
        most = len(row_rates) + self._block_size
        self._capacity = 0 if bags else max(2 * self._block_size, min(fit, most))
        kept = (int(sizes[run.ranks.rank]), self._capacity + run.ranks.size, width)
        self.kept = aligned_zeros(kept, parameters.dtype)
        gathered = (self.nodes, self._block_size, width) if bags else (1, 1, width)
        self.gradients = aligned_zeros(gathered, parameters.dtype).reshape(-1)
        self._rows: list[NDArray[np.intp]] = []  # the rows of each block whose dH is kept
        self._rates = np.zeros(parameters.inputs)  # the rates at which these rows of the embedding are updated

    def gather_partials(self, size: int) -> None:
        """Gather (max, sum, target logit) of the rows of a block, for each node, on all ranks."""
        self._gather(self.rank_partials[: self._most * 3 * size], self.partials[: self.nodes * 3 * size])

    def gather_gradients(self, size: int) -> None:
        """Gather dH of a block, for each node, on all ranks."""
        sent = self._padded(self._h_gradients[:: self.node_shards, :size]).reshape(-1)
        self._gather(sent, self.gradients[: self.nodes * len(sent) // self._most])

    def _gather(self, sent: NDArray[Any], gathered: NDArray[Any]) -> None:
        """Gather the arrays of the nodes of all ranks in `gathered`; each sends as many nodes as any rank at most."""
        received = np.empty((self._ranks.size * self._most, len(sent) // self._most), sent.dtype)
        self._ranks.comm.Allgather(sent, received)
        gathered.reshape(self.nodes, -1)[:] = received[self._places]

    def _padded(self, nodes: NDArray[Any]) -> NDArray[Any]:
        """Return C-contiguous arrays of the nodes of this rank, padded with one if other ranks have one more."""
        return np.concatenate([nodes, nodes[: self._most - len(nodes)]])

    def stepped(self, trainer: Any, rows: NDArray[np.intp], rate: float) -> None:
        """Record a step, whose dH is kept if there are no bags; merge what is kept when the memory is full."""
        if self._bags:
            return
        self._rows.append(rows)
        self._rates[rows] = rate * self._row_rates[rows]
        if sum(map(len, self._rows)) + self._block_size > self._capacity:
            self.join(trainer)

    def join(self, trainer: Any) -> None:
        """Merge the dH that a `BlockTrainer` has kept, and update the rows of the embedding.

        Rank r has part r of the rows: all ranks send it their parts of dH; it adds them by the tree, and sends the new
        rows of the embedding to all.
        """
        count = trainer.take_kept()
        if not count:
            return
        rows = np.concatenate(self._rows)
        self._rows.clear()
        ranks = self._ranks.size
        size = -(-count // ranks)
        part = rows[self._ranks.rank * size :][:size]
        self._update(part, self._gradients_of_part(size))
        for array in [self._parameters.embedding, *([] if self._squares is None else [self._squares])]:
            sent = np.zeros((size, *array.shape[1:]), array.dtype)
            sent[: len(part)] = array[part]
            received = np.empty((ranks * size, *array.shape[1:]), array.dtype)
            self._ranks.comm.Allgather(sent, received)
            array[rows] = received[:count]

    def _gradients_of_part(self, size: int) -> NDArray[Any]:
        """Return dH of this rank's part of the kept rows, for all nodes, (nodes, size, width)."""
        ranks, width = self._ranks.size, self.kept.shape[2]
        parts = self.kept[:, : ranks * size].reshape(len(self.kept), ranks, size, width)
        sent = np.ascontiguousarray(self._padded(parts).swapaxes(0, 1))  # for each rank, all nodes of this rank
        received = aligned_zeros(sent.shape, sent.dtype)
        self._ranks.comm.Alltoall(sent, received)
        gradients: NDArray[Any] = received.reshape(-1, size, width)[self._places]
        return gradients

    def _update(self, rows: NDArray[np.intp], gradients: NDArray[Any]) -> None:
        """Update some rows of the embedding, given the parts of dH of the nodes, (nodes, at least rows, width)."""
        p, update = self._parameters, kernels_for(self._parameters.dtype).block_update_embedding

        def update_piece(k: int) -> None:
            first, last = k * UPDATED_ROWS, min((k + 1) * UPDATED_ROWS, len(rows))
            update(p.embedding, rows, self._rates, gradients, self._squares, 1.0, first, last)

        self._pool.run(update_piece, -(-len(rows) // UPDATED_ROWS))

    def meet(self, trainer: Any, momentum: NDArray[Any]) -> None:
        """Give all ranks the steps of all, at the end of an epoch.

        They receive each shard of the linear layer and of its optimizer state from the rank that has trained it.
        """
        self.join(trainer)
        bounds = shard_bounds(self._parameters.outputs)
        for rank in range(self._ranks.size):
            shards = self._ranks.shards_of(rank, len(bounds) - 1)
            rows = slice(bounds[shards.start], bounds[shards.stop])
            for array in (self._parameters.weights, self._parameters.linear_squares, momentum):
                self._ranks.send(array[rows], rank)
