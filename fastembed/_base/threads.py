"""How many threads, and the pool that runs tasks on them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, Self, TypeVar, cast

from fastembed._base.forks import PerProcess
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
    """Plain Python threads that share numbered tasks among them; the calling thread is one of them.

    Which thread runs a task, and when, is left open, so a task writes only to memory of its own. The other threads are
    started at the first use, and again in a child process after a fork.

    Parameters
    ----------
    threads : int
        How many threads work at once, the calling thread included.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        workers = max(threads - 1, 1)  # an executor has at least one; it starts none before it is given work
        self._executor = PerProcess(partial(ThreadPoolExecutor, workers, thread_name_prefix="fastembed"))

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

        futures = []
        try:
            for _ in range(min(self.threads, count) - 1):
                futures.append(self._executor.value.submit(work))
            work()
        finally:
            waiting.clear()
            errors = [future.exception() for future in futures]
        for error in errors:
            if error is not None:
                raise error

    @contextmanager
    def beside(self, work: Callable[[int], object], helpers: int, end: Callable[[], object]) -> Iterator[None]:
        """Let ``work(1)`` to ``work(helpers)`` run on other threads of the pool during a `with` block.

        `helpers` is below `threads`. At the block's end, `end` is called, which makes the others return, and they are
        waited for.
        """
        futures = []
        try:
            for number in range(1, helpers + 1):
                futures.append(self._executor.value.submit(work, number))
            yield
        finally:
            end()
            for future in futures:
                future.result()


class Call(Generic[R]):
    """A call that another thread makes, as a future of :mod:`concurrent.futures`."""

    __slots__ = ("_done", "_error", "_function", "_result")

    def __init__(self, function: Callable[[], R]) -> None:
        self._function: Callable[[], R] | None = function
        self._result: R | None = None
        self._error: BaseException | None = None
        self._done = Lock()
        self._done.acquire()

    def make(self) -> None:
        """Make the call, unless it was cancelled."""
        function, self._function = self._function, None
        if function is not None:
            try:
                self._result = function()
            except BaseException as error:  # whatever it is, it is raised where the result is asked for
                self._error = error
        self._done.release()

    def cancel(self) -> None:
        """Let nobody make the call, if it has not begun."""
        self._function = None

    def result(self) -> R:
        """Wait for the call and return its result, or raise what it raised."""
        with self._done:
            pass
        if self._error is not None:
            raise self._error
        return cast("R", self._result)


class Workers:
    """Threads that make calls in the order in which they are submitted; those not begun at the block's end are dropped.

    As an executor of :mod:`concurrent.futures`, in a third of the time per call, during which no other thread can run.

    Parameters
    ----------
    threads : int
        At most; they are started when there are calls for them.
    """

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._threads: list[Thread] = []
        self._calls: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._ended = True
        for _thread in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join()

    def submit(self, function: Callable[..., R], *arguments: Any) -> Call[R]:
        """Return a call that one of the threads makes."""
        call = Call(partial(function, *arguments))
        self._calls.put(call)
        if len(self._threads) < self._most:
            thread = Thread(target=self._work, name=f"fastembed_{len(self._threads)}")
            thread.start()
            self._threads.append(thread)
        return call

    def _work(self) -> None:
        while self._work_once():
            pass

    def _work_once(self) -> bool:  # a function of its own, so that nothing refers to a call that has been made
        call = self._calls.get()
        if call is not None and not self._ended:
            call.make()
        return call is not None


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], threads: int, give_up: Callable[[], object] = lambda: None
) -> Generator[R, None, None]:
    """Yield ``function(item)`` for each item, in the order of the items, computed on `threads` threads.

    The items are drawn by the calling thread, at most two per thread ahead of the results that it has taken. When it
    stops early, by an exception or a Ctrl-C, it calls `give_up` to shorten the calls in progress, waits for them, and
    drops the others.
    """
    with (
        Workers(threads) as workers,
        closing(ordered_results(workers, function, items, 2 * threads, give_up)) as results,
    ):
        yield from results


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
