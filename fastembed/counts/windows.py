"""Counting windows over a text of ids: sums of whole numbers, some rows at a time, on several threads."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import numpy as np
import numpy.typing as npt

import fastembed._kernels.cooccur as cooccur
from fastembed._base.csr import row_ranges
from fastembed._base.threads import ordered_map
from fastembed.counts.encoding import Text
from fastembed.counts.external_sum import Rows
from fastembed.windows import Windows

Float = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

EXACT = 2**53  # whole numbers up to here are exact in float64
PART_PAIRS = 1 << 22  # pairs that one call of the kernel counts, about: 50 MB of output at most


def count_windows(
    text: Text, vocabulary_size: int, windows: Windows, threads: int, part_pairs: int = PART_PAIRS
) -> Generator[tuple[Rows, float], None, None]:
    """Yield the whole-number sums of the windows in a text, some rows at a time, and the share of the work done.

    Parameters
    ----------
    text : Text
        Its ids are in [-1, V).
    vocabulary_size : int
        V.
    windows : Windows
        How pairs are cut from it.
    threads : int
        How many count at once.
    part_pairs : int
        Pairs counted at a time, about.
    """
    before, after, _ = windows.weights()
    contexts = windows.contexts(vocabulary_size)
    n_columns = windows.columns(vocabulary_size)
    starts = np.empty(vocabulary_size + 1, dtype=np.int64)
    positions = np.empty(text.last - text.first, dtype=np.int32)
    cooccur.sort_positions(text.ids, text.first, text.last, starts, positions)
    pairs = np.diff(starts) * (len(before) + len(after))
    stop = np.zeros(1, dtype=np.int32)

    def count(rows: tuple[int, int]) -> Rows:
        first, last = rows
        size = max(int(np.minimum(pairs[first:last], n_columns).sum()), 1)
        lengths, columns, values = np.empty(last - first, np.int64), np.empty(size, np.int32), np.empty(size)
        n_words = -(-n_columns // 64)
        scratch = (np.zeros(n_columns), np.zeros(n_words, np.uint64), np.zeros(-(-n_words // 64), np.uint64))
        n = cooccur.count_rows(
            text.ids, starts, positions, first, last, before, after, contexts, windows.directed, *scratch,
            lengths, columns, values, stop,
        )  # fmt: skip
        return Rows(lengths, columns[:n].copy(), values[:n].copy())

    ranges = row_ranges(pairs, part_pairs)
    with closing(ordered_map(count, ranges, threads, lambda: stop.fill(1))) as parts:
        for number, part in enumerate(parts, 1):
            yield part, number / len(ranges)


def check_exact(data: Float) -> None:
    """Refuse whole-number sums that may have been rounded.

    Partial sums of positive numbers are below the final one: if that is exact, so were they.

    Parameters
    ----------
    data : ndarray of float64
        The sums.

    Raises
    ------
    ValueError
        If one is above 2^53.
    """
    if len(data) and data.max() > EXACT:
        raise ValueError(
            "a count is too large to be exact with these weights: use a shorter window, or weighting='linear' or 'flat'"
        )
