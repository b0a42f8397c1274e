"""Counting windows over ids: exact integer sums, some rows at a time, on several threads."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

import numpy as np
import numpy.typing as npt

import fastembed._kernels.cooccur as cooccur
from fastembed._base.csr import row_ranges
from fastembed._base.threads import ordered_map
from fastembed.counts.chunks import Chunk
from fastembed.counts.stored_csr import RowBatch
from fastembed.windows import Windows

Float = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

MAX_EXACT = 2**53  # integers up to here are exact in float64
BATCH_PAIRS = 1 << 22  # pairs that one call of the kernel counts, about: at most 50 MB of output


def count_windows(
    chunk: Chunk, vocabulary_size: int, windows: Windows, threads: int, batch_pairs: int = BATCH_PAIRS
) -> Generator[tuple[RowBatch, float], None, None]:
    """Yield the integer sums of the windows in a chunk, some rows at a time, and the share of the work done.

    Parameters
    ----------
    chunk : Chunk
        Its ids are in [-1, V).
    vocabulary_size : int
        V.
    windows : Windows
    threads : int
    batch_pairs : int
        The number of pairs counted at a time, about.
    """
    before, after, _ = windows.weights()
    contexts = windows.contexts(vocabulary_size)
    n_columns = windows.columns(vocabulary_size)
    starts = np.empty(vocabulary_size + 1, dtype=np.int64)
    positions = np.empty(chunk.last - chunk.first, dtype=np.int32)
    cooccur.sort_positions(chunk.ids, chunk.first, chunk.last, starts, positions)
    pairs = np.diff(starts) * (len(before) + len(after))
    stop = np.zeros(1, dtype=np.int32)

    def count(rows: tuple[int, int]) -> RowBatch:
        first, last = rows
        size = max(int(np.minimum(pairs[first:last], n_columns).sum()), 1)
        lengths, columns, values = np.empty(last - first, np.int64), np.empty(size, np.int32), np.empty(size)
        n_words = -(-n_columns // 64)
        scratch = (np.zeros(n_columns), np.zeros(n_words, np.uint64), np.zeros(-(-n_words // 64), np.uint64))
        n = cooccur.count_rows(
            chunk.ids, starts, positions, first, last, before, after, contexts, windows.directed, *scratch,
            lengths, columns, values, stop,
        )  # fmt: skip
        return RowBatch(lengths, columns[:n].copy(), values[:n].copy())

    ranges = row_ranges(pairs, batch_pairs)
    with closing(ordered_map(count, ranges, threads, lambda: stop.fill(1))) as batches:
        for number, batch in enumerate(batches, 1):
            yield batch, number / len(ranges)


def check_exact(sums: Float) -> None:
    """Raise ValueError if integer sums may have been rounded.

    Partial sums of positive numbers are below the final one: if that is exact, so were they.
    """
    if len(sums) and sums.max() > MAX_EXACT:
        raise ValueError(
            "a count is too large to be exact with these weights: use a shorter window, or weighting='linear' or 'flat'"
        )


def exact_batches(batches: Iterable[tuple[RowBatch, float]]) -> Iterator[tuple[RowBatch, float]]:
    """Yield batches of sums, and raise ValueError at the first that is not exact: before all text has been counted."""
    for batch, done in batches:
        check_exact(batch.values)
        yield batch, done


def check_frequency_order(windows: Windows, occurrences: Int64) -> None:
    """Raise ValueError if only some words are contexts and the first words (V,) are not the most frequent."""
    if windows.contexts(len(occurrences)) < len(occurrences) and np.any(np.diff(occurrences) > 0):
        raise ValueError("max_contexts needs a vocabulary in the order of decreasing counts")


def keep_probabilities(sample: float | None, occurrences: Int64) -> Float | None:
    """Return the probability with which subsampling keeps each word (V,), or None without subsampling.

    A word of the vocabulary that never occurred is treated as one that occurred once.
    """
    if sample is None:
        return None
    share = np.maximum(occurrences, 1) / max(int(occurrences.sum()), 1)
    return np.minimum(1.0, np.sqrt(sample / share) + sample / share)
