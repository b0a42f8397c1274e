"""Counting windows over ids: exact integer sums, in batches of rows, on several threads."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from queue import Empty, SimpleQueue

import numpy as np
import numpy.typing as npt

import fastembed._kernels.cooccur as cooccur
from fastembed._base.csr import row_ranges
from fastembed._base.threads import Pool, ordered_map
from fastembed.counts.chunks import Chunk
from fastembed.counts.stored_csr import RowBatch
from fastembed.windows import Windows

Float = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

MAX_EXACT = 2**53  # integers up to here are exact in float64
BATCH_PAIRS = 1 << 21  # approximate number of pairs per call of the kernel: at most 25 MB of output
CHECKED_SUMS = 1 << 20  # sums that one task checks


class Scratch:
    """The working memory of one call of the kernel, including its result until it is stored; it is reused.

    Parameters
    ----------
    n_columns : int
    size : int
        The largest number of entries of a result. Pages that are never written to take no memory.
    """

    def __init__(self, n_columns: int, size: int) -> None:
        n_words = -(-n_columns // 64)
        self.totals, self.found = np.zeros(n_columns), np.empty(n_columns + 1, np.int32)
        self.present, self.present64 = np.zeros(n_words, np.uint64), np.zeros(-(-n_words // 64), np.uint64)
        self.columns, self.values = np.empty(size, np.int32), np.empty(size)


def count_windows(
    chunk: Chunk,
    vocabulary_size: int,
    windows: Windows,
    pool: Pool,
    batch_pairs: int = BATCH_PAIRS,
    row_of: Int64 | None = None,
) -> Generator[tuple[RowBatch, float], None, None]:
    """Yield the integer sums of the windows in a chunk, in batches of rows, each with the share of the work done.

    Parameters
    ----------
    chunk : Chunk
        Its ids are in [-1, V).
    vocabulary_size : int
        V.
    windows : Windows
    pool : Pool
    batch_pairs : int
        The approximate number of pairs counted at a time.
    row_of : ndarray of int64 (V,), optional
        The row of each word; its id by default.
    """
    before, after, _ = windows.weights()
    contexts = windows.contexts(vocabulary_size)
    n_columns = windows.columns(vocabulary_size)
    starts, positions = sort_positions(chunk, vocabulary_size, pool, row_of)
    pairs = np.diff(starts) * (len(before) + len(after))
    ranges = row_ranges(pairs, batch_pairs)
    size = int(np.add.reduceat(np.minimum(pairs, n_columns), [first for first, _ in ranges]).max(initial=1))
    free: SimpleQueue[Scratch] = SimpleQueue()
    stop = np.zeros(1, dtype=np.int32)

    def count(rows: tuple[int, int]) -> RowBatch:
        first, last = rows
        try:
            scratch = free.get_nowait()
        except Empty:
            scratch = Scratch(n_columns, size)
        lengths = np.empty(last - first, np.int64)
        n = cooccur.count_rows(
            chunk.ids, starts, positions, first, last, before, after, contexts, windows.directed,
            scratch.totals, scratch.found, scratch.present, scratch.present64,
            lengths, scratch.columns, scratch.values, stop,
        )  # fmt: skip
        return RowBatch(lengths, scratch.columns[:n], scratch.values[:n], lambda: free.put(scratch))

    with closing(ordered_map(count, ranges, pool.threads, lambda: stop.fill(1))) as batches:
        for number, batch in enumerate(batches, 1):
            yield batch, number / len(ranges)


def sort_positions(chunk: Chunk, vocabulary_size: int, pool: Pool, row_of: Int64 | None = None) -> tuple[Int64, Int32]:
    """Sort the positions of the centres by row; return the start of each row (V + 1,), and the positions.

    It is a counting sort. Each task sorts a part of the text; its positions of a word follow those of earlier parts.
    """
    row_of = np.arange(vocabulary_size) if row_of is None else row_of
    parts = max(min(pool.threads, (chunk.last - chunk.first) // vocabulary_size), 1)
    bounds = np.linspace(chunk.first, chunk.last, parts + 1).astype(int).tolist()
    words = np.linspace(0, vocabulary_size, parts + 1).astype(int).tolist()
    places = np.zeros((parts, vocabulary_size), np.int32)
    starts = np.zeros(vocabulary_size + 1, np.int64)
    positions = np.empty(chunk.last - chunk.first, np.int32)

    def count(k: int) -> None:
        cooccur.count_ids(chunk.ids, bounds[k], bounds[k + 1], places[k])

    def add(k: int) -> None:
        part = slice(words[k], words[k + 1])
        starts[row_of[part] + 1] = places[:, part].sum(axis=0)

    def place(k: int) -> None:
        part = slice(words[k], words[k + 1])
        counts = places[:, part].copy()
        np.cumsum(counts, axis=0, out=places[:, part])
        places[:, part] -= counts
        places[:, part] += starts[row_of[part]].astype(np.int32)

    def gather(k: int) -> None:
        cooccur.gather_positions(chunk.ids, bounds[k], bounds[k + 1], places[k], positions)

    pool.run(count, parts)
    pool.run(add, parts)
    np.cumsum(starts, out=starts)
    pool.run(place, parts)
    pool.run(gather, parts)
    return starts, positions


def check_exact(sums: Float, pool: Pool) -> None:
    """Raise ValueError if integer sums may have been rounded.

    Partial sums of positive numbers are below the final one: if that is exact, so were they.
    """
    largest = np.zeros(-(-len(sums) // CHECKED_SUMS))

    def find(k: int) -> None:
        largest[k] = sums[k * CHECKED_SUMS : (k + 1) * CHECKED_SUMS].max()

    pool.run(find, len(largest))
    _check_largest(largest.max(initial=0))


def exact_batches(batches: Iterable[tuple[RowBatch, float]]) -> Iterator[tuple[RowBatch, float]]:
    """Yield batches of sums; raise ValueError at the first inexact one, before all text has been counted."""
    for batch, done in batches:
        _check_largest(batch.values.max(initial=0))
        yield batch, done


def _check_largest(largest: float) -> None:
    if largest > MAX_EXACT:
        raise ValueError(
            "a count is too large to be exact with these weights: use a shorter window, or weighting='linear' or 'flat'"
        )


def check_frequency_order(windows: Windows, occurrences: Int64) -> None:
    """Raise ValueError if only some words are contexts and the words (V,) are not in the order of frequency."""
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
