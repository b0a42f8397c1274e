"""How many threads, and the pool that runs tasks on them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, TypeVar

from fastembed._base.forks import PerProcess
from fastembed._base.validation import check_integer
from fastembed._kernels.cpu import DefaultFloatMode

T = TypeVar("T")
R = TypeVar("R")

POLL_SECONDS = 0.1  # between two looks for a Ctrl-C
MOST_THREADS = 1024  # of this process that help trainers
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

        with _helpers() as start, DefaultFloatMode():
            try:
                for _ in range(min(self.threads, count) - 1):
                    start(work)
                work()
            finally:
                waiting.clear()

    @contextmanager
    def beside(self, work: Callable[[int], object], helpers: int, end: Callable[[], object]) -> Iterator[None]:
        """Let ``work(1)`` to ``work(helpers)`` run on other threads of the pool during a `with` block.

        `helpers` is below `threads`; there may be fewer. At the block's end, `end` is called, which makes the others
        return, and they are waited for.
        """
        with _helpers() as start, DefaultFloatMode():
            try:
                for number in range(1, helpers + 1):
                    start(partial(work, number))
                yield
            finally:
                end()


_threads = PerProcess(partial(ThreadPoolExecutor, MOST_THREADS, thread_name_prefix="fastembed"))


@contextmanager
def _helpers() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Yield a function that starts work on another thread; at the end, wait for all that was started.

    Work for which no thread can be started is left to another one, but is not begun once the block has ended. What work
    raised is raised here, unless the block raised something itself.
    """
    begun: list[Future[object]] = []
    sure: list[Future[object]] = []  # those for which there is a thread

    def start(work: Callable[[], object]) -> None:
        begun.append(Future())
        try:
            _threads.value.submit(_work, begun[-1], work)
            sure.append(begun[-1])
        except RuntimeError:  # the executor has the work, but no thread for it
            pass

    try:
        yield start
    finally:
        _wait(begun, sure)
    for future in begun:
        if not future.cancelled():
            future.result()


def _work(future: Future[R], work: Callable[[], R]) -> None:
    """Do work unless it has been cancelled; the future gets what it returns or raises."""
    if future.set_running_or_notify_cancel():
        try:
            with DefaultFloatMode():
                future.set_result(work())
        except BaseException as error:
            future.set_exception(error)


def _wait(begun: list[Future[R]], sure: list[Future[R]]) -> None:
    """Wait for work, also if a Ctrl-C comes meanwhile, which is raised in the end; what nobody may do is cancelled."""
    interrupt = None
    for future in begun:
        while not (future.done() or (future not in sure and future.cancel())):
            try:
                future.exception()
            except KeyboardInterrupt as error:
                interrupt = error
    if interrupt is not None:
        raise interrupt


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], threads: int, give_up: Callable[[], object] = lambda: None
) -> Generator[R, None, None]:
    """Yield ``function(item)`` for each item, in the order of the items, computed on at most `threads` threads.

    The items are drawn by the calling thread, at most two per thread ahead of the results that it has taken. When it
    stops early, by an exception or a Ctrl-C, it calls `give_up` to shorten the calls in progress, waits for them, and
    drops the others. If the system starts no thread, the calling thread does the work.
    """
    threads = min(threads, max(MOST_READERS, os.cpu_count() or 1))
    with (
        ThreadPoolExecutor(threads, thread_name_prefix="fastembed") as executor,
        closing(ordered_results(_Readers(executor), function, items, 2 * threads, give_up)) as results,
    ):
        yield from results


class _Readers(Executor):
    """Threads in the default mode of floats. What no thread can be started for is done when it is asked for."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor

    def submit(self, function: Callable[..., R], /, *arguments: Any, **_: Any) -> Future[R]:
        """Start ``function(*arguments)``."""
        future = _Reading(partial(function, *arguments))
        try:
            self._executor.submit(_work, future, future.work)
        except RuntimeError:
            future.alone = True
        return future


class _Reading(Future[R]):
    """Work, and whether the thread that asks for the result may have to do it."""

    def __init__(self, work: Callable[[], R]) -> None:
        super().__init__()
        self.work, self.alone = work, False

    def result(self, timeout: float | None = None) -> R:
        """Return the result."""
        if self.alone and self.cancel():
            with DefaultFloatMode():
                return self.work()
        return super().result(timeout)


def ordered_results(
    executor: Executor,
    function: Callable[[T], R],
    items: Iterable[T],
    ahead: int,
    give_up: Callable[[], object] = lambda: None,
) -> Generator[R, None, None]:
    """Yield ``function(item)`` for each item, as :func:`ordered_map` does, computed by an executor of any kind.

    At most `ahead` items are drawn ahead of the results that have been taken.
    """
    pending: deque[Future[R]] = deque()
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


def interruptible(function: Callable[[], R]) -> R:
    """Return ``function()``, computed on another thread, so that a Ctrl-C ends the wait for a long call of a library.

    The call itself goes on in the background until it ends.
    """
    future: Future[R] = Future()
    try:
        _threads.value.submit(_work, future, function)
    except RuntimeError:
        if future.cancel():
            return function()
    while not wait([future], POLL_SECONDS).done:  # on Windows, and in some threads, a wait without end sees no Ctrl-C
        pass
    return future.result()
