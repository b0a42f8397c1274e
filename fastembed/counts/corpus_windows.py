"""Counting the windows of a corpus: from text to integer sums, which are in memory or in temporary files."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.threads import Pool
from fastembed.corpus.corpus import Progress, Source, as_corpus
from fastembed.corpus.ledger import Ledger, LineSplit, note_on_interrupt
from fastembed.counts.chunks import Chunk, cut_chunks
from fastembed.counts.external_sum import ExternalSum
from fastembed.counts.groups import group_places
from fastembed.counts.progress import CountingProgress
from fastembed.counts.stored_csr import RowBatch, StoredCSR, not_empty
from fastembed.counts.windows import (
    BATCH_PAIRS,
    Windows,
    check_exact,
    check_frequency_order,
    count_windows,
    exact_batches,
    keep_probabilities,
)
from fastembed.vocabulary import Vocabulary, encode_corpus, vocabulary_size


@dataclass(frozen=True)
class WindowSums:
    """The integer sums of the windows of a corpus, as several matrices that are still to be added.

    Attributes
    ----------
    total : ExternalSum
    windows : Windows
    keep : ndarray of float64 (V,), optional
        The factors of subsampling.
    ledger : Ledger
    vocabulary : Vocabulary, optional
        None for a corpus of ids.
    shape : (int, int)
        (V, columns).
    pool : Pool
    lines : LineSplit, optional
        The lines that were counted.
    """

    total: ExternalSum
    windows: Windows
    keep: npt.NDArray[np.float64] | None
    ledger: Ledger
    vocabulary: Vocabulary | None
    shape: tuple[int, int]
    pool: Pool
    lines: LineSplit | None = None

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of `Counts` that describe how the pairs were counted, by name."""
        names = ("windows", "keep", "ledger", "vocabulary")
        return {name: getattr(self, name) for name in names} | {"baskets": None}

    def matrix(self) -> StoredCSR:
        """Return the sum of all matrices.

        Raises
        ------
        ValueError
            If there is no token of the vocabulary or no pair, or a sum is too large to be exact.
        """
        self.check()
        with note_on_interrupt(self.ledger):
            matrix = self.total.result()
        if not len(matrix.data):
            raise self._no_pair()
        check_exact(matrix.data, self.pool)
        return matrix

    def rows(self) -> Generator[RowBatch, None, None]:
        """Yield the rows of the sum in batches, of which only some are in memory; raise as :meth:`matrix`."""
        self.check()
        with note_on_interrupt(self.ledger), closing(self.total.rows()) as batches:
            for batch in not_empty(batches, self._no_pair):
                check_exact(batch.values, Pool(1))
                yield batch

    def check(self) -> None:
        """Raise ValueError if there was no token of the vocabulary."""
        check_known(self.ledger, "corpus" if self.lines is None else f"corpus' {self.lines}")

    def _no_pair(self) -> ValueError:
        return no_pair(self.ledger, self.windows)


def check_known(ledger: Ledger, where: str = "corpus") -> None:
    """Raise ValueError if no token that was read is in the vocabulary."""
    if not ledger.tokens_used:
        raise ValueError(f"no token of the {where} is in the vocabulary: {ledger.summary()}")


def no_pair(ledger: Ledger, windows: Windows) -> ValueError:
    """Return the error for a corpus without a pair."""
    return ValueError(f"the corpus gives no pair: {ledger.summary()}, window={windows.window}")


def _counted(
    chunk: Chunk,
    vocabulary_size: int,
    windows: Windows,
    pool: Pool,
    batch_pairs: int,
    row_of: npt.NDArray[np.int64] | None,
    report: CountingProgress,
) -> Generator[RowBatch, None, None]:
    with closing(count_windows(chunk, vocabulary_size, windows, pool, batch_pairs, row_of)) as batches:
        yield from report.follow(exact_batches(batches))


def sum_windows(
    corpus: Source,
    vocabulary: Vocabulary | int,
    windows: Windows,
    *,
    threads: int,
    memory_limit: int,
    lines: LineSplit | None = None,
    progress: Progress | None = None,
    by_groups: bool = False,
) -> WindowSums:
    """Count the windows of a corpus, with the arguments of `Counts.from_corpus`.

    With `by_groups`, the rows are in the order of groups (see `group_places`) and must be read with
    :meth:`WindowSums.rows`; if the text is a single chunk, it is counted only when they are read.
    """
    size, known = vocabulary_size(vocabulary), vocabulary if isinstance(vocabulary, Vocabulary) else None
    if known is not None:
        check_frequency_order(windows, known.counts[: size - known.appended])
    reader, ledger, report = as_corpus(corpus), Ledger(), CountingProgress(progress)
    total, pool = ExternalSum(windows.columns(size), memory_limit, threads), Pool(threads)
    batch_pairs = min(BATCH_PAIRS, total.batch_entries)
    row_of = group_places(size) if by_groups else None
    occurrences = np.zeros(size, dtype=np.int64)
    pieces = encode_corpus(reader, vocabulary, ledger, report.read if progress else None, threads, lines)
    with note_on_interrupt(ledger), closing(pieces):
        for chunk in cut_chunks(pieces, total.chunk_ids, max(windows.window), pool):
            most = min((chunk.last - chunk.first) * sum(windows.window), size * windows.columns(size))
            with ExitStack() as stack:
                rows = _counted(chunk, size, windows, pool, batch_pairs, row_of, report)
                if by_groups and chunk.ends:
                    total.add_last(rows, most)
                else:
                    total.add(stack.enter_context(closing(rows)), most)
            if known is None:
                occurrences += np.bincount(chunk.ids[chunk.first : chunk.last] + 1, minlength=size + 1)[1:]
            del chunk, rows  # free its memory before the next chunk is read
    if known is not None:
        occurrences = known.counts
    elif ledger.tokens_used:
        check_frequency_order(windows, occurrences)
    keep = keep_probabilities(windows.sample, occurrences)
    return WindowSums(total, windows, keep, ledger, known, (size, windows.columns(size)), pool, lines)
