"""Tasks of an executor: each reads a part of a corpus of files. They count tokens here, and pairs in `counts`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from contextlib import closing, nullcontext
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fastembed._base.threads import Pool, ordered_results
from fastembed._base.validation import shown
from fastembed._kernels.tokens import TokenTable
from fastembed.corpus.corpus import Corpus, FileCorpus, Progress, disk_size
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.tokens import count_tokens

TASK_BYTES = 1 << 26  # approximate number of bytes that a task of an executor reads
MOST_TASKS = 1 << 12  # largest number of tasks for a corpus: larger corpora have larger parts
AHEAD = 1 << 10  # tasks that an executor gets before the first one has ended

T = TypeVar("T")
R = TypeVar("R")


def count_tokens_by(executor: Executor, corpus: Corpus, ledger: Ledger, progress: Progress | None) -> list[TokenTable]:
    """Return tables of the tokens of a corpus, as `count_tokens` does. Tasks of an executor count its parts."""
    check_executor(executor)
    parts, table, total = corpus_parts(corpus), TokenTable(), Ledger()
    with closing(map_tasks(executor, _part_counts, parts)) as results:
        for tokens, counts, part_ledger in reported(parts, results, progress):
            for token, count in zip(tokens.split(), counts.tolist(), strict=True):
                table.insert(token, count)
            total += part_ledger
    vars(ledger).update(vars(total))
    return [table]


def _part_counts(part: FileCorpus) -> tuple[bytes, npt.NDArray[np.int64], Ledger]:
    """Return the tokens of a part, joined by spaces, their counts, and the ledger."""
    ledger = Ledger()
    tables = [table.frequent(1) for table in count_tokens(part.chunks(ledger), part.reading, ledger, Pool(1))]
    tokens = b" ".join(token for column, _ in tables for token in column)
    return tokens, np.array([count for _, column in tables for count in column], np.int64), ledger


def check_executor(executor: Any) -> None:
    """Raise TypeError unless it is an executor."""
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must be one of concurrent.futures, or client.get_executor(), got {shown(executor)}")


def corpus_parts(corpus: Corpus) -> list[FileCorpus]:
    """Return the parts of a corpus of files, one for each task. The parts depend on the size alone.

    Raises
    ------
    TypeError
        If the corpus is in memory.
    """
    if not isinstance(corpus, FileCorpus):
        raise TypeError("an executor counts files, but this corpus is in memory: pass paths")
    return corpus.parts(max(TASK_BYTES, disk_size(corpus) // MOST_TASKS))


def map_tasks(executor: Executor, function: Callable[[T], R], tasks: Iterable[T]) -> Generator[R, None, None]:
    """Yield ``function(task)`` for each task, in their order, computed by an executor.

    A random name makes each call new for executors that keep the results of equal calls.
    """
    call = partial(_call, function, secrets.token_hex(8))
    return ordered_results(lambda task: TaskCall(executor.submit(call, task)), tasks, AHEAD, nullcontext())


class TaskCall:
    """A call that an executor makes, with the methods `result` and `cancel` of a `Call`."""

    def __init__(self, future: Future[Any]) -> None:
        self._future, self.cancel = future, future.cancel
        self._ended: SimpleQueue[object] = SimpleQueue()  # a Ctrl-C in its `get` leaves no lock locked
        future.add_done_callback(self._ended.put)

    def result(self) -> Any:
        """Return the result of the call once it has ended, or raise its error."""
        self._ended.get()
        return self._future.result()


def _call(function: Callable[[T], R], name: str, task: T) -> R:
    return function(task)


def reported(parts: list[FileCorpus], results: Iterable[R], progress: Progress | None, times: int = 1) -> Iterable[R]:
    """Yield the results of parts, and report the bytes of the parts that have ended, multiplied by `times`."""
    sizes, done = list(map(disk_size, parts)), 0
    for size, result in zip(sizes, results, strict=True):
        done += size
        if progress:
            progress(times * done, times * sum(sizes))
        yield result
