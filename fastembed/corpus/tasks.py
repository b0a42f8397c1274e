"""Tasks on the parts of a corpus, which an executor of any kind does: threads, processes, or those of a cluster.

A task depends on nothing but its arguments, and may be done twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

from fastembed._base.printable import shown
from fastembed._base.threads import ordered_results
from fastembed.corpus.readers import Corpus, FileCorpus, Progress

T = TypeVar("T")
R = TypeVar("R")

TASK_BYTES = 1 << 26  # about the size of a part of a corpus
MOST_TASKS = 1 << 12  # parts are larger if there would be more tasks
AHEAD = 1 << 10  # tasks that are given to an executor before the first has ended


def check_executor(executor: Any) -> None:
    """Raise TypeError unless it is an executor."""
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(
            f"executor must be one of concurrent.futures, or distributed's client.get_executor(), got {shown(executor)}"
        )


def corpus_parts(corpus: Corpus) -> list[FileCorpus]:
    """Return the parts of a corpus of files, by its size alone: one for each task.

    Raises
    ------
    TypeError
        If the corpus is in memory.
    """
    if not isinstance(corpus, FileCorpus):
        raise TypeError("an executor counts files, which all of its workers can read; this corpus is in memory")
    size = sum(file.size() for file in corpus._files)
    return corpus.parts(max(TASK_BYTES, size // MOST_TASKS))


def map_tasks(executor: Executor, function: Callable[[T], R], tasks: Iterable[T]) -> Generator[R, None, None]:
    """Yield ``function(task)`` for each task, in their order, computed by an executor.

    Calls have a name of their own: an executor that keeps results by function and arguments does not give old ones.
    """
    return ordered_results(executor, partial(_call, function, secrets.token_hex(8)), tasks, AHEAD)


def _call(function: Callable[[T], R], name: str, task: T) -> R:
    return function(task)


def reported(parts: list[FileCorpus], results: Iterable[R], progress: Progress | None, times: int = 1) -> Iterable[R]:
    """Yield the results of parts, and report the bytes of each that has ended, `times` over."""
    sizes = [sum(file.size() for file in part._files) for part in parts]
    done = 0
    for size, result in zip(sizes, results, strict=True):
        done += size
        if progress:
            progress(times * done, times * sum(sizes))
        yield result
