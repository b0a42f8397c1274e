"""`GroupedCounts`: counts in tiles, a file per group of rows; and stores: such files in a folder.

A tile has the counts of a group of rows in a shard of columns (`tiles.py`, `groups.py`).

A store has a file per group of rows, and ``manifest.safetensors``, which holds the options of counting, the sums of
rows and columns, and the sizes and the SHA-256 of each tile. The names of the files depend on their content. The
manifest is written last, so that the folder holds either the old or the new counts, even if a writer is killed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Iterator, Mapping
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
from fastembed.counts.groups import DRAWN_GROUPS, RowBatch, group_count, group_size, group_slice, shard_bounds
from fastembed.counts.tiles import (
    ENTRY_SIZES,
    Bytes,
    Rows,
    Scale,
    TiledRows,
    TileSizes,
    add_totals,
    check_tiles,
    digests,
    encode,
    joined_groups,
)
from fastembed.counts.windows import Windows
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
TILES = r"(group|passage-\d+)-\d+-[0-9a-f]{16}\.tiles|job-[0-9a-f]{16}\.safetensors"
OURS = re.compile(rf"{TILES}|{re.escape(MANIFEST)}|\.({TILES}|{re.escape(MANIFEST)})\.[0-9a-f]{{16}}\.tmp")

# ---------------------------------------------------------------- counts in files


class Totals(NamedTuple):
    """The sums of the rows (V_in,) and of the columns (V,) of expected counts."""

    rows: Float64
    columns: Float64


def full_name(folder: Folder, file: str) -> str:
    """Return the name of a file with its folder, for messages."""
    return f"{folder.path.rstrip('/')}/{file}"


@contextmanager
def damage_named(folder: Folder, file: str) -> Iterator[None]:
    """Name the file in a ValueError of a `with` block."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{full_name(folder, file)!r} is damaged: {error}") from None


class Group(NamedTuple):
    """A group of rows of counts: its tiles are in a file, from the byte `begin` on.

    `begin` is 0, except in the file of a passage, which has all groups. `sha256` (S, 32) has the SHA-256 of each tile;
    None for temporary files.
    """

    file: str
    begin: int
    sizes: TileSizes
    sha256: Bytes | None

    def read(self, folder: Folder, bounds: npt.NDArray[np.intp], rows: int, shards: slice) -> Bytes:
        """Return some of the tiles.

        Parameters
        ----------
        bounds : ndarray (S + 1,)
            The bounds of all tiles.
        rows : int
            The number of rows of the group.
        shards : slice
            Which tiles.

        Raises
        ------
        OSError
            If the file is missing or cannot be read.
        ValueError
            If a tile is damaged.
        """
        offsets = self.begin + self.sizes.offsets()
        data = folder.read(self.file, int(offsets[shards.start]), int(offsets[shards.stop]))
        if self.sha256 is not None:
            bounds = bounds[shards.start : shards.stop + 1]
            with damage_named(folder, self.file):
                check_tiles(data, self.sizes.part(shards), self.sha256[shards], bounds, rows)
        return data


class WrittenGroup(NamedTuple):
    """A group that is written, and the sums of the expected counts of its rows (R,) and of all columns (V,) in it."""

    group: Group
    totals: Totals


