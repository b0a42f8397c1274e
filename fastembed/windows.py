"""Windows over a text of ids: which pairs count, with what weight, and their sums as a sparse matrix.

From a corpus the count of word w and context c is the expectation of what word2vec samples,

    N[w, c] = keep(w) keep(c) sum over pairs at distance d of weight(d),
    keep(w) = min(1, sqrt(sample / f) + sample / f),  f = the word's share of all tokens of the vocabulary

(Mikolov et al., 2013, and the code of word2vec). The weights are fractions with a common denominator. What is summed
are the whole numbers denominator * weight(d): their sums are exact, so neither the order of the text nor the number
of threads changes a bit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy import sparse

import fastembed._kernels.cooccur as cooccur
from fastembed._validation import check_integer, check_number

Float = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

EXACT = 2**53  # whole numbers up to here are exact in float64
WIDEST_HARMONIC = 40  # the lowest common multiple of 1 ... 41 is above 2^53
CHUNK_PAIRS = 1 << 22  # pairs that one call of the kernel counts, about: 50 MB of output at most

WEIGHTINGS: dict[str, Callable[[int, int], Fraction]] = {
    "harmonic": lambda distance, _: Fraction(1, distance),
    "linear": lambda distance, length: Fraction(length - distance + 1, length),
    "flat": lambda *_: Fraction(1),
}


@dataclass(frozen=True)
class Windows:
    """How pairs are cut from text.

    Parameters
    ----------
    window : (int, int)
        The largest distance L on either side, (before, after).
    weighting : {"linear", "harmonic", "flat"}
        The weight at distance d: (L - d + 1) / L, 1 / d, or 1.
    sample : float, optional
        word2vec's threshold of subsampling; None: every token counts in full.
    directed : bool
        Whether contexts before and after the word are columns of their own.
    max_contexts : int, optional
        Only so many of the most frequent words are contexts; None: all.

    Examples
    --------
    >>> before, after, denominator = Windows((2, 3), "harmonic").weights()
    >>> before / denominator, after / denominator
    (array([1. , 0.5]), array([1.        , 0.5       , 0.33333333]))
    """

    window: tuple[int, int]
    weighting: str = "linear"
    sample: float | None = None
    directed: bool = False
    max_contexts: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", window_sides(self.window))
        if self.weighting not in WEIGHTINGS:
            raise ValueError(f"weighting must be one of {', '.join(map(repr, WEIGHTINGS))}, got {self.weighting!r}")
        if self.weighting == "harmonic" and max(self.window) > WIDEST_HARMONIC:
            raise ValueError(
                f"window must be at most {WIDEST_HARMONIC} for sums of harmonic weights to be exact, got "
                f"{self.window!r}; weighting='linear' has no such limit"
            )
        if self.sample is not None:
            object.__setattr__(self, "sample", check_number("sample", self.sample, above=True))
        if not isinstance(self.directed, bool):
            raise TypeError(f"directed must be True or False, got {self.directed!r}")
        if self.max_contexts is not None:
            object.__setattr__(self, "max_contexts", check_integer("max_contexts", self.max_contexts, low=1))

    def weights(self) -> tuple[Float, Float, int]:
        """Return (before, after, denominator): the weights at the distances 1, 2, ... times their denominator."""
        weight = WEIGHTINGS[self.weighting]
        sides = [[weight(d, length) for d in range(1, length + 1)] for length in self.window]
        denominator = math.lcm(*(fraction.denominator for side in sides for fraction in side))
        before, after = (np.array([int(fraction * denominator) for fraction in side], dtype=float) for side in sides)
        return before, after, denominator

    def contexts(self, vocabulary_size: int) -> int:
        """Return K, the number of words that are contexts."""
        return min(self.max_contexts or vocabulary_size, vocabulary_size)

    def keep(self, counts: Int64) -> Float | None:
        """Return the probability that subsampling keeps each word, or None where there is no subsampling.

        A word of the vocabulary that never occurred counts as one that occurred once.
        """
        if self.sample is None:
            return None
        share = np.maximum(counts, 1) / max(int(counts.sum()), 1)
        return np.minimum(1.0, np.sqrt(self.sample / share) + self.sample / share)


def count_windows(ids: Int32, vocabulary_size: int, windows: Windows, workers: int) -> sparse.csr_array:
    """Return the whole-number sums of the windows over `ids`."""
    before, after, _ = windows.weights()
    contexts = windows.contexts(vocabulary_size)
    n_columns = contexts * (2 if windows.directed else 1)
    if n_columns > np.iinfo(np.int32).max:
        raise ValueError(f"counts can have at most 2^31 - 1 columns, got {n_columns:,}; lower max_contexts")
    starts = np.empty(vocabulary_size + 1, dtype=np.int64)
    positions = np.empty(np.count_nonzero(ids >= 0), dtype=np.int64)
    cooccur.sort_positions(ids, starts, positions)
    pairs = np.diff(starts) * (len(before) + len(after))

    def count(rows: tuple[int, int]) -> tuple[Int64, Int32, Float]:
        first, last = rows
        size = int(np.minimum(pairs[first:last], n_columns).sum())
        lengths = np.empty(last - first, dtype=np.int64)
        columns, values = np.empty(max(size, 1), dtype=np.int32), np.empty(max(size, 1))
        n_words = -(-n_columns // 64)
        scratch = (np.zeros(n_columns), np.zeros(n_words, np.uint64), np.zeros(-(-n_words // 64), np.uint64))
        n = cooccur.count_rows(
            ids, starts, positions, first, last, before, after, contexts, windows.directed, *scratch,
            lengths, columns, values,
        )  # fmt: skip
        return lengths, columns[:n].copy(), values[:n].copy()

    with ThreadPoolExecutor(workers) as pool:
        chunks = list(pool.map(count, _row_ranges(pairs)))
    return _join(chunks, (vocabulary_size, n_columns))


def _row_ranges(pairs: Int64) -> list[tuple[int, int]]:
    """Cut the rows into ranges of about CHUNK_PAIRS pairs."""
    reached = np.cumsum(pairs)
    cuts = np.searchsorted(reached, np.arange(CHUNK_PAIRS, int(reached[-1]), CHUNK_PAIRS)) + 1
    edges = np.unique(np.concatenate(([0], cuts, [len(pairs)]))).tolist()
    return list(itertools.pairwise(edges))


def _join(chunks: list[tuple[Int64, Int32, Float]], shape: tuple[int, int]) -> sparse.csr_array:
    """Lay the chunks end to end, freeing each once it is copied."""
    indptr = np.zeros(shape[0] + 1, dtype=np.int64)
    np.cumsum(np.concatenate([lengths for lengths, _, _ in chunks]), out=indptr[1:])
    indices, data = np.empty(indptr[-1], dtype=np.int32), np.empty(indptr[-1])
    end = len(data)
    while chunks:
        _, columns, values = chunks.pop()
        indices[end - len(columns) : end] = columns
        data[end - len(columns) : end] = values
        end -= len(columns)
    return sorted_csr(data, indices, indptr, shape)


def sorted_csr(data: Float, indices: Int32, indptr: Int64, shape: tuple[int, int]) -> sparse.csr_array:
    """Return the CSR array of rows whose columns ascend; SciPy then need not look."""
    matrix = sparse.csr_array((data, indices, indptr), shape=shape)
    matrix.has_canonical_format = True
    return matrix


def checked_exact(matrix: sparse.csr_array) -> sparse.csr_array:
    """Return `matrix`, or raise ValueError if a whole-number sum in it may have been rounded.

    Partial sums of positive numbers are below the final one: if that is exact, so were they.
    """
    if matrix.nnz and matrix.data.max() > EXACT:
        raise ValueError(
            "a count is too large to be exact with these weights: use a shorter window, or weighting='linear' or 'flat'"
        )
    return matrix


def window_sides(window: int | tuple[int, int]) -> tuple[int, int]:
    """Return (before, after)."""
    both = window if isinstance(window, tuple) else (window, window)
    if len(both) != 2:
        raise ValueError(f"window must be an integer or a pair (before, after), got {window!r}")
    before, after = (check_integer("window", side, low=0) for side in both)
    if not before + after:
        raise ValueError(f"window must be at least 1 on one side, got {window!r}")
    return before, after
