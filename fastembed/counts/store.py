"""`GroupedCounts`: counts in files of tiles, one per group of rows; and stores, which are such files in a folder.

A store has a file per group of rows, and ``manifest.safetensors``, which holds the options of counting, the sums of
rows and columns, and the sizes and the SHA-256 of each tile. The names of the files depend on their content. The
manifest is written last, so that the folder holds either the old or the new counts, even if a writer is killed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Float64, Int64, sorted_csr
from fastembed._base.threads import check_threads, ordered_map
from fastembed._base.validation import plain
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import Reading
from fastembed.corpus.sources import is_url
from fastembed.counts.folders import Folder, Memory, StoreFolder, open_folder
from fastembed.counts.groups import RowBatch, group_count, group_size, group_slice, shard_bounds
from fastembed.counts.tiles import (
    Bytes,
    EncodedGroup,
    Rows,
    TiledRows,
    Tiles,
    check_tiles,
    digests,
    joined_groups,
)
from fastembed.counts.windows import Scale, Windows
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

MANIFEST = "manifest.safetensors"
TILES = r"(group|part-\d+)-\d+-[0-9a-f]{16}\.tiles|job-[0-9a-f]{16}\.safetensors"
OURS = re.compile(rf"{TILES}|{re.escape(MANIFEST)}|\.({TILES}|{re.escape(MANIFEST)})\.[0-9a-f]{{16}}\.tmp")

# ---------------------------------------------------------------- counts in files


class Totals(NamedTuple):
    """The sums of the rows (V_in,) and of the columns (V,) of expected counts."""

    rows: Float64
    columns: Float64


class GroupedCounts:
    """Counts in files of tiles, one per group of rows: in memory, in a folder or at a URL.

    The bytes of a tile that is not in memory are compared with its SHA-256 whenever it is read.

    Parameters
    ----------
    files : list of str
        The name of the file of each group in the folder.
    shape : (int, int)
        (V_in, V_out).
    tiles : Tiles
        Those of all groups: the first axis of the arrays is that of the groups.
    scale : Scale
        The factors that turn what is stored into expected counts.
    sha256 : ndarray of uint8 (G, S, 32), optional
        The SHA-256 of each tile; computed when it is needed if the files are in memory.

    Attributes
    ----------
    folder, shape, totals, scale
        As given.
    shards : slice
        The shards that are read; all by default.
    buffer_memory : int
        The bytes of the buffer of a fit, for counts that are not in memory.
    """

    buffer_memory = 0

    def __init__(
        self,
        folder: Folder,
        files: list[str],
        shape: tuple[int, int],
        tiles: Tiles,
        totals: Totals,
        scale: Scale,
        sha256: Bytes | None = None,
    ) -> None:
        self.folder, self.files, self.shape, self.totals, self.scale = folder, files, shape, totals, scale
        self._tiles, self._sha256 = tiles, sha256
        self._bounds = shard_bounds(shape[1])
        self.shards = slice(0, len(self._bounds) - 1)

    @property
    def in_memory(self) -> bool:
        """Whether the files are in memory."""
        return isinstance(self.folder, Memory)

    @property
    def bounds(self) -> npt.NDArray[np.intp]:
        """The bounds of the shards, (S + 1,)."""
        return self._bounds[self.shards.start : self.shards.stop + 1]

    @property
    def tiles(self) -> Tiles:
        """The tiles of the shards in all groups."""
        return self._tiles.part((slice(None), self.shards))

    @property
    def entries(self) -> Int64:
        """The number of stored counts of each group, (G,)."""
        entries: Int64 = self._tiles.entries[:, self.shards].sum(axis=1)
        return entries

    @property
    def nnz(self) -> int:
        """The number of stored counts."""
        return int(self.entries.sum())

    def digests(self) -> Bytes:
        """Return the SHA-256 of each tile, (G, S, 32)."""
        if self._sha256 is None:

            def of_group(group: int) -> Bytes:
                return digests(self.folder.read(self.files[group]), self._tiles.part(group))

            with closing(ordered_map(of_group, range(len(self.files)), check_threads(None))) as groups:
                self._sha256 = np.stack(list(groups))
        return self._sha256

    def sha256(self) -> str:
        """Return the SHA-256 of the shape, the factors and the digests of all tiles."""
        digest = hashlib.sha256(np.array(self.shape, "<i8").data)
        for array in (self.scale.denominator, self.scale.rows, self.scale.columns, self.digests()):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def of_shards(self, shards: slice) -> GroupedCounts:
        """Return the same counts restricted to some shards of columns: groups are read without the others."""
        part = copy(self)
        part.shards = shards
        return part

    def buffered(self, memory: int) -> GroupedCounts:
        """Return the same counts with a buffer of so many bytes."""
        same = copy(self)
        same.buffer_memory = memory
        return same

    def read_tiles(self, group: int) -> Bytes:
        """Return the tiles of a group.

        Raises
        ------
        OSError
            If the file is missing or cannot be read.
        ValueError
            If a tile is damaged.
        """
        place, offsets = (group, self.shards), self._tiles.part(group).offsets()
        data = self.folder.read(self.files[group], int(offsets[self.shards.start]), int(offsets[self.shards.stop]))
        if not self.in_memory:
            rows = group_size(group, self.shape[0])
            try:
                check_tiles(data, self._tiles.part(place), self.digests()[place], self.bounds, rows)
            except ValueError as error:
                raise ValueError(f"{self._place(group)!r} is damaged: {error}") from None
        return data

    def read_group(self, group: int, *, stored: bool = False) -> TiledRows:
        """Return a group of rows with its expected counts, or as they are stored."""
        scale = Scale.none(*self.shape) if stored else self.scale
        part = scale.part(group_slice(group, self.shape[0]))
        return TiledRows(self.read_tiles(group), self._tiles.part((group, self.shards)), self.bounds, part)

    def csr(self) -> sparse.csr_array:
        """Return all expected counts as a CSR array."""
        lengths, parts = np.empty(self.shape[0], np.int64), range(len(self.files))
        for group in parts:
            lengths[group_slice(group, self.shape[0])] = self.read_group(group).lengths
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1])
        for group in parts:
            places = indptr[:-1][group_slice(group, self.shape[0])].copy()
            self.read_group(group).decode_into(places, indices, data)
        return sorted_csr(data, indices, indptr, self.shape)

    def copied(self, folder: Folder) -> GroupedCounts:
        """Write the same files into a folder, and return the counts there."""
        sha256 = None if isinstance(folder, Memory) else self.digests()
        files = self.files if sha256 is None else [file_name(group, sha256[group]) for group in range(len(self.files))]
        for group, name in enumerate(files):
            folder.write(name, [self.read_tiles(group)])
        return GroupedCounts(folder, files, self.shape, self._tiles, self.totals, self.scale, sha256)

    def check_sizes(self) -> None:
        """Raise OSError or ValueError if a file of a store is missing or has the wrong size."""
        assert not isinstance(self.folder, Memory)
        for group, name in enumerate(self.files):
            size, right = self.folder.size(name), self._tiles.part(group).offsets()[-1]
            if size != right:
                raise ValueError(f"{self._place(group)!r} is damaged: it has {size:,} bytes, not {right:,}")

    def _place(self, group: int) -> str:
        """Return the name of the file of a group for messages."""
        return f"{self.folder.path.rstrip('/')}/{self.files[group]}"


def file_name(group: int, sha256: Bytes) -> str:
    """Return the name of the file of a group in a store, which depends on the digests of its tiles."""
    return f"group-{group:05d}-{hashlib.sha256(sha256.tobytes()).hexdigest()[:16]}.tiles"


class WrittenGroup(NamedTuple):
    """A group of rows in a file of this name.

    The sums `rows` and `columns` are those of an `EncodedGroup`; `sha256` (S, 32) is None in memory.
    """

    file: str
    tiles: Tiles
    sha256: Bytes | None
    rows: Float64
    columns: Float64


def write_group(folder: Folder, group: int, encoded: EncodedGroup) -> WrittenGroup:
    """Write the tiles of a group of rows to a file."""
    sha256, file = None, f"group-{group:05d}"
    if not isinstance(folder, Memory):
        sha256 = digests(encoded.data, encoded.tiles)
        file = file_name(group, sha256)
    folder.write(file, [encoded.data])
    return WrittenGroup(file, encoded.tiles, sha256, encoded.rows, encoded.columns)


class GroupWriter:
    """Writes counts into a folder or into memory, group by group.

    Parameters
    ----------
    folder : Folder
        A store is locked (`writing`).
    shape : (int, int)
        (V_in, V_out).
    scale : Scale
        The factors of what is written.

    Attributes
    ----------
    scale
        As given.
    nnz : int
        The number of counts written.
    """

    def __init__(self, folder: Folder, shape: tuple[int, int], scale: Scale) -> None:
        self.scale, self._folder, self._shape, self._bounds = scale, folder, shape, shard_bounds(shape[1])
        self._totals = Totals(np.zeros(shape[0]), np.zeros(shape[1]))
        self._groups: list[WrittenGroup] = []
        self.nnz = 0

    def write(self, batches: Iterable[RowBatch]) -> None:
        """Write the stored rows of all groups, in their order."""
        for group, pieces in enumerate(joined_groups(batches, self._shape[0])):
            self.add(write_group(self._folder, group, self.encoded(group, pieces)))
            del pieces  # free their memory before the next group is taken

    def encoded(self, group: int, pieces: list[Rows]) -> EncodedGroup:
        """Return the tiles and the sums of a group of stored rows."""
        return EncodedGroup.of(pieces, self._bounds, self.scale.part(group_slice(group, self._shape[0])))

    def add(self, written: WrittenGroup) -> None:
        """Add the next group, whose file is written."""
        self._totals.rows[group_slice(len(self._groups), self._shape[0])] = written.rows
        self._totals.columns[:] += written.columns
        self._groups.append(written)
        self.nnz += int(written.tiles.entries.sum())

    def counts(self) -> GroupedCounts:
        """Return the counts written."""
        tiles = Tiles(*map(np.stack, zip(*(group.tiles for group in self._groups), strict=True)))
        sha256 = [group.sha256 for group in self._groups if group.sha256 is not None]
        files = [group.file for group in self._groups]
        found = np.stack(sha256) if sha256 else None
        return GroupedCounts(self._folder, files, self._shape, tiles, self._totals, self.scale, found)


def grouped(matrix: sparse.csr_array) -> GroupedCounts:
    """Return the counts in a canonical CSR array, in memory."""
    memory = Memory()
    writer = GroupWriter(memory, matrix.shape, Scale.none(*matrix.shape))
    indptr = matrix.indptr.astype(np.int64, copy=False)
    indices = matrix.indices.astype(np.int32, copy=False)

    def encoded(group: int) -> EncodedGroup:
        part = group_slice(group, matrix.shape[0])
        begins, ends = np.ascontiguousarray(indptr[:-1][part]), np.ascontiguousarray(indptr[1:][part])
        return writer.encoded(group, [Rows(begins, ends, indices, matrix.data)])

    with closing(ordered_map(encoded, range(group_count(matrix.shape[0])), check_threads(None))) as groups:
        for group, of_group in enumerate(groups):
            writer.add(write_group(memory, group, of_group))
    return writer.counts()


# ---------------------------------------------------------------- stores


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


def open_store(folder: StoreFolder) -> tuple[GroupedCounts, dict[str, Any]]:
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
        sha256: Bytes = np.array(tensors["sha256"])
        scale = Scale.of(attributes["windows"], attributes["keep"], shape)
        tiles_shape = group_count(shape[0]), len(shard_bounds(shape[1])) - 1
        found = *(array.shape for array in tiles), sha256.shape, totals.rows.shape, totals.columns.shape
        right = *[tiles_shape] * len(tiles), (*tiles_shape, 32), shape[:1], shape[1:]
        if found != right or min(tiles.entries.min(), tiles.filled.min()) < 0:
            raise ValueError(f"tiles and totals of the shapes {found}, where {right} are needed")
    files = [file_name(group, of_group) for group, of_group in enumerate(sha256)]
    counts = GroupedCounts(folder, files, shape, tiles, totals, scale, sha256)
    counts.check_sizes()
    return counts, attributes


def write_manifest(counts: GroupedCounts, attributes: Mapping[str, Any]) -> None:
    """Complete a store, whose files are in the folder of the counts; the attributes are as for `pack_attributes`."""
    assert not isinstance(counts.folder, Memory)
    tensors, settings = pack_attributes(counts.shape, attributes)
    tensors |= counts.tiles._asdict() | {"sha256": counts.digests()}
    tensors |= {f"totals.{name}": array for name, array in counts.totals._asdict().items()}
    manifest = dump_tensors(tensors, header("counts-store", settings))
    counts.folder.write(MANIFEST, [np.frombuffer(manifest, np.uint8)])


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
