"""Counting into a store, part by part: first the sums of parts of the text, then their sums by group of rows.

The parts are counted one after the other, or by the tasks of an executor. A task depends on its arguments only, and
writes its files under names that depend on its number. So a task that runs twice, because a worker was lost, changes
nothing. The files of parts are removed at the end.
"""

from __future__ import annotations

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
from fastembed.counts.groups import (
    ENTRY_BYTES,
    RowBatch,
    RowGroup,
    check_exact,
    group_count,
    group_size,
    shard_bounds,
    sum_of,
)
from fastembed.counts.store import EncodedGroup, StoreFolder, StoreWriter, Tiles, decode_group, file_name, joined_groups
from fastembed.counts.windows import CountedChunk, Windows, counted_chunks
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
    folder : StoreFolder
        A folder that all workers can read and write.
    name : str
        16 hexadecimal digits, new for each run.
    words : int
        V.
    windows : Windows
    threads, memory_limit : int
        The limits of each step.
    """

    folder: StoreFolder
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


@dataclass(frozen=True)
class Piece:
    """A group of rows of the sums of a part of the text, in the store."""

    file: str
    begin: int
    tiles: Tiles


Part = list[Piece]  # all groups of a part


def count_in_turn(job: Job, chunks: Iterable[CountedChunk], writer: StoreWriter) -> None:
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
    writer: StoreWriter,
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
    with closing(counted_chunks(part, _vocabulary(job), job.windows, ledger, *limits, by_groups=True)) as chunks:
        parts = enumerate(chunks)
        return [_write_part(job, f"part-{number:05d}-{k}-{job.name}.tiles", chunk.rows) for k, chunk in parts], ledger


def _write_part(job: Job, name: str, rows: Iterable[RowBatch]) -> Part:
    """Write the sums of a part of the text to a file, group by group."""
    part, end = Part(), 0

    def groups() -> Generator[npt.NDArray[np.uint8], None, None]:
        nonlocal end
        for group, pieces in enumerate(joined_groups(rows, job.words)):
            encoded = EncodedGroup(pieces, job.part_bounds)
            part.append(Piece(name, end, encoded.tiles))
            end += int(encoded.tiles.offsets(group_size(group, job.words))[-1])
            yield from encoded.data()
            del encoded, pieces  # free their memory before the next group is taken

    job.folder.write(name, groups())
    return part


def _merge(job: Job, parts: list[Part], writer: StoreWriter, run: Callable[..., Iterator[Tiles]]) -> None:
    """Write the sum of all parts, group by group; `run` is `map`, or does the same by tasks."""
    groups = [(group, [part[group] for part in parts]) for group in range(group_count(job.words))]
    for tiles in run(partial(_merge_group, job), groups):
        give_back_freed()
        writer.add_written(tiles)


def _merge_group(job: Job, task: tuple[int, list[Piece]]) -> Tiles:
    """Add a group of rows over all parts, as many columns at a time as fit into memory, and write its file."""
    group, pieces = task
    entries = np.sum([np.zeros(len(job.part_bounds) - 1, np.int64), *(piece.tiles.entries for piece in pieces)], axis=0)
    merged, data = list[Tiles](), list[npt.NDArray[np.uint8]]()
    for first, last in row_ranges(entries, job.memory_limit // (3 * ENTRY_BYTES)):
        empty = sparse.csr_array((group_size(group, job.words), job.columns))
        total = sum_of([empty, *(_read(job, group, piece, first, last) for piece in pieces)])
        check_exact(total.data)
        ends = total.indptr.astype(np.int64)
        rows = RowGroup(ends[:-1], ends[1:], total.indices.astype(np.int32, copy=False), total.data)
        bounds = shard_bounds(job.columns)[first * job.shards : last * job.shards + 1]
        encoded = EncodedGroup([rows], bounds)
        merged.append(encoded.tiles)
        data += encoded.data()
    tiles = Tiles.joined(merged)
    job.folder.write(file_name(group, tiles.sha256), data)
    return tiles


def _read(job: Job, group: int, piece: Piece, first: int, last: int) -> Any:
    """Return the counts in some of the tiles of a piece as a CSR array of all columns."""
    rows = group_size(group, job.words)
    begin, end = (piece.begin + int(piece.tiles.offsets(rows)[tile]) for tile in (first, last))
    data, tiles = job.folder.read(piece.file, begin, end), piece.tiles.part(slice(first, last))
    try:
        found = decode_group(data, tiles, rows, job.part_bounds[first : last + 1])
    except ValueError as error:
        raise ValueError(f"{piece.file!r} in {job.folder.path!r} is damaged: {error}") from None
    return sorted_csr(found.data, found.indices, np.append(0, found.ends), (rows, job.columns))


@lru_cache(maxsize=1)  # a worker has many tasks of one job, and the table of the tokens takes seconds to fill
def _vocabulary(job: Job) -> Vocabulary:
    name = job.vocabulary_file
    tensors, metadata = load_tensors(job.folder.read(name).tobytes(), name)
    check_header(metadata, "job", name)
    return Vocabulary(unpack_tokens(tensors), tensors["counts"])
