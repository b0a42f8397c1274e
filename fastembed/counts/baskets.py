"""Counts of unordered baskets: all pairs of a sequence, through one sparse product."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import row_ranges
from fastembed._base.sizes import SIZES
from fastembed._base.threads import ordered_map
from fastembed.counts.sums import RowBatch, batch_entries

Int32 = npt.NDArray[np.int32]

MAX_BASKET_ITEMS = 1 << 15


def basket_rows(
    pieces: Iterable[Int32],
    shape: tuple[int, int],
    shared: bool,
    memory_limit: int,
    threads: int,
    row_of: npt.NDArray[np.int64] | None,
) -> tuple[Generator[RowBatch, None, None], int]:
    """Return N in batches of rows, and a bound on its entries: N[i, j] is the weighted number of pairs (i, j).

    N[i, j] = sum over baskets of weight * (the pairs of an i and a different j in the basket). With X[b, i] the number
    of times that item i is in basket b, and w_b the weight of the basket, N = X.T diag(w) X except for the diagonal,
    which is sum_b w_b X[b, i] (X[b, i] - 1). X is held in memory, and N is computed in batches of rows. A row is summed
    over the baskets in their order, so the bits depend on neither the threads nor the memory.

    Parameters
    ----------
    pieces : iterable of int32 arrays
        Ids, with -1 after each basket. All pieces are consumed here.
    shape : (int, int)
        (V, K): only the first K items are columns.
    shared : bool
        Whether w_b is 1 / (items - 1) instead of 1.
    memory_limit : int
        Bytes; a quarter of them is for batches of rows.
    threads : int
    row_of : ndarray of int64 (V,), optional
        The row of each item; its id by default.
    """
    size, contexts = shape
    x, sizes = _incidence(pieces, size)
    weights = 1 / np.maximum(sizes - 1, 1) if shared else np.ones(len(sizes))
    lengths = np.diff(x.indptr)
    weight = np.repeat(weights, lengths)  # the weight of each entry of X
    pairs = np.bincount(x.indices, np.repeat(lengths, lengths), minlength=size).astype(np.int64)
    same = np.bincount(x.indices, weight * x.data * (x.data - 1), minlength=size)
    inputs = sparse.csr_array((weight * x.data, x.indices, x.indptr), shape=x.shape).T.tocsr()
    outputs = x if contexts == size else x[:, :contexts]
    items = np.arange(size)
    if row_of is not None:
        items = np.argsort(row_of)
        inputs, pairs = inputs[items], pairs[items]

    def count(rows: tuple[int, int]) -> RowBatch:
        first, last = rows
        part = inputs[first:last] @ outputs
        part.sort_indices()
        diagonal = part.indices == np.repeat(items[first:last], np.diff(part.indptr))
        part.data[diagonal] = same[part.indices[diagonal]]
        part.eliminate_zeros()
        return RowBatch.of(part)

    ranges = row_ranges(pairs, min(SIZES.batch_pairs, batch_entries(memory_limit // 4, threads)))
    return ordered_map(count, ranges, threads), int(np.minimum(pairs, contexts).sum())


def _without_empty(piece: Int32) -> Int32:
    """Return a piece without its empty baskets, except for the first: an end that follows another end is dropped."""
    if not len(piece):
        return piece
    ends = piece < 0
    return piece[~(ends & np.roll(ends, 1) & (np.arange(len(piece)) > 0))]


def _incidence(pieces: Iterable[Int32], vocabulary_size: int) -> tuple[sparse.csr_array, npt.NDArray[np.int64]]:
    """Return (X, the number of items of each basket)."""
    ids = np.concatenate([np.empty(0, dtype=np.int32), *map(_without_empty, pieces)])
    ends = np.flatnonzero(ids < 0)
    starts = np.concatenate(([0], ends - np.arange(len(ends))))
    sizes = np.diff(starts)
    if sizes.max(initial=0) > MAX_BASKET_ITEMS:
        number = int(np.argmax(sizes > MAX_BASKET_ITEMS))
        raise ValueError(
            f"a basket can have at most {MAX_BASKET_ITEMS:,} items, since all their pairs count, but basket"
            f" {number + 1} has {sizes[number]:,}; for long sequences use windows"
        )
    items = ids[ids >= 0]
    x = sparse.csr_array((np.ones(len(items)), items, starts), shape=(len(sizes), vocabulary_size))
    x.sum_duplicates()
    return x, sizes
