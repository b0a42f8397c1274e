"""Counting by the tasks of an executor: first partial sums of parts of the text, then their sums by group of rows.

A task depends on its arguments only, and writes its file atomically, under a name that depends on its number. So a task
that runs twice, because a worker was lost, changes nothing. The files of parts are removed at the end.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterable
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import sorted_csr
from fastembed.corpus.corpus import Corpus, FileCorpus, Progress
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.tokens import check_executor, corpus_parts, map_tasks, reported
from fastembed.counts.groups import RowGroup, group_count, group_size, shard_bounds
from fastembed.counts.store import (
    EncodedGroup,
    StoreFolder,
    StoreWriter,
    Tiles,
    damaged_tile,
    decode_group,
    file_name,
    joined_groups,
)
from fastembed.counts.sums import ENTRY_BYTES, check_exact, sum_of
from fastembed.counts.windows import (
    Windows,
    check_frequency_order,
    check_known,
    count_corpus,
    keep_probabilities,
    no_pair,
)
from fastembed.formats.tensors import check_header, dump_tensors, header, load_tensors, pack_tokens, unpack_tokens
from fastembed.vocabulary import Vocabulary

PART_COLUMNS = 1 << 16  # columns of a tile of the sums of a task of an executor: 16 bits can number them

TASK_MEMORY = 500_000_000  # default bytes per task for text and counts


@dataclass(frozen=True)
class Job:
    """The arguments that all tasks of one run share.

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
        The limits of each task.
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
    def shape(self) -> tuple[int, int]:
        """(V, columns)."""
        return self.words, self.windows.columns(self.words)

    @property
    def part_bounds(self) -> npt.NDArray[np.intp]:
        """The bounds of the tiles of a part."""
        columns = self.shape[1]
        return np.append(np.arange(0, columns, PART_COLUMNS), columns).astype(np.intp)


@dataclass(frozen=True)
class Piece:
    """A group of rows of the sums of a part of the text, in the store."""

    file: str
    begin: int
    tiles: Tiles


def count_by_tasks(
    executor: Executor,
    corpus: Corpus,
    vocabulary: Vocabulary,
    windows: Windows,
    folder: StoreFolder,
    *,
    threads: int,
    memory_limit: int,
    progress: Progress | None,
) -> None:
    """Count the windows of a corpus of files into a locked folder.

    Parameters
    ----------
    corpus, vocabulary, windows, progress
        As for `Counts.from_corpus`.
    threads, memory_limit : int
        Of each task.
    """
    check_executor(executor)
    known = vocabulary.counts
    check_frequency_order(windows, known[: len(known) - vocabulary.appended])
    parts = corpus_parts(corpus)
    job = Job(folder, secrets.token_hex(8), len(vocabulary), windows, threads, memory_limit)
    tensors = pack_tokens(vocabulary.tokens) | {"counts": known}
    folder.write(job.vocabulary_file, [np.frombuffer(dump_tensors(tensors, header("job")), np.uint8)])
    ledger = Ledger()
    pieces: list[list[Piece]] = [[] for _ in range(group_count(len(vocabulary)))]
    with closing(map_tasks(executor, partial(_count_part, job), list(enumerate(parts)))) as results:
        for found, of_part in reported(parts, results, progress, times=2):
            ledger += of_part
            for group, piece in enumerate(found):
                pieces[group].append(piece)
    check_known(ledger)
    keep = keep_probabilities(windows.sample, known)
    attributes = {"windows": windows, "keep": keep, "ledger": ledger, "vocabulary": vocabulary}
    writer, bounds = StoreWriter(folder, job.shape, attributes), shard_bounds(job.shape[1])
    with closing(map_tasks(executor, partial(_merge_group, job), list(enumerate(pieces)))) as merged:
        for group, tiles in enumerate(merged):
            writer.add(tiles, [_read(job, group, Piece(writer.next_file(tiles), 0, tiles), bounds)])
    if not writer.nnz:
        raise no_pair(ledger, windows, vocabulary)
    writer.finish()


def _count_part(job: Job, task: tuple[int, FileCorpus]) -> tuple[list[Piece], Ledger]:
    """Count a part of the text, and write its sums to a file, group by group."""
    number, part = task
    ledger = Ledger()
    sums, _ = count_corpus(part, _vocabulary(job), job.windows, ledger, job.threads, job.memory_limit, by_groups=True)
    name, end = f"part-{number:05d}-{job.name}.tiles", 0
    found: list[Piece] = []

    def groups() -> Generator[npt.NDArray[np.uint8], None, None]:
        nonlocal end
        with closing(sums.rows()) as rows:
            for number, pieces in enumerate(joined_groups(rows, job.words)):
                encoded = EncodedGroup(pieces, job.part_bounds)
                found.append(Piece(name, end, encoded.tiles))
                end += int(encoded.tiles.offsets(group_size(number, job.words))[-1])
                yield from encoded.data()
                del encoded, pieces  # free their memory before the next group is taken

    job.folder.write(name, groups())
    return found, ledger


def _merge_group(job: Job, task: tuple[int, list[Piece]]) -> Tiles:
    """Add a group of rows over all parts, and write its file."""
    group, pieces = task
    total = sparse.csr_array((group_size(group, job.words), job.shape[1]))
    for some in _fitting(pieces, job.memory_limit // 2):
        terms = [_matrix(_read(job, group, piece, job.part_bounds), job.shape[1]) for piece in some]
        total = total + sum_of(terms)
    check_exact(total.data)
    ends = total.indptr.astype(np.int64)
    rows = RowGroup(ends[:-1], ends[1:], total.indices.astype(np.int32, copy=False), total.data)
    encoded = EncodedGroup([rows], shard_bounds(job.shape[1]))
    job.folder.write(file_name(group, encoded.tiles.sha256), encoded.data())
    return encoded.tiles


def _fitting(pieces: Iterable[Piece], memory: int) -> Generator[list[Piece], None, None]:
    """Yield lists of pieces; each list has as many as fit into memory, but at least one."""
    some, held = list[Piece](), 0
    for piece in pieces:
        size = ENTRY_BYTES * int(piece.tiles.entries.sum())
        if some and held + size > memory:
            yield some
            some, held = [], 0
        some.append(piece)
        held += size
    if some:
        yield some


def _read(job: Job, group: int, piece: Piece, bounds: npt.NDArray[np.intp]) -> RowGroup:
    """Return the stored counts of a piece; raise ValueError if they are damaged."""
    rows = group_size(group, job.words)
    size = int(piece.tiles.offsets(rows)[-1])
    data = job.folder.read(piece.file, piece.begin, piece.begin + size)
    if damaged_tile(data, piece.tiles, rows) is not None:
        raise ValueError(f"{piece.file!r} in {job.folder.path!r} is damaged: it is not what was written")
    return decode_group(data, piece.tiles, rows, bounds)


def _matrix(rows: RowGroup, columns: int) -> sparse.csr_array:
    return sorted_csr(rows.data, rows.indices, np.concatenate([[0], rows.ends]), (len(rows.ends), columns))


@lru_cache(maxsize=1)  # a worker has many tasks of one job, and the table of the tokens takes seconds to fill
def _vocabulary(job: Job) -> Vocabulary:
    name = job.vocabulary_file
    tensors, metadata = load_tensors(job.folder.read(name).tobytes(), name)
    check_header(metadata, "job", name)
    return Vocabulary(unpack_tokens(tensors), tensors["counts"])
