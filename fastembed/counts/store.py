"""Stores of counts: tiles, one group of rows at a time, in a folder or at a URL.

A folder has one file per group of rows, and ``manifest.safetensors``, which holds the options of counting, the sums of
rows and columns, and the SHA-256 of each tile. The names of the files depend on their content. The manifest is written
last, so that the folder holds either the old or the new counts, even if a writer is killed.

The file of a group has one tile per shard of the columns, concatenated, so that a reader of consecutive shards reads
one range of bytes. A tile has the entries of the group's rows in the columns of its shard, by rows, columns ascending.
Its parts are concatenated, little-endian, and padded with zeros to a multiple of 8 bytes:

    values    float32, or float64 where float32 would round one of them    (n,)
    columns   uint16, from the first column of the shard                   (n,)
    lengths   uint16, the number of entries of each row                    (R,)
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

import fastembed._kernels.tiles as kernels
from fastembed._base.arrays import Int64, row_ranges, sorted_csr
from fastembed._base.validation import plain, shown, without_password
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import Reading
from fastembed.corpus.sources import file_system, is_url, naming
from fastembed.counts.groups import (
    MERGE_ENTRIES,
    CountsDigest,
    GroupedCounts,
    Memory,
    RowBatch,
    RowGroup,
    Totals,
    group_count,
    group_places,
    group_size,
    group_slice,
    shard_bounds,
)
from fastembed.counts.windows import Scale, Windows
from fastembed.formats.atomic import replacing
from fastembed.formats.tensors import (
    check_header,
    dump_tensors,
    fitting,
    header,
    load_tensors,
    pack_tokens,
    unpack_tokens,
)
from fastembed.vocabulary import Vocabulary

Bytes = npt.NDArray[np.uint8]

MANIFEST = "manifest.safetensors"
TILES = r"(group|part-\d+)-\d+-[0-9a-f]{16}\.tiles|job-[0-9a-f]{16}\.safetensors"
OURS = re.compile(rf"{TILES}|{re.escape(MANIFEST)}|\.({TILES}|{re.escape(MANIFEST)})\.[0-9a-f]{{16}}\.tmp")
ALIGNMENT = 8  # bytes of which the size of a tile is a multiple

# ---------------------------------------------------------------- where the files of counts are


@dataclass(frozen=True)
class LocalFolder:
    """A folder of a local or mounted file system.

    Attributes
    ----------
    path : str
        Absolute, so that a later change of directory has no effect.
    temporary : bool
        Whether its files need not outlive a crash.
    """

    path: str
    temporary: bool = False

    def _file(self, name: str) -> Path:
        return Path(self.path, name)

    def names(self) -> list[str] | None:
        """Return the names of all files; None if there is no folder."""
        try:
            return os.listdir(self.path)  # noqa: PTH208 - names, not paths
        except FileNotFoundError:
            return None

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        return self._file(name).stat().st_size

    def read(self, name: str, begin: int = 0, end: int | None = None) -> Bytes:
        """Return the bytes of a file, or some of them."""
        return np.fromfile(self._file(name), np.uint8, -1 if end is None else end - begin, offset=begin)

    def write(self, name: str, parts: Iterable[Bytes]) -> None:
        """Write a file."""
        target = self._file(name)
        with nullcontext(target) if self.temporary else replacing(target) as place, place.open("wb") as file:
            for part in parts:
                file.write(part.data)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        self._file(name).unlink(missing_ok=True)

    @contextmanager
    def created(self) -> Iterator[None]:
        """Create the folder if it does not exist; remove it if nothing is written."""
        folder = Path(self.path)
        new = not folder.exists()
        folder.mkdir(exist_ok=True)
        try:
            yield
        finally:
            if new and not self.names():
                folder.rmdir()


@dataclass(frozen=True)
class UrlFolder:
    """A folder of a file system of fsspec.

    Attributes
    ----------
    url : str
    path : str
        The URL without a password.
    """

    url: str = field(repr=False)

    @property
    def path(self) -> str:
        """The URL without a password."""
        return without_password(self.url)

    @property
    def _system(self) -> Any:
        return file_system(self.url, use_listings_cache=False)[0]  # other processes may write

    def _place(self, name: str = "") -> str:
        return f"{file_system(self.url)[1].rstrip('/')}/{name}".rstrip("/")

    def _naming(self, name: str) -> AbstractContextManager[None]:
        return naming(f"{self.path.rstrip('/')}/{name}")

    def names(self) -> list[str] | None:
        """Return the names of all files; None if there is no folder."""
        with naming(self.path):
            try:
                found = [entry["name"].rstrip("/") for entry in self._system.ls(self._place(), detail=True)]
            except FileNotFoundError:
                return None
        return [name.rpartition("/")[2] for name in found if name != self._place()]

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        with self._naming(name):
            return int(self._system.size(self._place(name)))

    def read(self, name: str, begin: int = 0, end: int | None = None) -> Bytes:
        """Return the bytes of a file, or a range of them."""
        with self._naming(name):
            return np.frombuffer(self._system.cat_file(self._place(name), start=begin, end=end), np.uint8)

    def write(self, name: str, parts: Iterable[Bytes]) -> None:
        """Write a file; it is first written locally, so that a failure leaves no partial file at the URL."""
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder, "part")
            with local.open("wb") as file:
                for part in parts:
                    file.write(part.data)
            with self._naming(name):
                self._system.put_file(os.fspath(local), self._place(name))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError), self._naming(name):
            self._system.rm_file(self._place(name))

    @contextmanager
    def created(self) -> Iterator[None]:
        """Create the folder, on file systems that have folders."""
        with naming(self.path), suppress(FileExistsError):
            self._system.mkdir(self._place(), create_parents=False)
        yield


StoreFolder: TypeAlias = LocalFolder | UrlFolder


def open_folder(store: str | os.PathLike[str]) -> StoreFolder:
    """Return the folder of a path or of a URL; file:// URLs give a local folder."""
    if not isinstance(store, str | os.PathLike):
        raise TypeError(f"a store is the path or the URL of a folder, got {shown(store)}")
    if is_url(store):
        system, path = file_system(store)
        if "file" not in system.protocol:
            return UrlFolder(store)
        store = path
    return LocalFolder(os.path.abspath(store))  # noqa: PTH100 - a name, as it was given; the folder may change