class GroupedCounts:
    """Counts in files of tiles, one per group of rows: in memory, in a folder or at a URL.

    The bytes of a tile in a store are compared with its SHA-256 whenever it is read.

    Parameters
    ----------
    groups : list of Group
    totals : Totals
    scale : Scale
        The factors that turn the unscaled counts in the tiles into expected counts.

    Attributes
    ----------
    folder, groups, totals, scale
        As given.
    shape : (int, int)
        (V_in, V_out).
    shards : slice
        The shards of columns (`groups.py`) that are read; all by default.
    buffer_memory : int
        The bytes of the buffer into which a fit reads counts that are not in memory.
    """

    buffer_memory = 0

    def __init__(self, folder: Folder, groups: list[Group], totals: Totals, scale: Scale) -> None:
        self.folder, self.groups, self.totals, self.scale = folder, groups, totals, scale
        self.shape = scale.shape
        self._bounds = shard_bounds(self.shape[1])
        self.shards = slice(0, len(self._bounds) - 1)
        self._sha256: Bytes | None = None

    @classmethod
    def empty(cls, folder: Folder, scale: Scale) -> GroupedCounts:
        """Return counts without groups; `add` adds groups."""
        return cls(folder, [], Totals(*map(np.zeros, scale.shape)), scale)

    def add(self, written: WrittenGroup) -> None:
        """Add the next group."""
        self.totals.rows[group_slice(len(self.groups), self.shape[0])] = written.totals.rows
        self.totals.columns[:] += written.totals.columns
        self.groups.append(written.group)

    @property
    def in_memory(self) -> bool:
        """Whether the files are in memory."""
        return isinstance(self.folder, Memory)

    @property
    def bounds(self) -> npt.NDArray[np.intp]:
        """The bounds of the shards, (S + 1,)."""
        return self._bounds[self.shards.start : self.shards.stop + 1]

    @property
    def sizes(self) -> TileSizes:
        """The sizes of the tiles of the shards in all groups."""
        sizes = TileSizes(*map(np.stack, zip(*(group.sizes for group in self.groups), strict=True)))
        return sizes.part((slice(None), self.shards))

    @property
    def entries(self) -> Int64:
        """The number of nonzero counts of each group, (G,)."""
        entries: Int64 = self.sizes.entries.sum(axis=1)
        return entries

    @property
    def nnz(self) -> int:
        """The number of nonzero counts."""
        return sum(int(group.sizes.entries[self.shards].sum()) for group in self.groups)

    def digests(self) -> Bytes:
        """Return the SHA-256 of each tile, (G, S, 32); of temporary files it is computed when it is first needed."""
        if self._sha256 is None:

            def group_digests(group: Group) -> Bytes:
                return digests(self.folder.read(group.file), group.sizes) if group.sha256 is None else group.sha256

            # Each thread reads a group: of a store, no more groups are in memory than an epoch shuffles together
            threads = check_threads(None) if self.in_memory else DRAWN_GROUPS
            with closing(ordered_map(group_digests, self.groups, threads)) as groups:
                self._sha256 = np.stack(list(groups))
        return self._sha256

    def sha256(self) -> str:
        """Return the SHA-256 of the shape, the factors and the digests of all tiles."""
        digest = hashlib.sha256(np.array(self.shape, "<i8").data)
        for array in (self.scale.denominator, self.scale.rows, self.scale.columns, self.digests()):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def of_shards(self, shards: slice) -> GroupedCounts:
        """Return the same counts restricted to some shards of columns: only the tiles of these shards are read."""
        part = copy(self)
        part.shards = shards
        return part

    def buffered(self, memory: int) -> GroupedCounts:
        """Return the same counts with a buffer of `memory` bytes."""
        same = copy(self)
        same.buffer_memory = memory
        return same

    def read_tiles(self, group: int) -> Bytes:
        """Return the tiles of a group; see `Group.read`."""
        return self.groups[group].read(self.folder, self._bounds, group_size(group, self.shape[0]), self.shards)

    def read_group(self, group: int, *, unscaled: bool = False) -> TiledRows:
        """Return a group of rows with its expected counts, or with `unscaled`, with the values in its tiles."""
        scale = Scale.none(*self.shape) if unscaled else self.scale
        sizes = self.groups[group].sizes.part(self.shards)
        return TiledRows(self.read_tiles(group), sizes, self.bounds, scale.part(group))

    def csr(self) -> sparse.csr_array:
        """Return all expected counts as a CSR array."""
        lengths, numbers = np.empty(self.shape[0], np.int64), range(len(self.groups))
        for group in numbers:
            lengths[group_slice(group, self.shape[0])] = self.read_group(group).lengths
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1])
        for group in numbers:
            offsets = indptr[:-1][group_slice(group, self.shape[0])].copy()
            self.read_group(group).decode_into(offsets, indices, data)
        return sorted_csr(data, indices, indptr, self.shape)

    def copied(self, folder: Folder) -> GroupedCounts:
        """Write the same files into a folder, and return the counts there."""
        groups = [
            write_tiles(folder, number, group.sizes, self.read_tiles(number))
            for number, group in enumerate(self.groups)
        ]
        return GroupedCounts(folder, groups, self.totals, self.scale)


def write_tiles(folder: Folder, group: int, sizes: TileSizes, data: Bytes) -> Group:
    """Write the tiles of a group to a file, whose name depends on its content unless it is temporary."""
    sha256 = None if folder.temporary else digests(data, sizes)
    file = file_name(group, sha256)
    folder.write(file, [data])
    return Group(file, 0, sizes, sha256)


def file_name(group: int, sha256: Bytes | None) -> str:
    """Return the name of the file of a group, whose tiles have these digests."""
    content = "" if sha256 is None else hashlib.sha256(sha256.tobytes()).hexdigest()[:16]
    return f"group-{group:05d}-{content}.tiles"


def write_group(folder: Folder, group: int, rows: Rows, scale: Scale) -> WrittenGroup:
    """Write a group of rows of unscaled counts to a file; `scale` has the factors of the group."""
    totals = Totals(*map(np.zeros, scale.shape))
    add_totals(rows, scale, *totals)
    sizes, data = encode(rows, shard_bounds(scale.shape[1]))
    return WrittenGroup(write_tiles(folder, group, sizes, data), totals)


