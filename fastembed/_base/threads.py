"""How many threads, and the pool that runs tasks on them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import closing, contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Self, TypeVar

from fastembed._base.calls import Call, end_all, end_at_exit, start
from fastembed._base.validation import check_integer
from fastembed._kernels.cpu import DefaultFloatMode

T = TypeVar("T")
R = TypeVar("R")

MOST_THREADS = 1024  # threads that work for one call of a pool
MOST_READERS = 64  # threads of one reading of a text, unless there are more CPUs: each holds two blocks of it


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
    """Plain Python threads that share numbered tasks among them; the calling thread is one of them.

    Which thread runs a task, and when, is left open, so a task writes only to memory of its own. Tasks run in the
    default mode of floating-point numbers, whatever the mode of the thread. The other threads are those of the process:
    all pools share them, they are started when no other one is idle, and again in a child process after a fork. If the
    system starts no more threads, those that there are do the work.

    Parameters
    ----------
    threads : int
        How many threads work at once, the calling thread included.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def run(self, task: Callable[[int], object], count: int) -> None:
        """Call ``task(0)`` to ``task(count - 1)``, each once; return when all are done.

        If a call raises, no further one is started, and what it raised is raised here once the others have ended.
        """
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

        # Not by `beside`: a signal handler may raise where a context manager is left, before that does anything
        calls: list[Call[Any]] = []
        with DefaultFloatMode():
            try:
                for _ in range(min(self.threads, count) - 1):
                    _start(calls, work)
                work()
            finally:
                try:
                    waiting.clear()
                    end_all(calls)
                finally:
                    end_all(calls)  # again, since a signal handler may have raised before the first was through
        _raise_error_of(calls)

    @contextmanager
    def beside(self, work: Callable[[int], object], helpers: int, end: Callable[[], object]) -> Iterator[None]:
        """Let ``work(1)`` to ``work(helpers)`` run on other threads of the pool during a `with` block.

        `helpers` is below `threads`; there may be fewer. At the block's end, `end` is called, which makes the others
        return, and they are waited for.
        """
        calls: list[Call[Any]] = []
        with DefaultFloatMode():
            try:
                for number in range(1, helpers + 1):
                    _start(calls, partial(work, number))
                yield
            finally:
                try:
                    end()
                    end_all(calls)
                finally:
                    end_all(calls)
        _raise_error_of(calls)


def _start(calls: list[Call[Any]], work: Callable[[], object]) -> None:
    """Let another thread do work, as one more of some calls, unless there are too many."""
    if len(calls) < MOST_THREADS - 1:
        calls.append(Call(work))  # first, since a signal handler may raise while it is started
        start(calls[-1])


def _raise_error_of(calls: list[Call[Any]]) -> None:
    for call in calls:
        if not call.cancelled:
            call.result()


class Workers:
    """Threads that make calls in the order in which they are submitted; those not begun at the block's end are dropped.

    As an executor of :mod:`concurrent.futures`, in a third of the time per call, during which no other thread can run.
    Calls are made in the default mode of floating-point numbers. Results are asked for in the order of the calls. If no
    thread comes to make them, the one that asks does. A block that has not come to its end when Python exits is ended
    then.

    Parameters
    ----------
    threads : int
        At most; they are started when there are calls for them.
    """

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._loops: list[Call[None]] = []  # each makes calls on a thread of its own until the block's end
        self._calls: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self._ended = False
        end_at_exit(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def end(self) -> None:
        """Wait for the calls in progress, and drop the others.

        Garbage collection may bring a forgotten block to its end at any place, even inside of `threading`: no
        lock of that module is taken here.
        """
        self._ended = True
        self._calls.put(None)
        end_all(self._loops)

    def submit(self, function: Callable[..., R], *arguments: Any) -> Call[R]:
        """Return a call that one of the threads makes."""
        call = Call(partial(function, *arguments), self._nobody_else_makes_calls)
        if len(self._loops) < self._most:
            self._loops.append(Call(self._make_calls))  # first, since a signal handler may raise while it is started
            if not start(self._loops[-1]):
                self._loops.pop()
                self._most = len(self._loops)
        if self._loops:
            self._calls.put(call)
        else:
            call.make()
        return call

    def _make_calls(self) -> None:
        try:
            while self._make_next():
                pass
        finally:
            self._calls.put(None)  # ends the others, also if this one was ended by a lack of memory

    def _make_next(self) -> bool:  # a function of its own, so that nothing refers to a call that has been made
        call = self._calls.get()
        if call is not None and not self._ended:
            call.make()
        return call is not None

    def _nobody_else_makes_calls(self) -> bool:
        """Return whether no thread makes the calls, after the ones that were submitted have been made here."""
        for loop in self._loops:
            loop.cancel()
        self._loops = [loop for loop in self._loops if not loop.has_ended()]
        if self._loops:
            return False
        with suppress(Empty):
            while True:
                call = self._calls.get_nowait()
                if call is not None:
                    call.make()
        return True


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], threads: int, give_up: Callable[[], object] = lambda: None
) -> Generator[R, None, None]:
    """Yield ``function(item)`` for each item, in the order of the items, computed on at most `threads` threads.

    The items are drawn by the calling thread, at most two per thread ahead of the results that it has taken. When it
    stops early, by an exception or a Ctrl-C, it calls `give_up` to shorten the calls in progress, waits for them, and
    drops the others. If the system starts no thread, the calling thread does the work.
    """
    threads = min(threads, max(MOST_READERS, os.cpu_count() or 1))
    workers = Workers(threads)
    try:
        with closing(ordered_results(workers, function, items, 2 * threads, give_up)) as results:
            yield from results
    finally:
        try:
            workers.end()
        finally:
            workers.end()  # again, since a signal handler may have raised before the first was through


def ordered_results(
    executor: Executor | Workers,
    function: Callable[[T], R],
    items: Iterable[T],
    ahead: int,
    give_up: Callable[[], object] = lambda: None,
) -> Generator[R, None, None]:
    """Yield ``function(item)`` for each item, as :func:`ordered_map` does, computed by an executor of any kind.

    At most `ahead` items are drawn ahead of the results that have been taken.
    """
    pending: deque[Future[R] | Call[R]] = deque()
    try:
        for item in items:
            pending.append(executor.submit(function, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BaseException:
        give_up()
        raise
    finally:
        for future in pending:
            future.cancel()
