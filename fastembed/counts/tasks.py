"""Counting into a store, part by part: first the sums of parts of the text, then their sums by group of rows.

The parts are counted one after the other, or by the tasks of an executor. A task depends on its arguments only, and
writes its files under names that depend on its number. So a task that runs twice, because a worker was lost, changes
nothing. The files of parts are removed at the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import row_ranges, sorted_csr
from fastembed._base.memory import give_back_freed
from fastembed.corpus.corpus import Corpus, FileCorpus, Progress
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.tokens import check_executor, corpus_parts, map_tasks, reported
from fastembed.counts.folders import Folder, Memory
from fastembed.counts.groups import (
    ENTRY_BYTES,
    RowBatch,
    check_exact,
    group_count,
    group_size,
    group_slice,
    shard_bounds,
)
from fastembed.counts.store import GroupWriter, WrittenGroup, write_group
from fastembed.counts.tiles import (
    Bytes,
    EncodedGroup,
    Rows,
    TiledRows,
    Tiles,
    add_totals,
    check_tiles,
    digests,
    encode,
    joined_groups,
)
from fastembed.counts.windows import CountedChunk, Scale, Windows, counted_chunks
from fastembed.formats.tensors import check_header, dump_tensors, header, load_tensors, pack_tokens, unpack_tokens
from fastembed.vocabulary import Vocabulary

PART_TILES = 16  # of a group of a part: as many of them are added at a time as fit into memory
MOST_SHARDS = 32  # in a tile of a part, whose columns are numbered by 16 bits
TASK_MEMORY = 500_000_000  # default bytes per task for text and counts


@dataclass(frozen=True)
class Job:
    """What all steps of one run share.

    Attributes
    ----------
    folder : Folder
        Memory, or a folder that all workers can read and write.
    name : str
        16 hexadecimal digits, new for each run.
    words : int
        V.
    windows : Windows
    threads, memory_limit : int
        The limits of each step.
    """

    folder: Folder
    name: str
    words: int
    windows: Windows
    threads: int
    memory_limit: int

    @property
    def vocabulary_file(self) -> str:
        """The name of the file of the vocabulary."""
        return f"job-{self.name}.safetensors"

    @property
    def columns(self) -> int:
        """The number of columns of the counts."""
        return self.windows.columns(self.words)

    @property
    def shards(self) -> int:
        """The number of shards in a tile of a part."""
        return min(max((len(shard_bounds(self.columns)) - 1) // PART_TILES, 1), MOST_SHARDS)

    @property
    def part_bounds(self) -> npt.NDArray[np.intp]:
        """The bounds of the tiles of a part."""
        return shard_bounds(self.columns)[:: self.shards]

    def bounds(self, first: int, last: int) -> npt.NDArray[np.intp]:
        """Return the bounds of the shards in the tiles `first` to last - 1 of a part."""
        return shard_bounds(self.columns)[first * self.shards : last * self.shards + 1]


@dataclass(frozen=True)
class Piece:
    """A group of rows of the sums of a part of the text, in a file from the byte `begin` on.

    `sha256` (tiles, 32) is None in memory.
    """

    file: str
    begin: int
    tiles: Tiles
    sha256: Bytes | None


Part = list[Piece]  # all groups of a part


def count_in_turn(job: Job, chunks: Iterable[CountedChunk], writer: GroupWriter) -> None:
    """Write the sum of the parts of a text into a locked store; a single part is written as it is counted."""
    parts = list[Part]()
    for number, chunk in enumerate(chunks):
        if chunk.last and not number:
            writer.write(chunk.rows)
            return
        parts.append(_write_part(job, f"part-{number:05d}-0-{job.name}.tiles", chunk.rows))
    _merge(job, parts, writer, map)


def count_by_tasks(
    job: Job,
    executor: Executor,
    corpus: Corpus,
    vocabulary: Vocabulary,
    writer: GroupWriter,
    progress: Progress | None,
) -> Ledger:
    """Write the sum of the parts of a corpus of files into a locked store by tasks; return what was read."""
    check_executor(executor)
    files = corpus_parts(corpus)
    tensors = pack_tokens(vocabulary.tokens) | {"counts": vocabulary.counts}
    job.folder.write(job.vocabulary_file, [np.frombuffer(dump_tensors(tensors, header("job")), np.uint8)])
    ledger, parts = Ledger(), list[Part]()
    with closing(map_tasks(executor, partial(_count_part, job), list(enumerate(files)))) as results:
        for found, of_part in reported(files, results, progress, times=2):
            ledger += of_part
            parts += found
    _merge(job, parts, writer, partial(map_tasks, executor))
    return ledger


def _count_part(job: Job, task: tuple[int, FileCorpus]) -> tuple[list[Part], Ledger]:
    number, part = task
    ledger = Ledger()
    limits = job.threads, job.memory_limit
    with closing(counted_chunks(part, _vocabulary(job), job.windows, ledger, *limits)) as chunks:
        parts = enumerate(chunks)
        return [_write_part(job, f"part-{number:05d}-{k}-{job.name}.tiles", chunk.rows) for k, chunk in parts], ledger


def _write_part(job: Job, name: str, rows: Iterable[RowBatch]) -> Part:
    """Write the sums of a part of the text to a file, group by group."""
    part, end, checked = Part(), 0, not isinstance(job.folder, Memory)

    def groups() -> Generator[Bytes, None, None]:
        nonlocal end
        for pieces in joined_groups(rows, job.words):
            tiles, data = encode(pieces, job.part_bounds)
            del pieces  # free their memory before the next group is taken
            part.append(Piece(name, end, tiles, digests(data, tiles) if checked else None))
            end += len(data)
            yield data

    job.folder.write(name, groups())
    return part


def _merge(job: Job, parts: list[Part], writer: GroupWriter, run: Callable[..., Iterator[WrittenGroup]]) -> None:
    """Write the sum of all parts, group by group, and remove the parts; `run` is `map`, or does the same by tasks."""
    groups = [
        (group, [part[group] for part in parts], writer.scale.part(group_slice(group, job.words)))
        for group in range(group_count(job.words))
    ]
    for written in run(partial(_merge_group, job), groups):
        give_back_freed()
        writer.add(written)
    for file in {piece.file for part in parts for piece in part}:
        job.folder.remove(file)


def _merge_group(job: Job, task: tuple[int, list[Piece], Scale]) -> WrittenGroup:
    """Add a group of rows over all parts, as many columns at a time as fit into memory, and write its file."""
    group, pieces, scale = task
    entries = np.sum([np.zeros(len(job.part_bounds) - 1, np.int64), *(piece.tiles.entries for piece in pieces)], axis=0)
    tiles, data, rows, columns = list[Tiles](), list[Bytes](), np.zeros(len(scale.rows)), np.zeros(job.columns)
    for first, last in row_ranges(entries, job.memory_limit // (3 * ENTRY_BYTES)):
        empty = sparse.csr_array((len(rows), job.columns))
        total = _sum([empty, *(_read(job, group, piece, first, last) for piece in pieces)])
        check_exact(total.data)
        ends = total.indptr.astype(np.int64)
        part = Rows(ends[:-1], ends[1:], total.indices.astype(np.int32, copy=False), total.data)
        add_totals(part, scale, rows, columns)
        encoded = encode([part], job.bounds(first, last))
        tiles.append(encoded[0])
        data.append(encoded[1])
    joined = Tiles(*map(np.concatenate, zip(*tiles, strict=True)))
    return write_group(job.folder, group, EncodedGroup(joined, np.concatenate(data), rows, columns))


def _sum(terms: list[Any]) -> Any:
    """Return the sum of sparse arrays of similar size."""
    while len(terms) > 1:
        pairs = itertools.zip_longest(terms[::2], terms[1::2])
        terms = [a if b is None else a + b for a, b in pairs]
    return terms[0]


def _read(job: Job, group: int, piece: Piece, first: int, last: int) -> Any:
    """Return the counts in some of the tiles of a piece as a CSR array of all columns."""
    rows, place, offsets = group_size(group, job.words), slice(first, last), piece.tiles.offsets()
    data = job.folder.read(piece.file, *(piece.begin + int(offsets[tile]) for tile in (first, last)))
    tiles, bounds = piece.tiles.part(place), job.part_bounds[first : last + 1]
    if piece.sha256 is not None:
        try:
            check_tiles(data, tiles, piece.sha256[place], bounds, rows)
        except ValueError as error:
            raise ValueError(f"{piece.file!r} in {job.folder.path!r} is damaged: {error}") from None
    found = TiledRows(data, tiles, bounds, Scale.none(rows, job.columns)).decoded()
    return sorted_csr(found.data, found.indices, np.append(0, found.ends), (rows, job.columns))


@lru_cache(maxsize=1)  # a worker has many tasks of one job, and the table of the tokens takes seconds to fill
def _vocabulary(job: Job) -> Vocabulary:
    name = job.vocabulary_file
    tensors, metadata = load_tensors(job.folder.read(name).tobytes(), name)
    check_header(metadata, "job", name)
    return Vocabulary(unpack_tokens(tensors), tensors["counts"])