def write_rows(folder: Folder, scale: Scale, batches: Generator[RowBatch, None, None]) -> GroupedCounts:
    """Write batches of rows of unscaled counts, in the order of groups, as files of groups, and return the counts."""
    counts = GroupedCounts.empty(folder, scale)
    with closing(batches):
        for group, rows in enumerate(joined_groups(batches, scale.shape[0])):
            counts.add(write_group(folder, group, rows, scale.part(group)))
    return counts


def grouped(matrix: sparse.csr_array, threads: int | None = None) -> GroupedCounts:
    """Return the counts of a canonical CSR array as tiles in memory, which `threads` threads encode."""
    rows, scale = Rows.of(matrix), Scale.none(*matrix.shape)
    counts = GroupedCounts.empty(Memory(), scale)

    def write(group: int) -> WrittenGroup:
        return write_group(counts.folder, group, rows.part(group_slice(group, len(rows.ends))), scale.part(group))

    with closing(ordered_map(write, range(group_count(len(rows.ends))), check_threads(threads))) as groups:
        for written in groups:
            counts.add(written)
    return counts


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
    """Remove the files of tiles that the manifest does not name, from an old store or a failed writer."""
    names, named = folder.names() or [], {MANIFEST}
    if MANIFEST in names:
        tensors, _ = read_manifest(folder)
        named |= {file_name(group, sha256) for group, sha256 in enumerate(tensors["sha256"])}
    for name in names:
        if OURS.fullmatch(name) and name not in named:
            folder.remove(name)


def is_store(path: str) -> bool:
    """Return whether a local folder, or a URL, holds a store."""
    names = open_folder(path).names() if is_url(path) or Path(path).is_dir() else None
    return MANIFEST in (names or ())


def read_manifest(folder: StoreFolder) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """Return the tensors and the fields of text of a manifest; raise OSError or ValueError if this is not a store."""
    names = folder.names()
    if names is None:
        raise FileNotFoundError(f"there is no folder {folder.path!r}")
    if MANIFEST not in names:
        raise ValueError(f"{folder.path!r} is not a store of counts, or was not finished: it has no {MANIFEST}")
    return load_tensors(folder.read(MANIFEST).tobytes(), full_name(folder, MANIFEST))


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
    with fitting(full_name(folder, MANIFEST), "counts that fit"):
        shape, attributes = unpack_attributes(tensors, settings)
        *sizes, sha256 = (np.array(tensors[name]) for name in (*TileSizes._fields, "sha256"))
        totals = Totals(*(np.array(tensors[f"totals.{name}"]) for name in Totals._fields))
        scale = Scale.of(attributes["windows"], attributes["keep"], shape)
        grid = group_count(shape[0]), len(shard_bounds(shape[1])) - 1
        per_row_and_column = [(shape[:1], "f8"), (shape[1:], "f8")]  # of the totals and of the factors
        right = [(grid, "i8"), (grid, "i8"), (grid, "u1"), ((*grid, 32), "u1"), *2 * per_row_and_column]
        found = [(array.shape, array.dtype.str[1:]) for array in (*sizes, sha256, *totals, scale.rows, scale.columns)]
        if found != right:
            raise ValueError(f"tiles, totals and factors of {found}, where {right} are needed")
        entries, filled, kinds = sizes
        if not ((filled >= 0) & (filled <= entries) & (entries < 1 << 32) & (kinds < len(ENTRY_SIZES))).all():
            raise ValueError("a tile has more rows than entries, or a size or kind that no tile has")
        if not all((array >= 0).all() and array.any() == entries.any() for array in totals):
            raise ValueError("a total is negative or NaN, or all are zero")
        if not all(((array > 0) & (array <= 1)).all() for array in (scale.rows, scale.columns)):
            raise ValueError("a factor of subsampling is not between 0 and 1")
    groups = [
        Group(file_name(number, group_sha256), 0, TileSizes(*group_sizes), group_sha256)
        for number, (*group_sizes, group_sha256) in enumerate(zip(*sizes, sha256, strict=True))
    ]
    for group in groups:
        size, right_size = folder.size(group.file), group.sizes.offsets()[-1]
        with damage_named(folder, group.file):
            if size != right_size:
                raise ValueError(f"it has {size:,} bytes, not {right_size:,}")
    return GroupedCounts(folder, groups, totals, scale), attributes


def write_manifest(counts: GroupedCounts, attributes: Mapping[str, Any]) -> None:
    """Write the manifest, which completes a store; the attributes are as for `pack_attributes`."""
    tensors, settings = pack_attributes(counts.shape, attributes)
    tensors |= counts.sizes._asdict() | {"sha256": counts.digests()}
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
