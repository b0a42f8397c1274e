"""Exact search for the rows of a matrix nearest to queries, in blocks of bounded memory; ties are in the order of ids.

A product in the dtype of the matrix gives every cosine within a known error, so few rows can be among the best. The
cosines of these candidates are computed in float64, for each row separately. So neither cosines nor their order depend
on other queries in the same product, on the BLAS or on its threads.

Ties: cosines are rounded to 12 decimals, far above the rounding errors of float64 (about 1e-16) and far below the
precision of float32 vectors (1e-7). So a row has the cosine 1 with itself and with its multiples. Rows that are exact
multiples of each other have the same bits after scaling to unit length, and the same cosine with any query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.threads import PARALLEL_BYTES, SingleThreadedBlas

COSINE_BYTES = 1 << 25  # bytes of a block of cosines: limits the queries of one product with all rows
EXACT_BYTES = 1 << 22  # bytes of a block of rows in float64

Matrix = npt.NDArray[np.floating[Any]]
Exact = npt.NDArray[np.float64]
Ids = npt.NDArray[np.intp]
Excluded = Sequence[Sequence[int]]  # for each query, the ids to leave out of its result
Among = int | Ids | None  # the number of first rows to search, or the ascending ids of rows to search; None: all
Ranked = tuple[Ids, Exact]  # ids and their scores, descending; ties in the order of the ids

GROUPS = 1024  # groups of rows: the best scores of groups give the threshold for candidates

DECIMALS = 12  # decimals to which cosines are rounded
LEAST = 2.0**-1074  # the smallest positive number of float64

METHODS = ("3CosAdd", "3CosMul")


class Neighbors:
    """Search among the rows (V, D) of a matrix by cosine.

    Zero rows are never a result; a zero query has the cosine 0 with every row.

    Parameters
    ----------
    matrix : ndarray of float32 or float64, shape (V, D)
        Finite and C-contiguous. It is copied only if components are so large or small that squares could overflow or
        underflow.

    Attributes
    ----------
    rows : ndarray, shape (V, D)
        The matrix, or its rows each multiplied by a power of two.
    """

    def __init__(self, matrix: Matrix) -> None:
        largest = np.maximum(matrix.max(axis=1, initial=0), -matrix.min(axis=1, initial=0))
        far = (largest > 0) & ((largest < 2.0**-60) | (largest > 2.0**60))
        # A power of two for each row scales its largest component into [0.5, 1)
        self.rows = np.ldexp(matrix, -np.frexp(largest)[1][:, None]) if far.any() else matrix
        norms = np.empty(len(matrix))
        for block in _blocks(len(matrix), matrix.shape[1] * 8, EXACT_BYTES):
            norms[block] = _lengths(self.rows[block].astype(np.float64))
        self._inverse_norms = np.zeros(len(matrix), matrix.dtype)
        np.divide(1.0, norms, out=self._inverse_norms, where=norms > 0, casting="same_kind")
        self._is_zero = norms == 0
        # A sum of D products has an error of at most D units in the last place of |row||query|, in any order; rounding
        # of the query, the norm and the score adds a few. Twice that covers the final cosine in float64, which is then
        # rounded to DECIMALS.
        self._margin = float((matrix.shape[1] + 16) * np.finfo(matrix.dtype).eps) + 10.0**-DECIMALS

    def unit(self, ids: Ids | slice) -> Exact:
        """Return rows divided by their lengths, (N, D); zero stays zero."""
        return unit_vectors(self.rows[ids])

    def normalized(self) -> Matrix:
        """Return all rows divided by their lengths, in the dtype of the matrix; zero stays zero."""
        unit = np.empty_like(self.rows)
        for block in _blocks(len(unit), unit.shape[1] * 8, EXACT_BYTES):
            unit[block] = self.unit(block)
        return unit

    def nearest(self, queries: Exact, topn: int, *, excluded: Excluded = (), among: Among = None) -> list[Ranked]:
        """Return for each query the rows with the largest cosines.

        Parameters
        ----------
        queries : ndarray of float64, shape (Q, D)
            Of length 1 or 0.
        topn : int
            The number of rows; fewer if there are no more.
        excluded : sequence of Q sequences of int
            Ids excluded from the result of each query; by default none.
        among : int or ndarray of intp, optional
            The number of first rows to search, or the ascending ids of the rows to search; by default all.
        """
        return self._search(queries[:, None], lambda cosines: cosines[0], np.ones((1, 1)), topn, excluded, among)

    def analogies(
        self, questions: Sequence[Exact], topn: int, *, method: str, excluded: Excluded, among: Among = None
    ) -> list[Ranked]:
        """Return the best answers to "a is to b as c is to": `questions` are the unit vectors a, b and c, (Q, D) each.

        3CosAdd scores by the cosine with b - a + c, 3CosMul by s(b) s(c) / (s(a) + 1e-6), where s = (1 + cosine) / 2.

        References
        ----------
        O. Levy and Y. Goldberg, "Linguistic regularities in sparse and explicit word representations", CoNLL 2014.
        """
        a, b, c = questions
        if method == "3CosAdd":
            return self.nearest(unit_vectors(b - a + c), topn, excluded=excluded, among=among)
        signs = np.array([[-1.0], [1.0], [1.0]])
        return self._search(np.stack([a, b, c], axis=1), _cos_mul, signs, topn, excluded, among)

    def _search(
        self, queries: Exact, score: Callable[[Any], Any], signs: Exact, topn: int, excluded: Excluded, among: Among
    ) -> list[Ranked]:
        """Return for each query the rows with the largest scores.

        A query is T unit vectors: the shape is (Q, T, D). `score` maps cosines (T, N), which it may overwrite, to
        scores (N,). Scores increase with the cosines whose `signs` (T, 1) are positive and decrease with the others.
        """
        number, terms, dim = queries.shape
        part = slice(None) if among is None else slice(among) if isinstance(among, int) else among
        rows, inverse_norms, zeros = self.rows[part], self._inverse_norms[part], np.flatnonzero(self._is_zero[part])
        margins = (self._margin * signs).astype(rows.dtype)
        excluded = excluded or [()] * number
        results = []
        for block in _blocks(number, terms * len(rows) * rows.itemsize, COSINE_BYTES):
            flat = queries[block].reshape(-1, dim).astype(rows.dtype)
            few = len(flat) == terms and rows.nbytes <= PARALLEL_BYTES  # threads would slow a single query
            with SingleThreadedBlas() if few else nullcontext():
                cosines = (flat @ rows.T).reshape(len(flat) // terms, terms, len(rows))
            for query, approximate, omitted in zip(queries[block], cosines, excluded[block], strict=True):
                approximate *= inverse_norms
                wanted = min(topn + len(omitted), len(rows))
                lower, upper = score(approximate - margins), score(approximate + margins)
                lower[zeros] = upper[zeros] = -np.inf
                candidates = _candidates(lower, upper, wanted)
                ids = candidates if isinstance(part, slice) else part[candidates]
                ids = ids[~self._is_zero[ids]]
                for row in omitted:
                    ids = ids[ids != row]
                scores = score(self._cosines(ids, query))
                best = np.argsort(-scores, kind="stable")[:topn]
                results.append((ids[best], scores[best]))
        return results

    def _cosines(self, ids: Ids, query: Exact) -> Exact:
        """Return the cosines (T, N) of rows with the unit vectors (T, D). The bits do not depend on the other rows.

        BLAS cannot do this: its order of summation depends on the position of a row.
        """
        cosines = np.empty((len(query), len(ids)))
        for block in _blocks(len(ids), query.shape[1] * 8, EXACT_BYTES):
            unit = self.unit(ids[block])
            for term, vector in enumerate(query):
                cosines[term, block] = rounded_products(unit, vector)
        return cosines


def unit_vectors(vectors: npt.NDArray[Any]) -> Exact:
    """Return finite vectors (N, D) divided by their lengths, in float64; zero stays zero.

    Exact multiples of a vector have the same bits after division by the largest component. Then no square overflows,
    and a square that underflows is too small to matter.
    """
    exact = vectors.astype(np.float64)
    exact /= np.maximum(np.abs(exact).max(axis=1, initial=0), LEAST)[:, None]
    exact /= np.maximum(_lengths(exact), 1.0)[:, None]  # only zero vectors are shorter than 1
    return exact


def rounded_products(vectors: Exact, factors: Exact) -> Exact:
    """Return the products (N,) of vectors (N, D) with a vector (D,), or row by row with (N, D), rounded to DECIMALS.

    Products of unit vectors are cosines. The bits of a product do not depend on other rows.
    """
    products: Exact = np.rint((vectors * factors).sum(axis=1) * 10.0**DECIMALS)
    return products / 10.0**DECIMALS + 0.0  # makes -0.0 zero


def _cos_mul(cosines: Matrix) -> Matrix:
    """Return the 3CosMul scores (N,) of the cosines (3, N) with a, b and c, which are overwritten."""
    cosines += 1
    cosines /= 2
    a, b, c = np.maximum(cosines, 0, out=cosines)
    b *= c
    a += 1e-6
    b /= a
    return b


def _candidates(lower: Matrix, upper: Matrix, count: int) -> Ids:
    """Return the ascending indices of values that may be among the `count` largest, from bounds of all values.

    The best lower bounds of groups are a subset of all lower bounds. So their `count`-th largest is at most the
    `count`-th largest of all, and serves as the threshold for upper bounds.
    """
    if count == len(lower):
        return np.arange(count)
    depth = max(1, len(lower) // max(GROUPS, 8 * count))
    best = lower[: len(lower) // depth * depth].reshape(depth, -1).max(axis=0)
    return np.flatnonzero(upper >= np.partition(best, len(best) - count)[len(best) - count])


def _lengths(rows: Exact) -> Exact:
    """Return the length of each row, (N,). The bits do not depend on the other rows."""
    return np.sqrt((rows * rows).sum(axis=1))


def _blocks(count: int, item_bytes: int, block_bytes: int) -> Iterator[slice]:
    """Divide `count` items into slices of at most `block_bytes` but at least one item."""
    size = max(1, block_bytes // max(1, item_bytes))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
