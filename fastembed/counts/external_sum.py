"""Rows of counts that come a few at a time: kept in memory or in temporary files, and added up.

A run is a sparse matrix whose rows came in order. Runs of different parts of a text are merged by adding their rows.
The temporary files have no name (or, on Windows, go with their handle), so nothing is left of them, however the process
ends.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.csr import row_ranges, sorted_csr
from fastembed._base.threads import ordered_map

Float = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

MERGED_ENTRIES = 1 << 20  # entries that are merged at a time, about
LEAST_PART = 1 << 14  # entries at a time, however little memory there is: fewer cost more than they are
MOST_FILES = 16  # spilled runs; each holds two open files, and its row starts in memory
LONGEST_TEXT = 1 << 26  # ids; sorting their positions must not keep a Ctrl-C waiting


class Rows(NamedTuple):
    """Some rows: how many entries each has, their columns, ascending in a row, and their values."""

    lengths: Int64
    columns: Int32
    values: Float

    @property
    def nbytes(self) -> int:
        """The size of the entries."""
        return self.columns.nbytes + self.values.nbytes


@dataclass(frozen=True)
class Run:
    """A CSR matrix of known width; `spilled` if its entries are in a file that is mapped into memory."""

    indptr: Int64
    indices: Int32
    data: Float
    n_columns: int
    spilled: bool = False

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> Run:
        """Take the arrays of a CSR array whose columns ascend, without copying them where the dtypes are these."""
        indptr, indices = matrix.indptr.astype(np.int64, copy=False), matrix.indices.astype(np.int32, copy=False)
        return cls(indptr, indices, matrix.data, int(matrix.shape[1]))

    @property
    def nbytes(self) -> int:
        """The memory it takes."""
        return self.indptr.nbytes + (0 if self.spilled else self.indices.nbytes + self.data.nbytes)

    def rows(self, first: int, last: int) -> sparse.csr_array:
        """Return the rows first .. last - 1."""
        a, b = self.indptr[first], self.indptr[last]
        return sorted_csr(
            self.data[a:b], self.indices[a:b], self.indptr[first : last + 1] - a, (last - first, self.n_columns)
        )


def part_size(memory: int, threads: int) -> int:
    """Return how many pairs or entries at a time: up to 12 bytes each and 12 of results, made or waiting."""
    return max(memory // (2 * 12 * 5 * threads), LEAST_PART)


def collect(parts: Iterable[Rows], n_columns: int, limit: int) -> Run:
    """Lay rows end to end: in memory up to `limit` bytes, beyond that in temporary files.

    Raises
    ------
    OSError
        If the disk refuses the data.
    """
    lengths: list[Int64] = []
    indices, data = np.empty(0, dtype=np.int32), np.empty(0)
    used = 0
    with ExitStack() as stack:
        files: list[BinaryIO] = []
        for part in parts:
            lengths.append(part.lengths)
            if files or 12 * (used + len(part.values)) > limit:
                _spill((indices[:used], data[:used]), files, stack)
                _spill((part.columns, part.values), files, stack)
                indices, data, used = indices[:0], data[:0], 0
                continue
            for array, new in ((indices, part.columns), (data, part.values)):
                if used + len(new) > len(array):
                    array.resize(max(used + len(new), len(array) + len(array) // 4), refcheck=False)
                array[used : used + len(new)] = new
            used += len(part.values)
        indptr = np.zeros(sum(map(len, lengths)) + 1, dtype=np.int64)
        np.cumsum(np.concatenate(lengths), out=indptr[1:])
        if files:
            indices, data = (np.asarray(np.memmap(file, t)) for file, t in zip(files, ("i4", "f8"), strict=True))
            return Run(indptr, indices, data, n_columns, spilled=True)
    indices.resize(used, refcheck=False)
    data.resize(used, refcheck=False)
    return Run(indptr, indices, data, n_columns)


def _spill(arrays: tuple[npt.NDArray[Any], ...], files: list[BinaryIO], stack: ExitStack) -> None:
    """Write columns and values to the two files, after making them if there are none yet."""
    try:
        while len(files) < 2:
            files.append(stack.enter_context(tempfile.TemporaryFile(buffering=0)))  # noqa: SIM115 - the stack closes it
        for array, file in zip(arrays, files, strict=True):
            _write(file, array.data.cast("B"))
    except OSError as error:
        raise _no_room(error) from error


def _write(file: BinaryIO, data: memoryview) -> None:
    while len(data):
        data = data[file.write(data) :]


def _no_room(error: OSError) -> OSError:
    return OSError(
        error.errno,
        f"cannot keep counts in a file in {tempfile.gettempdir()!r}: {error}; raise memory_limit, or let the"
        " environment variable TMPDIR name a folder with more room",
    )


def merge(runs: list[Run], limit: int, threads: int, entries: int = MERGED_ENTRIES) -> Run:
    """Add up runs of one shape, about so many entries at a time; the sum is in memory up to `limit` bytes."""
    if len(runs) == 1:
        return runs[0]

    def added(rows: tuple[int, int]) -> Rows:
        matrices = [run.rows(*rows) for run in runs]
        while len(matrices) > 1:
            pairs = itertools.zip_longest(matrices[::2], matrices[1::2])
            matrices = [a if b is None else a + b for a, b in pairs]
        matrix = matrices[0]
        return Rows(np.diff(matrix.indptr).astype(np.int64), matrix.indices.astype(np.int32, copy=False), matrix.data)

    sizes: Any = sum(np.diff(run.indptr) for run in runs)
    with closing(ordered_map(added, row_ranges(sizes, entries), threads)) as parts:
        return collect(parts, runs[0].n_columns, limit)


class Sum:
    """The sum of runs that come one after another, in about `memory_limit` bytes.

    A quarter of them is for the text being counted, one for the runs in memory, one for the run that comes, the rest
    for rows on their way. Runs of like size are merged at once, so that each entry is merged a few times only; more
    runs than fit are merged into a file, and many such files into one.
    """

    def __init__(self, n_columns: int, memory_limit: int, threads: int) -> None:
        self.n_columns = n_columns
        self.threads = threads
        self.share = memory_limit // 4
        self.held: list[Run] = []
        self.spilled: list[Run] = []

    @property
    def text_size(self) -> int:
        """The ids of a text: each takes 4 bytes, and 4 more for its sorted position."""
        return min(self.share // 8, LONGEST_TEXT)

    @property
    def part_size(self) -> int:
        """The pairs or entries at a time."""
        return part_size(self.share, self.threads)

    def add(self, parts: Iterable[Rows]) -> None:
        """Take the rows of one more run."""
        self._keep(collect(parts, self.n_columns, self.share))
        while len(self.held) > 1 and self.held[-2].nbytes <= 2 * self.held[-1].nbytes:
            self._keep(self._merged([self.held.pop(), self.held.pop()], self.share))
        if sum(run.nbytes for run in self.held) > self.share:
            self.spilled.append(self._merged(self.held, 0))
            self.held = []
        if len(self.spilled) >= MOST_FILES:
            self.spilled = [self._merged(self.spilled, 0)]

    def _merged(self, runs: list[Run], limit: int) -> Run:
        return merge(runs, limit, self.threads, min(self.part_size, MERGED_ENTRIES))

    def _keep(self, run: Run) -> None:
        (self.spilled if run.spilled else self.held).append(run)

    def result(self) -> Run:
        """Return the sum of all; it is in a file if it does not fit into half of the memory."""
        return self._merged(self.spilled + self.held, 2 * self.share)
