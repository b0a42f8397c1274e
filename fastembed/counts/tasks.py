"""Counts of more text than memory holds: a part has the sums of a chunk of the text; the parts are added up.

A chunk is as much of the text, in ids, as a quarter of the limit of memory holds, at most 2^26 ids
(`WindowCounter.chunks`).

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

from fastembed._base.arrays import row_ranges
from fastembed._base.memory import give_back_freed
from fastembed.corpus.corpus import Corpus, FileCorpus, Progress
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.tokens import check_executor, corpus_parts, map_tasks, reported
from fastembed.counts.folders import Folder
from fastembed.counts.groups import ENTRY_BYTES, RowBatch, check_exact, group_count, shard_bounds
from fastembed.counts.store import Group, GroupedCounts, Totals, WrittenGroup, write_tiles
from fastembed.counts.tiles import Bytes, Rows, TiledRows, Tiles, add_totals, digests, encode, joined_groups
from fastembed.counts.windows import Scale, WindowCounter
from fastembed.formats.tensors import check_header, dump_tensors, header, load_tensors, pack_tokens, unpack_tokens
from fastembed.vocabulary import Vocabulary, encode_corpus

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
        """The bounds of the tiles of a part, each of several shards."""
        shards = shard_bounds(self.counter.windows.columns(self.counter.words))
        return shards[:: min(max((len(shards) - 1) // PART_TILES, 1), MOST_SHARDS)]


Part = list[Group]  # the sums of a chunk of the text: all groups, in one file


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
    ledger, parts = Ledger(), list[Part]()
    with closing(map_tasks(executor, partial(_count_files, job), list(enumerate(files)))) as results:
        for task_parts, task_ledger in reported(files, results, progress, times=2):
            ledger += task_ledger
            parts += task_parts
    return merge_parts(job, scale, parts, partial(map_tasks, executor)), ledger


def _count_files(job: Job, task: tuple[int, FileCorpus]) -> tuple[list[Part], Ledger]:
    """Count some files of a corpus, whose number is the first of a task."""
    number, files = task
    ledger, parts = Ledger(), list[Part]()
    with closing(encode_corpus(files, _vocabulary(job), ledger, None, job.counter.threads)) as pieces:
        for chunk in job.counter.chunks(pieces):
            parts.append(write_part(job, (number, len(parts)), job.counter.rows(chunk)))
    return parts, ledger


def write_part(job: Job, number: tuple[int, int], rows: Generator[RowBatch, None, None]) -> Part:
    """Write the sums of a chunk to a file, group by group; `number` is of the task, and of the chunk in it."""
    name = f"part-{number[0]:05d}-{number[1]}-{job.name}.tiles"
    part = Part()
    with closing(rows):
        job.folder.write(name, _encoded_groups(job, name, rows, part))
    return part


def _encoded_groups(job: Job, name: str, rows: Iterable[RowBatch], part: Part) -> Iterator[Bytes]:
    """Yield the bytes of each group of rows for the file of a part, after the group is added to the part."""
    begin, bounds = 0, job.bounds
    for stored in joined_groups(rows, job.counter.words):
        tiles, data = encode(stored, bounds)
        part.append(Group(name, begin, tiles, None if job.folder.temporary else digests(data, tiles)))
        begin += len(data)
        yield data


def merge_parts(job: Job, scale: Scale, parts: list[Part], run: Callable[..., Iterator[WrittenGroup]]) -> GroupedCounts:
    """Write the sum of all parts, group by group, and remove the parts; `run` is `map`, or does the same by tasks."""
    counts = GroupedCounts.empty(job.folder, scale)
    groups = range(group_count(job.counter.words))
    tasks = [(group, [part[group] for part in parts], scale.part(group)) for group in groups]
    for written in run(partial(_merge_group, job), tasks):
        counts.add(written)
        give_back_freed()
    for file in {group.file for part in parts for group in part}:
        job.folder.remove(file)
    return counts


def _merge_group(job: Job, task: tuple[int, list[Group], Scale]) -> WrittenGroup:
    """Add a group of rows over all parts, as many columns at a time as fit into memory, and write its file."""
    number, groups, scale = task
    wide, shards = job.bounds, shard_bounds(scale.shape[1])
    entries = sum((group.tiles.entries for group in groups), np.zeros(len(wide) - 1, np.int64))
    encoded, totals = list[tuple[Tiles, Bytes]](), Totals(*map(np.zeros, scale.shape))
    for first, last in row_ranges(entries, job.counter.memory_limit // (3 * ENTRY_BYTES)):
        terms = (_read(job, group, scale.shape, first, last) for group in groups)
        total = _sum([sparse.csr_array(scale.shape), *terms])
        check_exact(total.data)
        rows = Rows.of(total)
        add_totals(rows, scale, *totals)
        encoded.append(encode(rows, shards[(wide[first] <= shards) & (shards <= wide[last])]))
    tiles, data = zip(*encoded, strict=True)
    joined = Tiles(*map(np.concatenate, zip(*tiles, strict=True)))
    return WrittenGroup(write_tiles(job.folder, number, joined, np.concatenate(data)), *totals)


def _sum(terms: list[Any]) -> Any:
    """Return the sum of sparse arrays of similar size."""
    while len(terms) > 1:
        pairs = itertools.zip_longest(terms[::2], terms[1::2])
        terms = [a if b is None else a + b for a, b in pairs]
    return terms[0]


def _read(job: Job, group: Group, shape: tuple[int, int], first: int, last: int) -> sparse.csr_array:
    """Return the counts in some of the tiles of a group of a part as a CSR array of all columns."""
    data = group.read(job.folder, job.bounds, shape[0], slice(first, last))
    return TiledRows(data, group.tiles.part(slice(first, last)), job.bounds[first : last + 1], Scale.none(*shape)).csr()


@lru_cache(maxsize=1)  # a worker has many tasks of one job, and the table of the tokens takes seconds to fill
def _vocabulary(job: Job) -> Vocabulary:
    name = job.vocabulary_file
    tensors, metadata = load_tensors(job.folder.read(name).tobytes(), name)
    check_header(metadata, "job", name)
    return Vocabulary(unpack_tokens(tensors), tensors["counts"])