def temporary_folder() -> LocalFolder:
    """Return a new folder, which is removed when nothing refers to what is returned."""
    folder = LocalFolder(tempfile.mkdtemp(prefix="fastembed-"), temporary=True)
    weakref.finalize(folder, shutil.rmtree, folder.path, ignore_errors=True)
    return folder


@contextmanager
def writing(folder: StoreFolder) -> Iterator[None]:
    """Create the folder of a store; at the end, remove the files of tiles that its manifest does not name.

    Raises
    ------
    OSError
        If the folder holds something else.
    """
    foreign = [name for name in folder.names() or () if not OURS.fullmatch(name)]
    if foreign:
        raise FileExistsError(f"{folder.path!r} holds other files, such as {min(foreign)!r}: choose another folder")
    with folder.created():
        try:
            yield
        finally:  # also after a Ctrl-C, which may come when the new manifest is in place
            _remove_unnamed(folder)


def _remove_unnamed(folder: StoreFolder) -> None:
    """Remove the files of tiles that the manifest does not name: those of an old store or of a failed writer."""
    names, named = folder.names() or [], {MANIFEST}
    if MANIFEST in names:
        tensors, _ = read_manifest(folder)
        named |= {file_name(group, sha256) for group, sha256 in enumerate(tensors["sha256"])}
    for name in names:
        if OURS.fullmatch(name) and name not in named:
            folder.remove(name)


