"""Counting of pairs of neighbouring ids, and their numbering by decreasing count."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from fastembed._base.threads import Pool
from fastembed._kernels import features as kernels
from fastembed.classifier.features import Grams, Int32, Int64, check_numbered

PART_PAIRS = 1 << 15  # approximate number of pairs whose hash table fits into a cache
MOST_PARTS = 512
PARTS_AT_ONCE = 8  # parts per task
TALLIED = 256  # counts below this are sorted by counting sort


def count_pairs(left: Int32, right: Int32, shift: int, least: int, pool: Pool) -> tuple[Int32, Grams]:
    """Return the pairs (left[i], right[i + shift]) of non-negative ids that occur at least `least` times.

    Pairs are counted in parts whose hash tables fit into a cache. The result depends on the number of pairs, not on the
    number of threads.

    Parameters
    ----------
    left, right : ndarray of int32 (n,)
    shift : int
    least : int
    pool : Pool

    Returns
    -------
    found : ndarray of int32 (n,)
        The number of the pair at each position, or -1.
    grams : Grams
        The pairs by decreasing count; equal counts by their parts, then in the order of first occurrence.

    Raises
    ------
    ValueError
        If more pairs occur often enough than an int32 can number.

    Examples
    --------
    >>> ids = np.array([5, 7, -1, 5, 7, 8, -1], np.int32)
    >>> found, grams = count_pairs(ids, ids, 1, 1, Pool(1))
    >>> found.tolist(), grams.counts.tolist()
    ([0, -1, -1, 0, 1, -1, -1], [2, 1])
    """
    parts = min(MOST_PARTS, 1 << (len(left) // PART_PAIRS).bit_length())
    pieces = list(pairwise(np.linspace(0, len(left), min(pool.threads, parts) + 1).astype(np.int64).tolist()))
    of_piece = np.empty((len(pieces), parts), np.int64)
    pool.run(lambda k: kernels.part_sizes(left, right, shift, *pieces[k], of_piece[k]), len(pieces))
    ends = np.cumsum(of_piece.T).reshape(parts, len(pieces))  # each part has pairs of all pieces, in order
    starts = np.ascontiguousarray((ends - of_piece.T).T)
    bounds = np.concatenate([np.zeros(1, np.int64), ends[:, -1]])
    pairs = np.empty(bounds[-1], np.uint64)
    moved = starts.copy()
    pool.run(lambda k: kernels.part_pairs(left, right, shift, *pieces[k], moved[k], pairs), len(pieces))
    numbers, counts = np.empty(len(pairs), np.int32), np.empty(len(pairs), np.int32)
    sizes, tally = np.empty(parts, np.int64), np.empty((parts, TALLIED), np.int64)
    frequent: list[Any] = [None] * parts  # the counts of TALLIED or more

    def count(task: int) -> None:
        first, last = task * PARTS_AT_ONCE, min((task + 1) * PARTS_AT_ONCE, parts)
        kernels.number_pairs(pairs, bounds, first, last, numbers, counts, sizes, tally)
        for k in range(first, last):
            some = counts[bounds[k] : bounds[k] + sizes[k]]
            frequent[k] = some[some >= TALLIED]

    tasks = -(-parts // PARTS_AT_ONCE)
    pool.run(count, tasks)
    ranks, of_frequent, total = _first_ranks(tally, np.concatenate(frequent), least)
    grams = Grams(np.empty(total, np.int32), np.empty(total, np.int32), np.empty(total, np.int64))

    def rank(task: int) -> None:
        first, last = task * PARTS_AT_ONCE, min((task + 1) * PARTS_AT_ONCE, parts)
        kernels.rank_pairs(
            pairs, bounds, sizes, first, last, ranks, of_frequent, least, numbers, counts,
            grams.left, grams.right, grams.counts,
        )  # fmt: skip

    pool.run(rank, tasks)
    found = np.empty(len(left), np.int32)
    pool.run(lambda k: kernels.put_numbers(left, right, shift, *pieces[k], numbers, starts[k], found), len(pieces))
    return found, grams


def _first_ranks(tally: Int64, frequent: Int32, least: int) -> tuple[Int64, Int32, int]:
    """Return the ranks of the pairs of each part by decreasing count, with equal counts in the order of the parts.

    Parameters
    ----------
    tally : ndarray of int64 (parts, T)
        The output of `number_pairs`.
    frequent : ndarray of int32
        The counts of T or more, in the order of the parts.
    least : int

    Returns
    -------
    ranks : ndarray of int64 (parts, T)
    of_frequent : ndarray of int32
        The arguments of `rank_pairs`.
    total : int
        The number of pairs that occur often enough.

    Raises
    ------
    ValueError
        If these are more than an int32 can number.
    """
    order = np.argsort(-frequent, kind="stable")
    order = order[frequent[order] >= least]
    of_frequent = np.full(max(1, len(frequent)), -1, np.int32)
    of_frequent[order] = np.arange(len(order), dtype=np.int32)
    rarer = tally[:, :0:-1].T.copy()  # pairs with T - 1, T - 2, ..., 1 occurrences, per part
    rarer[max(0, tally.shape[1] - least) :] = 0
    ends = len(order) + np.cumsum(rarer).reshape(rarer.shape)
    total = len(order) + int(rarer.sum())
    check_numbered(total)
    ranks = np.empty_like(tally)
    ranks[:, 0] = np.cumsum(tally[:, 0]) - tally[:, 0]
    ranks[:, :0:-1] = (ends - rarer).T
    return ranks, of_frequent, total
