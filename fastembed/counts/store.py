"""`CountsStore`: counts in a folder of tiles, of which a fit reads one group of rows after another.

A folder has one file per group of rows, with its tiles (see `tiles.py`), and ``manifest.safetensors``, which says what
was counted, the sums of rows and columns, and the SHA-256 of each tile. The names of the files follow from what they
hold. The manifest is written last, so that a folder holds the old counts or the new ones, whenever a writer ends.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.csr import sorted_csr
from fastembed._base.pickling import pickled_as
from fastembed._base.validation import check_amounts
from fastembed.counts.expected import Scale
from fastembed.counts.files import check_dtypes, pack_attributes, unpack_attributes
from fastembed.counts.tiles import Bytes, Tiles, damaged_tile, decode_group, encode_group
from fastembed.formats.atomic import replacing
from fastembed.formats.locks import LOCK_NAME, sole_writer
from fastembed.formats.tensors import check_header, header, map_tensors, write_tensors
from fastembed.trainer.groups import CountsDigest, CSRGroups, Memory, RowGroup, group_count, group_slice
from fastembed.trainer.shards import shard_bounds
from fastembed.trainer.totals import Totals

MANIFEST = "manifest.safetensors"
DTYPES = {
    "entries": np.int64,
    "wide": np.bool_,
    "sha256": np.uint8,
    "totals.rows": np.float64,
    "totals.columns": np.float64,
    "keep": np.float64,
}
TILES = r"group-\d+-[0-9a-f]{16}\.tiles"
OURS = re.compile(rf"{TILES}|\.({TILES}|{re.escape(MANIFEST)})\.[0-9a-f]{{16}}\.tmp")


@pickled_as("counts.CountsStore")
class CountsStore:
    """Counts in a folder, of which a fit holds a few groups of rows in memory at a time.

    Made by `Counts.open`. It is used as `Counts` are, by `SkipGram.fit_counts` and `Trainer.fit_counts`, with the same
    bits. The bytes of a tile are compared with its SHA-256 when it is read for the first time.

    Parameters
    ----------
    path : path-like
        A folder that `Counts.store` wrote.

    Attributes
    ----------
    path : str
        The folder.
    shape : (int, int)
        (V_in, V_out).
    entries : ndarray of int64 (G,)
        The number of stored counts of each group of rows: rows g, g + G, g + 2 G, ... are group g.
    windows, keep, ledger, vocabulary, baskets
        As of `Counts`.

    Raises
    ------
    OSError
        If a file of the store is missing or cannot be read.
    ValueError
        If it is no store, is damaged, or is of another version.

    Examples
    --------
    >>> import tempfile
    >>> from fastembed import Counts
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Counts.from_ids([0, 1], [1, 0]).store(f"{folder}/pairs.counts")
    <CountsStore of shape (2, 2), 2 stored, total 2>
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)  # noqa: PTH100 - a name, as it was given; the folder may change
        tensors, metadata = map_tensors(_manifest(Path(path)))
        settings = check_header(metadata, "counts-store", path)
        try:
            check_dtypes(tensors, DTYPES)
            self.shape, attributes = unpack_attributes(tensors, settings, path)
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
            self._sha256 = str(settings["counts_sha256"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"the manifest of {self.path!r} does not hold counts that fit together: {error}"
            ) from error
        self.windows, self.keep, self.ledger = attributes["windows"], attributes["keep"], attributes["ledger"]
        self.vocabulary, self.baskets = attributes["vocabulary"], attributes["baskets"]
        self.entries: npt.NDArray[np.int64] = self._tiles.entries.sum(axis=1)
        self._scale = Scale.of(self.windows, self.keep, self.shape[1])
        self._checked: set[int] = set()
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
        """The sums of rows and columns."""
        return self._totals

    @property
    def directed(self) -> bool:
        """Whether the left half of the columns is for contexts before the word, the right half for those after it."""
        return self.windows is not None and bool(self.windows.directed)

    @property
    def disk(self) -> int:
        """The bytes of all tiles, which an epoch reads."""
        return sum(int(self._offsets(group)[-1]) for group in range(len(self.entries)))

    def sha256(self) -> str:
        """Return the digest that `SkipGram.counts_sha256_` is made of."""
        return self._sha256

    def read_group(self, group: int, memory: Memory | None = None) -> RowGroup:
        """Return the expected counts of a group of rows.

        Parameters
        ----------
        group : int
            0 to G - 1.
        memory : (ndarray of int32, ndarray of float64), optional
            Where to put columns and values; at least `entries` of the group long. By default in new arrays.

        Returns
        -------
        begins, ends : ndarray of int64 (R,)
            Row n has the entries from begins[n] to ends[n] - 1.
        indices, data : ndarray of int32, ndarray of float64
            The columns, ascending in each row, and the counts.

        Raises
        ------
        OSError
            If the file is missing or cannot be read.
        ValueError
            If a tile is damaged.
        """
        part = group_slice(group, self.shape[0])
        rows = len(range(self.shape[0])[part])
        tiles = self._tiles_of(group)
        data = self._read(group)
        if group not in self._checked:
            damaged = damaged_tile(data, tiles, rows)
            if damaged is not None:
                raise ValueError(
                    f"tile {damaged} of {str(self._file(group))!r}, of the columns {self._bounds[damaged]} to"
                    f" {self._bounds[damaged + 1] - 1}, is damaged: it is not what was written"
                )
            self._checked.add(group)
        read = decode_group(data, tiles, rows, self._bounds, memory)
        if not self._scale.changes_nothing:
            nnz = int(self.entries[group])
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

    def _file(self, group: int) -> Path:
        return Path(self.path, _file_name(group, self._tiles_of(group).sha256))

    def _check_size(self, group: int) -> None:
        """Raise for a file of tiles that is missing or not of its size."""
        file = self._file(group)
        try:
            size = file.stat().st_size
        except FileNotFoundError as error:
            raise FileNotFoundError(error.errno, "the store has lost a file of tiles", str(file)) from None
        offsets = self._offsets(group)
        if size != offsets[-1]:
            tile = min(int(np.searchsorted(offsets, size, side="right")) - 1, len(offsets) - 2)
            raise ValueError(f"{str(file)!r} has {size:,} bytes instead of {offsets[-1]:,}: tile {tile} is damaged")

    def _read(self, group: int) -> Bytes:
        try:
            return np.fromfile(self._file(group), np.uint8)
        except FileNotFoundError as error:
            raise FileNotFoundError(error.errno, "the store has lost a file of tiles", str(self._file(group))) from None


def _file_name(group: int, sha256: npt.NDArray[np.uint8]) -> str:
    """Return the name of the file of a group, which follows from the digests of its tiles."""
    return f"group-{group:05d}-{hashlib.sha256(sha256.tobytes()).hexdigest()[:16]}.tiles"


def write_store(path: str | os.PathLike[str], stored: CSRGroups, attributes: dict[str, Any]) -> None:
    """Write counts as a store: whole, or what was in the folder before stays.

    Parameters
    ----------
    path : path-like
        The folder to make, or one that holds a store, which is replaced.
    stored : CSRGroups
        The counts as they are stored, before they are scaled.
    attributes : dict
        As of `pack_attributes`.

    Raises
    ------
    OSError
        If the folder holds something else, another process is writing it, or the data cannot be written.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{str(path)!r} is a file: a store is a folder, choose another name")
    folder.mkdir(exist_ok=True)
    _check_no_others(folder)  # before a lock is left in their folder
    with sole_writer(folder):
        _check_no_others(folder)
        try:
            _write_groups(folder, stored, attributes)
        finally:  # also after a Ctrl-C, which may come when the new manifest is in its place
            _remove_unnamed(folder)


def _check_no_others(folder: Path) -> None:
    """Raise FileExistsError for a folder with files that are not those of a store."""
    names = [file.name for file in folder.iterdir() if file.name not in (MANIFEST, LOCK_NAME)]
    foreign = [name for name in names if not OURS.fullmatch(name)]
    if foreign:
        raise FileExistsError(f"{str(folder)!r} holds other files, such as {min(foreign)!r}: choose another folder")


def _remove_unnamed(folder: Path) -> None:
    """Remove the files of tiles that the manifest does not name: of the store before, or of a writer that failed."""
    named: set[str] = set()
    if (folder / MANIFEST).exists():
        try:
            digests = map_tensors(folder / MANIFEST)[0]["sha256"]
        except (KeyError, ValueError):
            return  # it is damaged: nothing says what is needed
        named = {_file_name(group, sha256) for group, sha256 in enumerate(digests)}
    for file in list(folder.iterdir()):
        if OURS.fullmatch(file.name) and file.name not in named:
            file.unlink(missing_ok=True)


def _write_groups(folder: Path, stored: CSRGroups, attributes: dict[str, Any]) -> None:
    (inputs, outputs), bounds = stored.shape, shard_bounds(stored.shape[1])
    scale = Scale.of(attributes["windows"], attributes["keep"], outputs)
    totals, digest = Totals(np.empty(inputs), np.zeros(outputs)), CountsDigest(stored.shape)
    found: list[Tiles] = []
    for group in range(group_count(inputs)):
        begins, ends, _, _ = places = stored.read_group(group)
        lengths = ends - begins
        entries = np.repeat(begins - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
        columns, values = places.indices[entries], places.data[entries]
        del entries
        data, tiles = encode_group(lengths, columns, values, bounds)
        with replacing(folder / _file_name(group, tiles.sha256)) as temporary:
            data.tofile(temporary)
        found.append(tiles)
        ends = np.cumsum(lengths)
        rows = RowGroup(ends - lengths, ends, columns, values)
        scale.apply_by_rows(rows.begins, rows.ends, columns, values, group_slice(group, inputs))
        totals.add(group, Totals.of_group(rows, outputs))
        digest.add(rows)
    tensors, settings = pack_attributes(stored.shape, **attributes)
    tensors |= {name: np.stack([getattr(tiles, name) for tiles in found]) for name in Tiles._fields}
    tensors |= {"totals.rows": totals.rows, "totals.columns": totals.columns}
    settings["counts_sha256"] = digest.hexdigest()
    write_tensors(folder / MANIFEST, tensors, header("counts-store", settings))


def _manifest(folder: Path) -> Path:
    """Return the manifest of a store; raise for what is none."""
    if not folder.is_dir():
        if not folder.exists():
            raise FileNotFoundError(f"there is no folder {str(folder)!r}")
        raise NotADirectoryError(f"{str(folder)!r} is a file, not a store: open it with Counts.load if it holds counts")
    if not (folder / MANIFEST).exists():
        raise ValueError(f"{str(folder)!r} is no store of counts, or one that was not finished: it has no {MANIFEST}")
    return folder / MANIFEST
