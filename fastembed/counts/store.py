"""`CountsStore`: counts in a folder of tiles, which a fit reads one group of rows at a time.

A folder has one file of tiles per group of rows (see `tiles.py`), and ``manifest.safetensors``, which holds the options
of counting, the sums of rows and columns, and the SHA-256 of each tile. The names of the files depend on their content.
The manifest is written last, so that the folder holds either the old or the new counts, even if a writer is killed.
"""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import sorted_csr
from fastembed._base.estimator import pickled_as
from fastembed._base.validation import check_amounts, check_integer
from fastembed.counts.expected import Scale
from fastembed.counts.files import check_dtypes, unpack_attributes
from fastembed.counts.folders import StoreFolder
from fastembed.counts.groups import Memory, RowGroup, Totals, group_count, group_slice, shard_bounds
from fastembed.counts.store_writer import file_name
from fastembed.counts.tiles import Tiles, damaged_tile, decode_group
from fastembed.counts.url_folder import open_folder
from fastembed.formats.tensors import check_header
from fastembed.vocabulary import Vocabulary

DTYPES = {
    "entries": np.int64,
    "wide": np.bool_,
    "sha256": np.uint8,
    "totals.rows": np.float64,
    "totals.columns": np.float64,
    "keep": np.float64,
}


@pickled_as("counts.CountsStore")
class CountsStore:
    """Counts in a folder; a fit holds a few groups of rows in memory at a time.

    Use `Counts.open` to create one. `SkipGram.fit` and `Trainer.fit_counts` accept it instead of `Counts`, and
    give the same bits. When a tile is read for the first time, its bytes are compared with its SHA-256.

    Parameters
    ----------
    path : path-like
        A folder that `Counts.store` has written.

    Attributes
    ----------
    path : str
        The folder.
    shape : (int, int)
        (V_in, V_out).
    entries : ndarray of int64 (G,)
        The number of stored counts of each group of rows: rows g, g + G, g + 2 G, ... are group g.
    windows, keep, ledger, vocabulary, baskets
        As for `Counts`.

    Raises
    ------
    OSError
        If a file of the store is missing or cannot be read.
    ValueError
        If the folder is not a store, is damaged, or has another version.

    Examples
    --------
    >>> import tempfile
    >>> from fastembed import Counts
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Counts.from_ids([0, 1], [1, 0]).store(f"{folder}/pairs.counts")
    <CountsStore of shape (2, 2), 2 stored, total 2>
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._open(open_folder(path))

    @classmethod
    def _in(cls, folder: StoreFolder) -> Self:
        """Return the store in a folder of any kind."""
        store = cls.__new__(cls)
        store._open(folder)
        return store

    def _open(self, folder: StoreFolder) -> None:
        self._folder, self.path = folder, folder.path
        tensors, metadata = folder.manifest()
        settings = check_header(metadata, "counts-store", folder.path)
        try:
            check_dtypes(tensors, DTYPES)
            self.shape, attributes = unpack_attributes(tensors, settings, folder.path)
            groups, self._bounds = group_count(self.shape[0]), shard_bounds(self.shape[1])
            shards = len(self._bounds) - 1
            self._tiles = Tiles(*(np.array(tensors[name]) for name in ("entries", "wide", "sha256")))
            self._totals = Totals(*(np.array(tensors[f"totals.{name}"]) for name in ("rows", "columns")))
            found = *(array.shape for array in self._tiles), self._totals.rows.shape, self._totals.columns.shape
            right = (groups, shards), (groups, shards), (groups, shards, 32), self.shape[:1], self.shape[1:]
            if found != right or self._tiles.entries.min() < 0:
                raise ValueError(f"tiles and totals of the shapes {found}, where {right} are needed")
            for totals in (self._totals.rows, self._totals.columns):
                check_amounts("totals", totals)
            self._sha256, self._shards = str(settings["counts_sha256"]), slice(0, shards)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"the manifest of {self.path!r} does not hold counts that fit together: {error}"
            ) from error
        self.windows, self.keep, self.ledger = attributes["windows"], attributes["keep"], attributes["ledger"]
        self.vocabulary, self.baskets = attributes["vocabulary"], attributes["baskets"]
        self.entries: npt.NDArray[np.int64] = self._tiles.entries.sum(axis=1)
        self._scale = Scale.of(self.windows, self.keep, self.shape[1])
        self._checked: set[int] = set()
        self._buffer_memory = 0
        for group in range(groups):
            self._check_size(group)

    @property
    def nnz(self) -> int:
        """The number of stored, non-zero counts."""
        return int(self.entries.sum())

    @property
    def total(self) -> float:
        """The sum of all counts: the expected, weighted number of pairs."""
        return float(self._totals.rows.sum())

    @property
    def totals(self) -> Totals:
        """The sums of the rows (V_in,) and of the columns (V_out,), as a tuple of `rows` and `columns`."""
        return self._totals

    @property
    def directed(self) -> bool:
        """Whether the left half of the columns is for contexts before the word, the right half for those after it."""
        return self.windows is not None and bool(self.windows.directed)

    @property
    def disk(self) -> int:
        """The number of bytes of all tiles, which each epoch reads."""
        return sum(int(self._offsets(group)[-1]) for group in range(len(self.entries)))

    def sha256(self) -> str:
        """Return the digest of the counts for `SkipGram.counts_sha256_`."""
        return self._sha256

    def of_shards(self, shards: slice) -> CountsStore:
        """Return the same counts restricted to some shards of columns: groups are read without the others.

        Parameters
        ----------
        shards : slice
            The shards to read; each has at most 1,024 columns.

        Returns
        -------
        CountsStore
            It has the same shape and totals; its `entries` are those of the shards to read.

        Examples
        --------
        >>> import tempfile
        >>> from fastembed import Counts
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     stored = Counts.from_ids([0, 1], [0, 1500], shape=(2, 2000)).store(f"{folder}/pairs.counts")
        ...     stored.of_shards(slice(1, 2)).read_group(0).indices
        array([1500], dtype=int32)
        """
        part = self._same()
        part._shards, part._checked = shards, set()
        part.entries = self._tiles.entries[:, shards].sum(axis=1)
        return part

    def buffered(self, memory: int) -> CountsStore:
        """Return the same counts with a larger buffer of rows in memory.

        A fit holds at least a few groups of rows in memory, and reads the others in each epoch. The size of the buffer
        does not change the bits of the result.

        Parameters
        ----------
        memory : int
            Bytes of the buffer; each count takes 12.

        Returns
        -------
        CountsStore

        Raises
        ------
        TypeError, ValueError
            If `memory` is not an integer of at least 0.

        Examples
        --------
        >>> import tempfile
        >>> from fastembed import Counts, Trainer
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     stored = Counts.from_ids([0, 1], [1, 0]).store(f"{folder}/pairs.counts")
        ...     records = Trainer.random(2, 4, seed=0).fit_counts(stored.buffered(10**9), epochs=2)
        >>> len(records)
        2
        """
        same = self._same()
        same._buffer_memory = check_integer("memory", memory, low=0)
        return same

    @property
    def buffer_memory(self) -> int:
        """The bytes of the buffer in which a fit holds groups of rows; it always holds at least a few."""
        return self._buffer_memory

    def _of_vocabulary(self, vocabulary: Vocabulary) -> CountsStore:
        """Return the same counts with a vocabulary of the same tokens, but possibly other occurrences."""
        same = self._same()
        same.vocabulary = vocabulary
        return same

    def _same(self) -> CountsStore:
        """Return another object for the same store."""
        same = CountsStore.__new__(CountsStore)
        vars(same).update(vars(self))
        return same

    def read_group(self, group: int, memory: Memory | None = None) -> RowGroup:
        """Return the expected counts of a group of rows, as a named tuple.

        Parameters
        ----------
        group : int
            0 to G - 1.
        memory : (ndarray of int32, ndarray of float64), optional
            Arrays for columns and values, with at least as many elements as the group has `entries`; by default new
            arrays.

        Returns
        -------
        begins, ends : ndarray of int64 (R,)
            The entries of row n are those from begins[n] to ends[n] - 1.
        indices, data : ndarray of int32, ndarray of float64
            The columns, ascending in each row, and the counts.

        Raises
        ------
        OSError
            If the file is missing or cannot be read.
        ValueError
            If a tile is damaged, or the memory is not of these dtypes or too small.
        """
        part = group_slice(group, self.shape[0])
        rows = len(range(self.shape[0])[part])
        first, end = self._shards.start, self._shards.stop
        nnz = int(self.entries[group])
        if memory is not None:
            _check_memory(memory, nnz)
        entries, wide, sha256 = self._tiles_of(group)
        tiles = Tiles(entries[first:end], wide[first:end], sha256[first:end])
        offsets = self._offsets(group)
        data = self._folder.read(self._file(group), int(offsets[first]), int(offsets[end]))
        if group not in self._checked:
            damaged = damaged_tile(data, tiles, rows)
            if damaged is not None:
                damaged += first
                raise ValueError(
                    f"tile {damaged} of {self._place(group)!r}, of the columns {self._bounds[damaged]} to"
                    f" {self._bounds[damaged + 1] - 1}, is damaged: it is not what was written"
                )
            self._checked.add(group)
        try:
            read = decode_group(data, tiles, rows, self._bounds[first : end + 1], memory)
        except ValueError as error:
            raise ValueError(f"{self._place(group)!r} is damaged: {error}") from None
        if not self._scale.changes_nothing:
            self._scale.apply_by_rows(read.begins, read.ends, read.indices[:nnz], read.data[:nnz], part)
        return read

    def to_scipy(self) -> sparse.csr_array:
        """Return all counts in memory, as `Counts.to_scipy` does."""
        lengths = np.empty(self.shape[0], np.int64)
        parts = []
        for group in range(len(self.entries)):
            read = self.read_group(group)
            lengths[group_slice(group, self.shape[0])] = read.ends - read.begins
            parts.append(read)
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1])
        for group, read in enumerate(parts):
            first = indptr[:-1][group_slice(group, self.shape[0])]
            to = np.repeat(first - read.begins, read.ends - read.begins) + np.arange(len(read.data))
            indices[to], data[to] = read.indices, read.data
        return sorted_csr(data, indices, indptr, self.shape)

    def __repr__(self) -> str:
        return f"<CountsStore of shape {self.shape}, {self.nnz:,} stored, total {self.total:,.6g}>"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def _tiles_of(self, group: int) -> Tiles:
        return Tiles(*(array[group] for array in self._tiles))

    def _offsets(self, group: int) -> npt.NDArray[np.int64]:
        return self._tiles_of(group).offsets(len(range(self.shape[0])[group_slice(group, self.shape[0])]))

    def _file(self, group: int) -> str:
        return file_name(group, self._tiles_of(group).sha256)

    def _place(self, group: int) -> str:
        """Return the name of the file of a group for messages."""
        return f"{self.path}/{self._file(group)}"

    def _check_size(self, group: int) -> None:
        """Raise if a file of tiles is missing or has the wrong size."""
        size, offsets = self._folder.size(self._file(group)), self._offsets(group)
        if size != offsets[-1]:
            tile = min(int(np.searchsorted(offsets, size, side="right")) - 1, len(offsets) - 2)
            raise ValueError(
                f"{self._place(group)!r} has {size:,} bytes instead of {offsets[-1]:,}: tile {tile} is damaged"
            )


def _check_memory(memory: Memory, nnz: int) -> None:
    """Raise ValueError for memory that is not for so many counts, to which compiled code would write."""
    indices, data = memory
    if indices.dtype != np.int32 or data.dtype != np.float64 or min(len(indices), len(data)) < nnz:
        raise ValueError(
            f"memory must be {nnz:,} int32 and {nnz:,} float64 at least, got {len(indices):,} {indices.dtype} and"
            f" {len(data):,} {data.dtype}"
        )
