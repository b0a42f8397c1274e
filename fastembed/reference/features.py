"""Pairs of ids and bags of features: twins of ``features.pyx``. Bags are dense matrices here, and pairs tuples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from fastembed.reference.arrays import Array, Ids, Real

Pair = tuple[int, int]


def pairs_at(left: Ids, right: Ids, shift: int) -> dict[int, Pair]:
    """Return the pairs (left[i], right[i + shift]) of non-negative ids by position i.

    Examples
    --------
    >>> pairs_at(np.array([4, 2, -1, 2]), np.array([4, 2, -1, 2]), 1)
    {0: (4, 2)}
    """
    pairs = enumerate(zip(left.tolist(), right[shift:].tolist(), strict=False))
    return {i: pair for i, pair in pairs if min(pair) >= 0}


def number_pairs(pairs: Iterable[Pair]) -> tuple[list[int], Counter[Pair]]:
    """Return the number of each pair, in the order of first occurrence, and the counts of the pairs in that order.

    Examples
    --------
    >>> number_pairs([(4, 2), (0, 1), (4, 2)])
    ([0, 1, 0], Counter({(4, 2): 2, (0, 1): 1}))
    """
    counts = Counter(pairs := list(pairs))
    numbers = {pair: number for number, pair in enumerate(counts)}
    return [numbers[pair] for pair in pairs], counts


def find_pairs(left: Ids, right: Ids, shift: int, known: Sequence[Pair]) -> list[int]:
    """Return the number of the pair at each position among known pairs (see `pairs_at`), or -1.

    Examples
    --------
    >>> find_pairs(np.array([4, 2, 4, 2]), np.array([4, 2, 4, 2]), 1, [(4, 2)])
    [0, -1, 0, -1]
    """
    numbers = {pair: number for number, pair in enumerate(known)}
    at = pairs_at(left, right, shift)
    return [numbers.get(at[i], -1) if i in at else -1 for i in range(len(left))]


def part_of_pair(pair: Pair, parts: int) -> int:
    """Return the part of a pair, out of a power of two, by the high bits of splitmix64 (Steele et al. 2014).

    Examples
    --------
    >>> [part_of_pair((4, right), 8) for right in range(6)]
    [7, 3, 5, 1, 3, 4]
    """
    h = pair[0] << 32 | pair[1]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        h = (h ^ h >> shift) * factor % 2**64
    return (h ^ h >> 31) * parts >> 64


def rank_pairs(counts: Sequence[int], least: int) -> list[int]:
    """Return the rank of each pair by decreasing count, with ties in order; -1 for counts below `least`.

    Examples
    --------
    >>> rank_pairs([1, 3, 2, 3], least=2)
    [-1, 0, 2, 1]
    """
    order = sorted((k for k in range(len(counts)) if counts[k] >= least), key=lambda k: -counts[k])
    ranks = {k: rank for rank, k in enumerate(order)}
    return [ranks.get(k, -1) for k in range(len(counts))]


def put_numbers(left: Ids, right: Ids, shift: int, parts: int, numbers: Sequence[int]) -> list[int]:
    """Return the number of the pair at each position, or -1, from the numbers of the pairs in the order of parts.

    Examples
    --------
    >>> part_of_pair((4, 2), 2), part_of_pair((2, 3), 2)
    (1, 0)
    >>> ids = np.array([4, 2, 3])
    >>> put_numbers(ids, ids, 1, 2, [7, 8])
    [8, 7, -1]
    """
    at = pairs_at(left, right, shift)
    order = sorted(at, key=lambda i: part_of_pair(at[i], parts))
    found = dict(zip(order, numbers, strict=True))
    return [found.get(i, -1) for i in range(len(left))]


def bags(features: Sequence[Ids], offsets: Sequence[int], starts: Sequence[int], size: int) -> Array:
    """Return the counts of `size` features in each document, (N, F).

    Parameters
    ----------
    features : sequence of ndarray of int (n,)
        For each kind, the feature that begins at each position, or -1.
    offsets : sequence of int
        The offset that is added to the features of each kind.
    starts : sequence of int (N + 1,)
        The start of each document, and the end of the last one.
    size : int
        F.

    Examples
    --------
    >>> bags([np.array([1, 0, 1]), np.array([0, -1, -1])], [0, 2], [0, 2, 3], 3)
    array([[1., 1., 1.],
           [0., 1., 0.]])
    """
    counts = np.zeros((len(starts) - 1, size))
    for kind, offset in zip(features, offsets, strict=True):
        for document, (first, last) in enumerate(pairwise(starts)):
            inside = kind[first:last]
            np.add.at(counts[document], inside[inside >= 0] + offset, 1)
    return counts


def unit_rows(counts: Real, weights: Real) -> Array:
    """Return counts (N, F) times the weights of their columns, with rows scaled to unit length; zero rows stay zero.

    Examples
    --------
    >>> unit_rows([[3, 2], [0, 0]], [1, 2])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    weighted = np.asarray(counts, np.float64) * np.asarray(weights, np.float64)
    lengths = np.sqrt((weighted**2).sum(axis=1, keepdims=True))
    return np.asarray(np.divide(weighted, lengths, out=np.zeros_like(weighted), where=lengths > 0))