def is_store(path: str) -> bool:
    """Return whether there is a store in a local folder, or one at a URL."""
    names = open_folder(path).names() if is_url(path) or Path(path).is_dir() else None
    return MANIFEST in (names or ())


def read_manifest(folder: StoreFolder) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """Return the tensors and the fields of text of a manifest; raise OSError or ValueError if this is not a store."""
    names = folder.names()
    if names is None:
        raise FileNotFoundError(f"there is no folder {folder.path!r}")
    if MANIFEST not in names:
        raise ValueError(f"{folder.path!r} is not a store of counts, or was not finished: it has no {MANIFEST}")
    return load_tensors(folder.read(MANIFEST).tobytes(), f"{folder.path.rstrip('/')}/{MANIFEST}")


def file_name(group: int, sha256: Bytes) -> str:
    """Return the name of the file of a group, which depends on the digests of its tiles."""
    return f"group-{group:05d}-{hashlib.sha256(sha256.tobytes()).hexdigest()[:16]}.tiles"


# ---------------------------------------------------------------- what a store holds beside the counts


def pack_attributes(
    shape: tuple[int, int], attributes: Mapping[str, Any]
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return tensors and settings that store the attributes of ``Counts``, by name, in a file."""
    keep, vocabulary = attributes.get("keep"), attributes.get("vocabulary")
    tensors: dict[str, npt.NDArray[Any]] = {} if keep is None else {"keep": keep}
    settings = {"shape": shape} | {name: attributes.get(name) for name in ("windows", "ledger", "baskets")}
    if vocabulary is not None:
        tensors |= {"tokens.counts": vocabulary.counts, **pack_tokens(vocabulary.tokens)}
        settings["vocabulary.ledger"] = vocabulary.ledger
        settings["vocabulary.reading"] = vocabulary.reading and vocabulary.reading.record()
        settings["vocabulary.appended"] = vocabulary.appended
    packed: dict[str, Any] = plain(settings)
    return tensors, packed


def unpack_attributes(
    tensors: Mapping[str, npt.NDArray[Any]], settings: Mapping[str, Any]
) -> tuple[tuple[int, int], dict[str, Any]]:
    """Return the shape and the keyword arguments of ``Counts`` from the result of `pack_attributes`."""
    n_rows, n_columns = settings["shape"]
    vocabulary = None
    if "tokens.counts" in tensors:
        counted = settings["vocabulary.ledger"] and Ledger(**settings["vocabulary.ledger"])
        vocabulary = Vocabulary(unpack_tokens(tensors), tensors["tokens.counts"], counted)
        reading = settings["vocabulary.reading"]
        vocabulary.reading = None if reading is None else Reading.from_record(reading)
        vocabulary.appended = settings["vocabulary.appended"]
    return (n_rows, n_columns), {
        "windows": settings["windows"] and Windows(**settings["windows"]),
        "keep": tensors.get("keep"),
        "ledger": settings["ledger"] and Ledger(**settings["ledger"]),
        "vocabulary": vocabulary,
        "baskets": settings["baskets"],
    }


# ---------------------------------------------------------------- the bytes of a group of rows


class Tiles(NamedTuple):
    """The sizes, formats and digests of the tiles of a group, one for each of S shards.

    Attributes
    ----------
    entries : ndarray of int64 (S,)
    wide : ndarray of bool (S,)
        Whether values are float64.
    sha256 : ndarray of uint8 (S, 32)
        The digest of the bytes of each tile.
    """

    entries: Int64
    wide: npt.NDArray[np.bool_]
    sha256: Bytes

    @classmethod
    def joined(cls, parts: Iterable[Tiles]) -> Tiles:
        """Return the tiles of consecutive shards as those of one group."""
        return cls(*map(np.concatenate, zip(*parts, strict=True)))

    def part(self, place: Any) -> Tiles:
        """Return some of the tiles; the first axis of the arrays may be that of groups."""
        return Tiles(self.entries[place], self.wide[place], self.sha256[place])

    def offsets(self, rows: int) -> Int64:
        """Return the offsets of the tiles of a group of `rows` rows, and the end of the last one, (S + 1,)."""
        sizes = self.entries * np.where(self.wide, 8 + 2, 4 + 2) + 2 * rows
        return np.concatenate([[0], np.cumsum(-(-sizes // ALIGNMENT) * ALIGNMENT)])


class EncodedGroup:
    """The tiles of a group, which are made one at a time: beside the rows, only one is in memory.

    Parameters
    ----------
    pieces : list of RowGroup
        The rows, some in each.
    bounds : ndarray of int (S + 1,)
        The bounds of the shards.

    Attributes
    ----------
    tiles : Tiles
    """

    def __init__(self, pieces: list[RowGroup], bounds: npt.NDArray[np.intp]) -> None:
        self._pieces, self._bounds = pieces, bounds.astype(np.int64)
        shards, wide = len(bounds) - 1, np.zeros(len(bounds) - 1, np.bool_)
        self._lengths = [np.empty((shards, len(piece.begins)), np.uint16) for piece in pieces]
        for piece, lengths in zip(pieces, self._lengths, strict=True):
            kernels.measure_tiles(*piece, self._bounds, lengths, wide.view(np.uint8))
        entries = np.sum([lengths.sum(axis=1, dtype=np.int64) for lengths in self._lengths], axis=0)
        self.tiles = Tiles(entries, wide, np.zeros((shards, 32), np.uint8))
        for digest, tile in zip(self.tiles.sha256, self.data(), strict=True):
            digest[:] = _sha256(tile)

    def data(self) -> Iterator[Bytes]:
        """Yield the bytes of each tile."""
        places, rows = [piece.begins.copy() for piece in self._pieces], sum(len(piece.ends) for piece in self._pieces)
        sizes = np.diff(self.tiles.offsets(rows)).tolist()
        for k, first in enumerate(self._bounds[:-1].tolist()):
            tile, n = np.zeros(sizes[k], np.uint8), 0
            values, columns, of_rows = _parts(tile, int(self.tiles.entries[k]), rows, bool(self.tiles.wide[k]))
            np.concatenate([lengths[k] for lengths in self._lengths], out=of_rows)
            for piece, place, lengths in zip(self._pieces, places, self._lengths, strict=True):
                kernels.write_tile(place, lengths[k], piece.indices, piece.data, first, values[n:], columns[n:])
                n += int(lengths[k].sum())
            yield tile


def decode_group(
    data: Bytes, tiles: Tiles, rows: int, bounds: npt.NDArray[np.intp], memory: Memory | None = None
) -> RowGroup:
    """Return the concatenated rows of a group, in the given memory or in new arrays.

    Raises
    ------
    ValueError
        If the bytes of a tile do not match its digest, the lengths in it are not those of its entries, or a column is
        not of its shard.
    """
    offsets, parts = tiles.offsets(rows), []
    for k, digest in enumerate(tiles.sha256):
        tile = data[offsets[k] : offsets[k + 1]]
        if len(data) < offsets[k + 1] or not np.array_equal(_sha256(tile), digest):
            raise ValueError(f"the tile of the columns {bounds[k]} to {bounds[k + 1] - 1} is not what was written")
        parts.append(_parts(tile, int(tiles.entries[k]), rows, bool(tiles.wide[k])))
    nnz = int(tiles.entries.sum())
    indices, values = (np.empty(nnz, np.int32), np.empty(nnz)) if memory is None else memory
    of_row = np.zeros(rows, np.int64)
    for k, (_, columns, lengths) in enumerate(parts):
        if lengths.sum(dtype=np.int64) != tiles.entries[k]:
            raise ValueError(f"a tile says that it has {tiles.entries[k]:,} entries, and lengths of {lengths.sum():,}")
        if len(columns) and columns.max() >= bounds[k + 1] - bounds[k]:
            wrong = bounds[k] + columns.max()
            raise ValueError(f"a tile of the columns {bounds[k]} to {bounds[k + 1] - 1} has one of {wrong}")
        of_row += lengths
    ends = np.cumsum(of_row)
    begins = ends - of_row
    places = begins.copy()
    for k, (tile_values, tile_columns, lengths) in enumerate(parts):
        kernels.read_tile(places, lengths, indices, values, int(bounds[k]), tile_values, tile_columns)
    return RowGroup(begins, ends, indices, values)


def _parts(tile: Bytes, entries: int, rows: int, wide: bool) -> tuple[npt.NDArray[Any], ...]:
    """Return views of the values, columns and lengths of a tile."""
    dtype, item = ("<f8", 8) if wide else ("<f4", 4)
    a, b = item * entries, (item + 2) * entries
    return tile[:a].view(dtype), tile[a:b].view("<u2"), tile[b : b + 2 * rows].view("<u2")


def _sha256(tile: Bytes) -> Bytes:
    return np.frombuffer(hashlib.sha256(tile.data).digest(), np.uint8)


# ---------------------------------------------------------------- reading


class StoredGroups(GroupedCounts):
    """Counts in a store. The bytes of a tile are compared with its SHA-256.

    Parameters
    ----------
    shape : (int, int)
        (V_in, V_out).
    tiles : Tiles
        Those of all groups: the first axis of the arrays is that of the groups.
    sha256 : str
        The `CountsDigest`.

    Attributes
    ----------
    folder
        As given.
    total : float
        The sum of all expected counts.
    """

    def __init__(
        self, folder: StoreFolder, shape: tuple[int, int], tiles: Tiles, totals: Totals, sha256: str, scale: Scale
    ) -> None:
        self.folder, self.shape, self.totals = folder, shape, totals
        self.total = float(totals.rows.sum())
        self._tiles, self._sha256, self._scale = tiles, sha256, scale
        self._bounds = shard_bounds(shape[1])
        groups, shards = group_count(shape[0]), len(self._bounds) - 1
        found = *(array.shape for array in tiles), totals.rows.shape, totals.columns.shape
        right = (groups, shards), (groups, shards), (groups, shards, 32), shape[:1], shape[1:]
        if found != right or tiles.entries.min() < 0:
            raise ValueError(f"tiles and totals of the shapes {found}, where {right} are needed")
        self._shards = slice(0, shards)
        self.entries = tiles.entries.sum(axis=1)

    @property
    def nnz(self) -> int:
        """The number of stored counts."""
        return int(self.entries.sum())

    def sha256(self) -> str:
        """Return the `CountsDigest` of all groups."""
        return self._sha256

    def of_shards(self, shards: slice) -> StoredGroups:
        """Return the same counts restricted to some shards of columns: groups are read without the others."""
        part = copy(self)
        part._shards = shards
        part.entries = self._tiles.entries[:, shards].sum(axis=1)
        return part

    def buffered(self, memory: int) -> StoredGroups:
        """Return the same counts with a buffer of so many bytes."""
        same = copy(self)
        same.buffer_memory = memory
        return same

    def read_group(self, group: int, memory: Memory | None = None) -> RowGroup:
        """Return the expected counts of a group of rows."""
        read = self.read_stored(group, memory)
        part = group_slice(group, self.shape[0])
        self._scale.apply(np.append(read.begins, read.ends[-1]), read.indices, read.data, read.data, part)
        return read

    def csr(self) -> sparse.csr_array:
        """Return all stored counts in memory."""
        groups = [self.read_stored(group) for group in range(len(self.entries))]
        places = group_places(self.shape[0])
        lengths = np.concatenate([group.ends - group.begins for group in groups])[places]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1])
        for number, group in enumerate(groups):
            first = indptr[:-1][group_slice(number, self.shape[0])]
            to = np.repeat(first - group.begins, group.ends - group.begins) + np.arange(len(group.data))
            indices[to], data[to] = group.indices, group.data
        return sorted_csr(data, indices, indptr, self.shape)

    def batches(self) -> Iterator[RowBatch]:
        """Yield all stored counts, in the order of groups."""
        for group in range(len(self.entries)):
            rows = self.read_stored(group)
            yield RowBatch(rows.ends - rows.begins, rows.indices, rows.data)

    def read_stored(self, group: int, memory: Memory | None = None) -> RowGroup:
        """Return the stored counts of a group of rows, as `read_group` does the expected ones."""
        first, end = self._shards.start, self._shards.stop
        tiles, offsets = self._tiles.part((group, slice(first, end))), self._offsets(group)
        rows = group_size(group, self.shape[0])
        data = self.folder.read(self._file(group), int(offsets[first]), int(offsets[end]))
        try:
            return decode_group(data, tiles, rows, self._bounds[first : end + 1], memory)
        except ValueError as error:
            raise ValueError(f"{self._place(group)!r} is damaged: {error}") from None

    def _offsets(self, group: int) -> Int64:
        return self._tiles.part(group).offsets(group_size(group, self.shape[0]))

    def _file(self, group: int) -> str:
        return file_name(group, self._tiles.sha256[group])

    def _place(self, group: int) -> str:
        """Return the name of the file of a group for messages."""
        return f"{self.folder.path}/{self._file(group)}"

    def check_size(self, group: int) -> None:
        """Raise OSError or ValueError if a file of tiles is missing or has the wrong size."""
        size, right = self.folder.size(self._file(group)), self._offsets(group)[-1]
        if size != right:
            raise ValueError(f"{self._place(group)!r} is damaged: it has {size:,} bytes, not {right:,}")


def open_store(folder: StoreFolder) -> tuple[StoredGroups, dict[str, Any]]:
    """Return the counts in a folder, and the other attributes of `Counts`, by name.

    Raises
    ------
    OSError
        If a file of the store is missing or cannot be read.
    ValueError
        If the folder is not a store, is damaged, or has another version.
    """
    tensors, metadata = read_manifest(folder)
    settings = check_header(metadata, "counts-store", folder.path)
    with fitting(f"{folder.path.rstrip('/')}/{MANIFEST}", "counts that fit"):
        shape, attributes = unpack_attributes(tensors, settings)
        tiles = Tiles(*(np.array(tensors[name]) for name in Tiles._fields))
        totals = Totals(*(np.array(tensors[f"totals.{name}"]) for name in Totals._fields))
        scale = Scale.of(attributes["windows"], attributes["keep"], shape[1])
        groups = StoredGroups(folder, shape, tiles, totals, str(settings["counts_sha256"]), scale)
    for group in range(len(groups.entries)):
        groups.check_size(group)
    return groups, attributes


# ---------------------------------------------------------------- writing


def batches_by_groups(stored: sparse.csr_array) -> Iterator[RowBatch]:
    """Yield the rows of counts in memory, in the order of groups."""
    indptr = stored.indptr.astype(np.int64, copy=False)
    for group in range(group_count(stored.shape[0])):
        part = group_slice(group, stored.shape[0])
        begins, lengths = indptr[:-1][part], np.diff(indptr)[part]
        for first, last in row_ranges(lengths, MERGE_ENTRIES):
            of_rows = lengths[first:last]
            entries = np.repeat(begins[first:last] - (np.cumsum(of_rows) - of_rows), of_rows) + np.arange(of_rows.sum())
            yield RowBatch(of_rows, stored.indices[entries].astype(np.int32, copy=False), stored.data[entries])


def joined_groups(batches: Iterable[RowBatch], rows: int) -> Generator[list[RowGroup], None, None]:
    """Yield the rows group by group, in some pieces each, from batches of rows in that order (see `group_places`)."""
    sizes = iter(group_size(group, rows) for group in range(group_count(rows)))
    parts, pieces, missing = list[RowGroup](), list[RowGroup](), next(sizes)
    for lengths, columns, values, _ in batches:
        ends = np.cumsum(lengths)
        rest = RowGroup(ends - lengths, ends, columns, values)
        while len(rest.ends):
            parts.append(rest.taken(slice(missing)))
            rest, missing = rest.taken(slice(missing, None)), missing - len(parts[-1].ends)
            if not missing or sum(part.ends[-1] - part.begins[0] for part in parts) >= MERGE_ENTRIES:
                pieces.append(_joined(parts))
                parts = []
            if not missing:
                yield pieces
                pieces, missing = [], next(sizes, 0)


def _joined(parts: list[RowGroup]) -> RowGroup:
    """Return a copy of the rows of all parts, which can be scaled in place."""
    ends = np.cumsum(np.concatenate([part.ends - part.begins for part in parts]))
    columns, values = (np.concatenate([part[k][part.begins[0] : part.ends[-1]] for part in parts]) for k in (2, 3))
    return RowGroup(np.append(0, ends[:-1]), ends, columns, values)


class StoreWriter:
    """Writes counts into a locked folder, group by group; they are in place when the manifest is.

    Parameters
    ----------
    shape : (int, int)
        (V_in, V_out).
    attributes : mapping
        As for `pack_attributes`.

    Attributes
    ----------
    nnz : int
        The number of counts written.
    """

    def __init__(self, folder: StoreFolder, shape: tuple[int, int], attributes: Mapping[str, Any]) -> None:
        self._folder, self._shape, self._attributes = folder, shape, attributes
        self._scale = Scale.of(attributes.get("windows"), attributes.get("keep"), shape[1])
        self._totals, self._digest = Totals(np.empty(shape[0]), np.zeros(shape[1])), CountsDigest(shape)
        self._tiles: list[Tiles] = []
        self.nnz = 0

    def write(self, batches: Iterable[RowBatch]) -> None:
        """Write the stored rows of all groups, in their order."""
        for pieces in joined_groups(batches, self._shape[0]):
            encoded = EncodedGroup(pieces, shard_bounds(self._shape[1]))
            self._folder.write(self._next_file(encoded.tiles), encoded.data())
            self._add(encoded.tiles, pieces)
            del encoded, pieces  # free their memory before the next group is taken

    def add_written(self, tiles: Tiles) -> None:
        """Add the next group, whose file is written."""
        group, (inputs, outputs) = len(self._tiles), self._shape
        data = self._folder.read(self._next_file(tiles))
        self._add(tiles, [decode_group(data, tiles, group_size(group, inputs), shard_bounds(outputs))])

    def _next_file(self, tiles: Tiles) -> str:
        return file_name(len(self._tiles), tiles.sha256)

    def _add(self, tiles: Tiles, pieces: list[RowGroup]) -> None:
        """Add the next group of stored counts, in contiguous rows; they are scaled in place."""
        group, (inputs, outputs) = len(self._tiles), self._shape
        part = group_slice(group, inputs)
        for rows in pieces:
            self._scale.apply(np.append(rows.begins, rows.ends[-1]), rows.indices, rows.data, rows.data, part)
            part = slice(part.start + part.step * len(rows.begins), inputs, part.step)
        self._totals.add(group, Totals.of_group(pieces, outputs))
        self._digest.add(pieces)
        self._tiles.append(tiles)
        self.nnz += int(tiles.entries.sum())

    def finish(self) -> None:
        """Write the manifest."""
        tensors, settings = pack_attributes(self._shape, self._attributes)
        tensors |= {name: np.stack([getattr(tiles, name) for tiles in self._tiles]) for name in Tiles._fields}
        tensors |= {"totals.rows": self._totals.rows, "totals.columns": self._totals.columns}
        settings["counts_sha256"] = self._digest.hexdigest()
        manifest = dump_tensors(tensors, header("counts-store", settings))
        self._folder.write(MANIFEST, [np.frombuffer(manifest, np.uint8)])
