"""Counts of a text, passage by passage; the sums of all passages are added up.

A passage is as much of the text, in ids, as a quarter of the limit of memory holds, at most 2^26 ids
(`WindowCounter.passages`).

Passages are counted one after the other, or by tasks of an executor. A task counts the passages of some files. It
depends on its arguments only, and writes its files under names that depend on its number. So a task that runs twice,
because a worker was lost, changes nothing. The files of passages are removed at the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Int32, row_ranges
from fastembed._base.memory import give_back_freed
from fastembed.corpus.corpus import Corpus, FileCorpus, Progress
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.tasks import check_executor, corpus_parts, map_tasks, reported
from fastembed.counts.folders import Folder
from fastembed.counts.groups import ENTRY_BYTES, RowBatch, check_exact, group_count, shard_bounds
from fastembed.counts.store import Group, GroupedCounts, Totals, WrittenGroup, write_rows, write_tiles
from fastembed.counts.tiles import Bytes, Rows, Scale, TiledRows, TileSizes, add_totals, digests, encode, joined_groups
from fastembed.counts.windows import WindowCounter
from fastembed.formats.tensors import check_header, dump_tensors, header, load_tensors, pack_tokens, unpack_tokens
from fastembed.vocabulary import Vocabulary, encode_corpus

PASSAGE_TILES = 16  # of a group of a passage: as many tiles are added at a time as fit into memory
MOST_SHARDS = 32  # in a tile of a passage, whose columns are numbered by 16 bits
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
    counter : WindowCounter
        With the limits of each step.
    """

    folder: Folder
    name: str
    counter: WindowCounter

    @property
    def vocabulary_file(self) -> str:
        """The name of the file of the vocabulary."""
        return f"job-{self.name}.safetensors"

    @property
    def bounds(self) -> npt.NDArray[np.intp]:
        """The bounds of the tiles of a passage, each of several shards."""
        shards = shard_bounds(self.counter.windows.columns(self.counter.words))
        return shards[:: min(max((len(shards) - 1) // PASSAGE_TILES, 1), MOST_SHARDS)]


PassageGroups: TypeAlias = list[Group]  # the sums of a passage: all groups of rows, in one file


class CountingProgress:
    """Reports progress to a function. Each byte or sequence counts twice: once when read and once when counted."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._read, self._counted = 0, 0
        self._total: int | None = None

    def read(self, done: int, total: int | None) -> None:
        """Report how much has been read."""
        self._read, self._total = done, total
        self._report(self._counted)

    def count(self, share: float) -> None:
        """Report how much of the current passage is counted; the share 1 ends the passage."""
        counted = self._counted + int(share * (self._read - self._counted))
        self._report(counted)
        if share == 1:
            self._counted = counted

    def _report(self, counted: int) -> None:
        self._progress(self._read + counted, None if self._total is None else 2 * self._total)


def count_passages(job: Job, scale: Scale, pieces: Iterable[Int32], report: CountingProgress | None) -> GroupedCounts:
    """Write the counts of a text in pieces of ids, one passage after the other; one passage alone is not added up."""
    passages = list[PassageGroups]()
    for passage in job.counter.passages(pieces):
        rows, is_last = job.counter.rows(passage, None if report is None else report.count), passage.is_last
        del passage  # the memory of passages is free while the sums are added up
        if is_last and not passages:
            return write_rows(job.folder, scale, rows)
        passages.append(write_passage(job, (len(passages), 0), rows))
    return add_up(job, scale, passages, map)


def count_by_tasks(
    job: Job,
    scale: Scale,
    executor: Executor,
    corpus: Corpus,
    vocabulary: Vocabulary,
    progress: Progress | None,
) -> tuple[GroupedCounts, Ledger]:
    """Write the counts of a corpus of files into a store by tasks; also return what was read."""
    check_executor(executor)
    files = corpus_parts(corpus)
    tensors = pack_tokens(vocabulary.tokens) | {"counts": vocabulary.counts}
    job.folder.write(job.vocabulary_file, [np.frombuffer(dump_tensors(tensors, header("job")), np.uint8)])
    ledger, passages = Ledger(), list[PassageGroups]()
    with closing(map_tasks(executor, partial(_count_files, job), list(enumerate(files)))) as results:
        for task_passages, task_ledger in reported(files, results, progress, times=2):
            ledger += task_ledger
            passages += task_passages
    return add_up(job, scale, passages, partial(map_tasks, executor)), ledger


def _count_files(job: Job, task: tuple[int, FileCorpus]) -> tuple[list[PassageGroups], Ledger]:
    """Count a part of a corpus. A task is the number of the part and the part."""
    number, files = task
    ledger, passages = Ledger(), list[PassageGroups]()
    with closing(encode_corpus(files, _vocabulary(job), ledger, None, job.counter.threads)) as pieces:
        for passage in job.counter.passages(pieces):
            passages.append(write_passage(job, (number, len(passages)), job.counter.rows(passage)))
    return passages, ledger


def write_passage(job: Job, number: tuple[int, int], rows: Generator[RowBatch, None, None]) -> PassageGroups:
    """Write the sums of a passage to a file, group by group; `number` is of the task, and of the passage in it."""
    name = f"passage-{number[0]:05d}-{number[1]}-{job.name}.tiles"
    groups = PassageGroups()
    with closing(rows):
        job.folder.write(name, _encoded_groups(job, name, rows, groups))
    return groups


def _encoded_groups(job: Job, name: str, rows: Iterable[RowBatch], groups: PassageGroups) -> Iterator[Bytes]:
    """Yield the bytes of each group of rows for the file of a passage; append its `Group` to `groups`."""
    begin, bounds = 0, job.bounds
    for group_rows in joined_groups(rows, job.counter.words):
        sizes, data = encode(group_rows, bounds)
        groups.append(Group(name, begin, sizes, None if job.folder.temporary else digests(data, sizes)))
        begin += len(data)
        yield data


def add_up(
    job: Job, scale: Scale, passages: list[PassageGroups], run: Callable[..., Iterator[WrittenGroup]]
) -> GroupedCounts:
    """Write the sum of all passages, group by group, and remove their files; `run` is `map`, or maps by tasks."""
    counts = GroupedCounts.empty(job.folder, scale)
    numbers = range(group_count(job.counter.words))
    tasks = [(number, [groups[number] for groups in passages], scale.part(number)) for number in numbers]
    for written in run(partial(_add_group, job), tasks):
        counts.add(written)
        give_back_freed()
    for file in {group.file for groups in passages for group in groups}:
        job.folder.remove(file)
    return counts


def _add_group(job: Job, task: tuple[int, list[Group], Scale]) -> WrittenGroup:
    """Add up a group of rows, as many columns at a time as fit into memory, and write its file.

    A task is the number of the group, the group of each passage, and the factors of the group.
    """
    number, addends, scale = task
    wide, shards = job.bounds, shard_bounds(scale.shape[1])
    entries = sum((group.sizes.entries for group in addends), np.zeros(len(wide) - 1, np.int64))
    encoded, totals = list[tuple[TileSizes, Bytes]](), Totals(*map(np.zeros, scale.shape))
    for first, last in row_ranges(entries, job.counter.memory_limit // (3 * ENTRY_BYTES)):
        terms = (_read(job, group, scale.shape, first, last) for group in addends)
        total = _sum([sparse.csr_array(scale.shape), *terms])
        check_exact(total.data)
        rows = Rows.of(total)
        add_totals(rows, scale, *totals)
        encoded.append(encode(rows, shards[(wide[first] <= shards) & (shards <= wide[last])]))
    sizes, data = zip(*encoded, strict=True)
    joined = TileSizes(*map(np.concatenate, zip(*sizes, strict=True)))
    return WrittenGroup(write_tiles(job.folder, number, joined, np.concatenate(data)), totals)


def _sum(terms: list[Any]) -> Any:
    """Return the sum of sparse arrays of similar size."""
    while len(terms) > 1:
        pairs = itertools.zip_longest(terms[::2], terms[1::2])
        terms = [a if b is None else a + b for a, b in pairs]
    return terms[0]


def _read(job: Job, group: Group, shape: tuple[int, int], first: int, last: int) -> sparse.csr_array:
    """Return the counts in some of the tiles of a group of a passage as a CSR array of all columns."""
    data = group.read(job.folder, job.bounds, shape[0], slice(first, last))
    return TiledRows(data, group.sizes.part(slice(first, last)), job.bounds[first : last + 1], Scale.none(*shape)).csr()


@lru_cache(maxsize=1)  # a worker has many tasks of one job, and the table of the tokens takes seconds to fill
def _vocabulary(job: Job) -> Vocabulary:
    name = job.vocabulary_file
    tensors, metadata = load_tensors(job.folder.read(name).tobytes(), name)
    check_header(metadata, "job", name)
    return Vocabulary(unpack_tokens(tensors), tensors["counts"])