def frequencies(bags: Real) -> Ids:
    """Return the number of bags (N, F) that contain each feature, (F,).

    Examples
    --------
    >>> frequencies([[0.5, 0], [2, 0]])
    array([2, 0])
    """
    return np.asarray(np.count_nonzero(bags, axis=0))


def shared_entries(bags: Real, rows: Ids) -> Ids:
    """Return the number of features of each bag (N, F) that have a row, (N,); rows (F,) is -1 for others.

    Examples
    --------
    >>> shared_entries([[3, 0, 1], [0, 2, 0]], np.array([-1, -1, 0]))
    array([1, 0])
    """
    return np.asarray(np.count_nonzero(np.asarray(bags)[:, rows >= 0], axis=1))


def split_bags(bags: Real, order: Ids, rows: Ids) -> tuple[Array, Array, Array, Ids, Array]:
    """Return bags (N, F) in another order, divided into features with a row and features of a single document.

    Parameters
    ----------
    bags : array_like (N, F)
    order : ndarray of int (n,)
    rows : ndarray of int (F,)
        The row of each feature, or -1.

    Returns
    -------
    of_rows : ndarray (n, S)
        The bags in terms of rows.
    squares, own : ndarray (n,)
        The squared lengths of the bags, of all features, and of those without a row.
    owners : ndarray of int (F,), amounts : ndarray (F,)
        The document of a feature without a row, in the new order, and its weight there; otherwise -1 and 0.

    Examples
    --------
    >>> split_bags([[3, 0, 1], [0, 2, 1]], np.array([1, 0]), np.array([-1, -1, 0]))
    (array([[1.],
           [1.]]), array([ 5., 10.]), array([4., 9.]), array([ 1,  0, -1]), array([3., 2., 0.]))
    """
    x, alone = np.asarray(bags, np.float64)[order], rows < 0
    of_rows = np.zeros((len(x), int(rows.max(initial=-1)) + 1))
    of_rows[:, rows[~alone]] = x[:, ~alone]
    amounts = np.where(alone, x.sum(axis=0), 0)
    owners = np.where(amounts != 0, (x != 0).argmax(axis=0), -1)
    return of_rows, (x**2).sum(axis=1), (x[:, alone] ** 2).sum(axis=1), owners, amounts


def joined_rows(rows: Ids, owners: Ids, amounts: Real, of_rows: Real, of_documents: Real) -> Array:
    """Return the rows (F, L) of features divided by `split_bags`: their own row, or amount times that of the owner.

    Parameters
    ----------
    rows, owners : ndarray of int (F,)
    amounts : array_like (F,)
    of_rows : array_like (S, L)
    of_documents : array_like (n, L)

    Examples
    --------
    >>> joined_rows(np.array([-1, -1, 0]), np.array([1, -1, -1]), [3, 0, 0], [[7]], [[4], [5]])
    array([[15.],
           [ 0.],
           [ 7.]])
    """
    alone = np.asarray(amounts, np.float64)[:, None] * np.asarray(of_documents)[owners]
    return np.where(rows[:, None] >= 0, np.asarray(of_rows, np.float64)[rows], alone)
