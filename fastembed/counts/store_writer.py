"""Writing counts as a store, with one group of rows in memory at a time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from fastembed._base.threads import ordered_map
from fastembed.counts.expected import Scale
from fastembed.counts.files import pack_attributes
from fastembed.counts.folders import MANIFEST, NoManifestError, StoreFolder
from fastembed.counts.groups import CountsDigest, CSRGroups, RowGroup, Totals, group_count, group_slice, shard_bounds
from fastembed.counts.stored_csr import RowBatch
from fastembed.counts.tiles import Tiles, encode_group
from fastembed.formats.tensors import header

TILES = r"(group|part)-\d+-[0-9a-f]{16}\.tiles|job-[0-9a-f]{16}\.safetensors"
OURS = re.compile(rf"{TILES}|\.({TILES}|{re.escape(MANIFEST)})\.[0-9a-f]{{16}}\.tmp")


def file_name(group: int, sha256: npt.NDArray[np.uint8]) -> str:
    """Return the name of the file of a group, which depends on the digests of its tiles."""
    return f"group-{group:05d}-{hashlib.sha256(sha256.tobytes()).hexdigest()[:16]}.tiles"


def groups_of(stored: CSRGroups) -> Iterator[RowBatch]:
    """Yield the rows of counts in memory, group by group."""
    for group in range(group_count(stored.shape[0])):
        begins, ends, indices, data = stored.read_group(group)
        lengths = ends - begins
        entries = np.repeat(begins - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
        columns, values = indices[entries], data[entries]
        del entries
        yield RowBatch(lengths, columns, values)


def joined_groups(batches: Iterable[RowBatch], rows: int) -> Generator[RowBatch, None, None]:
    """Yield the rows group by group, from batches of rows in that order (see `group_places`)."""
    parts: list[RowBatch] = []
    sizes = iter(len(range(rows)[group_slice(group, rows)]) for group in range(group_count(rows)))
    missing = next(sizes)
    for batch in batches:
        rest = batch
        while len(rest.lengths) >= missing:
            head, rest = _split(rest, missing)
            joined = _joined([*parts, head])
            parts, missing = [], next(sizes, rows + 1)  # after the last group there are no more rows
            yield joined
            del joined
        if len(rest.lengths):
            parts.append(rest)
            missing -= len(rest.lengths)


def _split(batch: RowBatch, rows: int) -> tuple[RowBatch, RowBatch]:
    """Return the first rows of a batch, and the others."""
    place = int(batch.lengths[:rows].sum())
    return (
        RowBatch(batch.lengths[:rows], batch.columns[:place], batch.values[:place]),
        RowBatch(batch.lengths[rows:], batch.columns[place:], batch.values[place:]),
    )


def _joined(parts: list[RowBatch]) -> RowBatch:
    """Return a copy of the rows of all parts, which can be scaled in place."""
    lengths, columns, values = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return RowBatch(lengths, columns, values)


@contextmanager
def writing(folder: StoreFolder) -> Iterator[None]:
    """Lock a store against other writers; at the end, remove the files of tiles that its manifest does not name.

    Raises
    ------
    OSError
        If the folder holds something else, or another process is writing it.
    """
    check_no_others(folder)  # before a lock file is created in the folder
    with folder.writing():
        check_no_others(folder)
        try:
            yield
        finally:  # also after a Ctrl-C, which may come when the new manifest is in place
            _remove_unnamed(folder)


def check_no_others(folder: StoreFolder) -> None:
    """Raise FileExistsError if a folder holds files that are not those of a store."""
    foreign = [name for name in folder.names() if not OURS.fullmatch(name)]
    if foreign:
        raise FileExistsError(f"{folder.path!r} holds other files, such as {min(foreign)!r}: choose another folder")


def _remove_unnamed(folder: StoreFolder) -> None:
    """Remove the files of tiles that the manifest does not name: those of an old store or of a failed writer."""
    named: set[str] = set()
    try:
        named = {file_name(group, sha256) for group, sha256 in enumerate(folder.manifest()[0]["sha256"])}
    except NoManifestError:
        pass
    except (KeyError, ValueError):
        return  # the manifest is damaged: it is unknown which files are needed
    for name in folder.names():
        if OURS.fullmatch(name) and name not in named:
            folder.remove(name)


def write_groups(
    folder: StoreFolder,
    groups: Iterable[RowBatch],
    shape: tuple[int, int],
    attributes: Mapping[str, Any],
) -> None:
    """Write counts into a locked folder, atomically.

    Parameters
    ----------
    folder : StoreFolder
    groups : iterable of RowBatch
        The stored rows, group by group; they are scaled in place.
    shape : (int, int)
        (V_in, V_out).
    attributes : mapping
        As for `pack_attributes`.

    Raises
    ------
    OSError
        If the data cannot be written.
    """
    manifest = StoreManifest(shape, attributes)
    with closing(_encoded(groups, shard_bounds(shape[1]))) as encoded:
        for (lengths, columns, values, _), data, tiles in encoded:
            folder.write(manifest.next_file(tiles), [data])
            ends = np.cumsum(lengths)
            manifest.add(tiles, RowGroup(ends - lengths, ends, columns, values))
            del columns, values, data  # free their memory before the next group is taken
    manifest.write(folder)


def _encoded(
    groups: Iterable[RowBatch], bounds: npt.NDArray[np.intp]
) -> Generator[tuple[RowBatch, npt.NDArray[np.uint8], Tiles], None, None]:
    """Yield groups with their bytes and tiles, which another thread encodes while the next group is taken."""

    def encode(group: RowBatch) -> tuple[RowBatch, npt.NDArray[np.uint8], Tiles]:
        return group, *encode_group(group.lengths, group.columns, group.values, bounds)

    with closing(ordered_map(encode, groups, 1, ahead=1)) as encoded:
        yield from encoded


class StoreManifest:
    """The manifest of a store, built group by group.

    Parameters
    ----------
    shape : (int, int)
        (V_in, V_out).
    attributes : mapping
        As for `pack_attributes`.
    """

    def __init__(self, shape: tuple[int, int], attributes: Mapping[str, Any]) -> None:
        self._shape, self._attributes = shape, attributes
        self._scale = Scale.of(attributes["windows"], attributes["keep"], shape[1])
        self._totals, self._digest = Totals(np.empty(shape[0]), np.zeros(shape[1])), CountsDigest(shape)
        self._tiles: list[Tiles] = []

    def next_file(self, tiles: Tiles) -> str:
        """Return the name of the file of the next group."""
        return file_name(len(self._tiles), tiles.sha256)

    def add(self, tiles: Tiles, rows: RowGroup) -> None:
        """Add the next group of stored counts, in contiguous rows; they are scaled in place."""
        group, (inputs, outputs) = len(self._tiles), self._shape
        self._scale.apply_by_rows(rows.begins, rows.ends, rows.indices, rows.data, group_slice(group, inputs))
        self._totals.add(group, Totals.of_group(rows, outputs))
        self._digest.add(rows)
        self._tiles.append(tiles)

    def write(self, folder: StoreFolder) -> None:
        """Write the manifest."""
        tensors, settings = pack_attributes(self._shape, **self._attributes)
        tensors |= {name: np.stack([getattr(tiles, name) for tiles in self._tiles]) for name in Tiles._fields}
        tensors |= {"totals.rows": self._totals.rows, "totals.columns": self._totals.columns}
        settings["counts_sha256"] = self._digest.hexdigest()
        folder.write_manifest(tensors, header("counts-store", settings))
