"""The progress of counting a corpus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fastembed.corpus.corpus import Progress
from fastembed.counts.stored_csr import RowBatch


class CountingProgress:
    """Reports progress to a function: each byte or sequence of the corpus is read once and counted once."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._read, self._counted = 0, 0.0
        self._total: int | None = None

    def read(self, done: int, total: int | None) -> None:
        """Report how much has been read."""
        self._read, self._total = done, total
        self._report()

    def follow(self, batches: Iterable[tuple[RowBatch, float]]) -> Iterator[RowBatch]:
        """Yield the batches, and report the share done that comes with each; after the last, all input is counted."""
        before = self._counted
        for batch, share in batches:
            self._counted = before + share * (self._read - before)
            self._report()
            yield batch

    def _report(self) -> None:
        if self._progress:
            self._progress(self._read + int(self._counted), None if self._total is None else 2 * self._total)
