"""Counts of unordered baskets: all pairs of a sequence, through one sparse product."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
from scipy import sparse

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

LARGEST = 1 << 15
BATCH_PAIRS = 1 << 24  # pairs that are counted at a time, about: what a product holds before it is added up


def count_baskets(pieces: Iterable[Int32], vocabulary_size: int, contexts: int, shared: bool) -> sparse.csr_array:
    """Return N[i, j] = sum over baskets of weight * (the pairs of an i and a different j in the basket).

    With X[b, i], how often item i is in basket b, and w_b its weight, N = X.T diag(w) X but for the diagonal, which is
    sum_b w_b X[b, i] (X[b, i] - 1). Batches are cut by the baskets alone and added in their order, so the sums
    are always rounded alike.

    Parameters
    ----------
    pieces : iterable of int32 arrays
        Ids, -1 after each basket.
    vocabulary_size, contexts : int
        V, and K: only the first K items are columns.
    shared : bool
        Whether w_b is 1 / (items - 1) instead of 1.
    """
    total = sparse.csr_array((vocabulary_size, contexts))
    for ids, sizes in _batches(pieces):
        weights = 1 / np.maximum(sizes - 1, 1) if shared else np.ones(len(sizes))
        starts = np.concatenate(([0], np.cumsum(sizes)))
        x = sparse.csr_array((np.ones(len(ids)), ids, starts), shape=(len(sizes), vocabulary_size))
        x.sum_duplicates()
        counts = sparse.csr_array(x.T.multiply(weights)) @ x[:, :contexts]
        diagonal = counts.indices == np.repeat(np.arange(vocabulary_size), np.diff(counts.indptr))
        counts.data[diagonal] = (weights @ x.multiply(x - x.sign()))[counts.indices[diagonal]]
        total = total + counts
    total.sum_duplicates()
    total.eliminate_zeros()
    return total


def _batches(pieces: Iterable[Int32]) -> Iterator[tuple[Int32, Int64]]:
    """Yield (the ids of some baskets, the size of each)."""
    batch: list[Int32] = []
    sizes: list[int] = []
    pairs = 0
    for number, basket in enumerate(_baskets(pieces), 1):
        if len(basket) > LARGEST:
            raise ValueError(
                f"a basket can have at most {LARGEST:,} items, since all their pairs count, but basket {number} has "
                f"{len(basket):,}; for long sequences use windows"
            )
        batch.append(basket)
        sizes.append(len(basket))
        pairs += len(basket) ** 2
        if pairs >= BATCH_PAIRS:
            yield np.concatenate(batch), np.array(sizes)
            batch, sizes, pairs = [], [], 0
    if batch:
        yield np.concatenate(batch), np.array(sizes)


def _baskets(pieces: Iterable[Int32]) -> Iterator[Int32]:
    begun: list[Int32] = []
    for piece in pieces:
        start = 0
        for end in np.flatnonzero(piece < 0).tolist():
            yield np.concatenate((*begun, piece[start:end]))
            begun = []
            start = end + 1
        if start < len(piece):
            begun.append(piece[start:])
