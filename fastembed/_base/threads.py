"""How many threads, and the pool they come from."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from fastembed._base.validation import check_integer

T = TypeVar("T")
R = TypeVar("R")


def check_threads(threads: int | None) -> int:
    """Return the number of threads to use: as given, or the number of CPUs this process may run on.

    Raises
    ------
    TypeError
        If `threads` is neither None nor an integer.
    ValueError
        If `threads` is below 1.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return check_integer("threads", threads, low=1)


class Pool:
    """Plain Python threads that share out numbered tasks; the calling thread is one of them.

    Which thread runs a task, and when, is left open: a task writes only to memory of its own. The other threads are
    started at the first use, and again in a child process after a fork.

    Parameters
    ----------
    threads : int
        How many threads work at once, the caller's included.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._started: tuple[int, ThreadPoolExecutor] | None = None  # in which process, and the other threads

    def run(self, task: Callable[[int], object], count: int) -> None:
        """Call ``task(0)`` to ``task(count - 1)``, each once; raise the first exception after all threads stopped."""
        waiting = deque(range(count))

        def work() -> None:
            while True:
                try:
                    number = waiting.popleft()
                except IndexError:
                    return
                try:
                    task(number)
                except BaseException:
                    waiting.clear()
                    raise

        helpers = min(self.threads, count) - 1
        futures = [self._workers().submit(work) for _ in range(helpers)]
        try:
            work()
        finally:
            waiting.clear()
            errors = [future.exception() for future in futures]
        for error in errors:
            if error is not None:
                raise error

    def _workers(self) -> ThreadPoolExecutor:
        started = self._started
        if started is None or started[0] != os.getpid():
            started = os.getpid(), ThreadPoolExecutor(self.threads - 1, thread_name_prefix="fastembed")
            self._started = started
        return started[1]


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], threads: int, give_up: Callable[[], object] = lambda: None
) -> Generator[R, None, None]:
    """Yield ``function(item)`` for each item, in their order, computed on `threads` threads.

    The items are drawn by the calling thread, no more than two a thread ahead of the results that it took. When it
    stops early, by an exception or a Ctrl-C, it calls `give_up` to hasten the calls in progress, waits for them, and
    drops the others.
    """
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="fastembed") as executor:
        try:
            for item in items:
                pending.append(executor.submit(function, item))
                if len(pending) > 2 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BaseException:
            give_up()
            raise
        finally:
            for future in pending:
                future.cancel()
