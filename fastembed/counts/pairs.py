"""Pairs that are not cut from text: pairs of names, as pairs of ids, and all pairs of the items of a basket."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Int32, row_ranges
from fastembed._base.threads import ordered_map
from fastembed._base.validation import check_amounts, shown, unmasked
from fastembed.corpus.documents import is_missing
from fastembed.counts.groups import RowBatch, batch_entries, group_places
from fastembed.vocabulary import Vocabulary

MAX_BASKET_ITEMS = 1 << 15


def named_pairs(
    sources: Iterable[Hashable], targets: Iterable[Hashable], weights: npt.ArrayLike | None, symmetric: bool
) -> tuple[sparse.coo_array, Vocabulary]:
    """Return pairs of names as a matrix of ids, and the vocabulary; see :meth:`Counts.from_pairs`."""
    ids: dict[Hashable, int] = {}
    rows, columns = name_ids("sources", sources, ids), name_ids("targets", targets, ids)
    amounts = np.ones(len(rows)) if weights is None else unmasked("weights", weights)
    check_amounts("weights", amounts)
    for name, array in (("targets", columns), ("weights", amounts)):
        if array.shape != rows.shape:
            raise ValueError(f"{name} must have the shape {rows.shape} of sources, got {array.shape}")
    if not ids:
        raise ValueError("there must be at least one pair, got none")
    occurrences = np.bincount(rows, minlength=len(ids)) + np.bincount(columns, minlength=len(ids))
    if symmetric:
        rows, columns, amounts = both_ways(rows, columns, amounts)
    is_target = np.zeros(len(ids), bool)
    is_target[columns] = True
    tokens = tokens_of(ids)
    order = sorted(range(len(ids)), key=lambda k: (not is_target[k], -occurrences[k], tokens[k]))
    place = np.empty(len(ids), np.intp)
    place[order] = np.arange(len(ids))
    pairs = amounts.astype(np.float64), (place[rows], place[columns])
    vocabulary = Vocabulary([tokens[k] for k in order], occurrences[order])
    return sparse.coo_array(pairs, shape=(len(ids), int(is_target.sum()))), vocabulary


def both_ways(
    rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], amounts: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], ...]:
    """Return pairs (n,) with their reverses; a pair of an id with itself is its own reverse."""
    other = rows != columns
    pairs = (rows, columns[other]), (columns, rows[other]), (amounts, amounts[other])
    return tuple(map(np.concatenate, pairs))


def tokens_of(names: Iterable[Hashable]) -> list[str]:
    """Return the tokens of different names: each its str.

    Raises
    ------
    TypeError
        If the names are a single string, or cannot be iterated over.
    ValueError
        If two names give the same token.

    Examples
    --------
    >>> tokens_of(["ann", 33, (1, 2)])
    ['ann', '33', '(1, 2)']
    >>> tokens_of([1, "1"])
    Traceback (most recent call last):
        ...
    ValueError: the names 1 and '1' would both be the token '1'
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"tokens must be a sequence of names, got {names!r}")
    tokens: dict[str, Hashable] = {}
    for name in names:
        token = str(name)
        if token in tokens:
            raise ValueError(f"the names {shown(tokens[token])} and {shown(name)} would both be the token {token!r}")
        tokens[token] = name
    return list(tokens)


def name_ids(what: str, names: Iterable[Hashable], ids: dict[Hashable, int]) -> npt.NDArray[np.intp]:
    """Return the id of each name; a new name gets the next id."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"{what} must be several names, got {shown(names)}")
    listed = names.tolist() if isinstance(names, np.ndarray) else names
    numbers = np.array([ids.setdefault(name, len(ids)) for name in listed], np.intp)
    if missing := [name for name in ids if is_missing(name)]:
        raise ValueError(f"{what} must all be named, but one is {missing[0]!r}")
    return numbers


# ---------------------------------------------------------------- baskets


def basket_rows(
    pieces: Iterable[Int32],
    shape: tuple[int, int],
    shared: bool,
    memory_limit: int,
    threads: int,
) -> Generator[RowBatch, None, None]:
    """Return N in batches of rows, in the order of groups: N[i, j] is the weighted number of pairs (i, j).

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
    items = np.argsort(group_places(size))
    inputs, pairs = inputs[items], pairs[items]

    def count(rows: tuple[int, int]) -> RowBatch:
        first, last = rows
        part = inputs[first:last] @ outputs
        part.sort_indices()
        diagonal = part.indices == np.repeat(items[first:last], np.diff(part.indptr))
        part.data[diagonal] = same[part.indices[diagonal]]
        part.eliminate_zeros()
        lengths = np.diff(part.indptr).astype(np.int64)
        return RowBatch(lengths, part.indices.astype(np.int32, copy=False), part.data)

    ranges = row_ranges(pairs, batch_entries(memory_limit // 4, threads))
    return ordered_map(count, ranges, threads)


def _without_empty(piece: Int32) -> Int32:
    """Return a piece without its empty baskets, except for the first: an end that follows another end is dropped."""
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
        most = f"a basket has at most {MAX_BASKET_ITEMS:,} items"
        raise ValueError(f"{most}, but basket {number + 1} has {sizes[number]:,}: use Counts.from_corpus")
    items = ids[ids >= 0]
    x = sparse.csr_array((np.ones(len(items)), items, starts), shape=(len(sizes), vocabulary_size))
    x.sum_duplicates()
    return x, sizes
