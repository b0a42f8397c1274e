"""How many threads, and the pool that runs tasks on them."""

from __future__ import annotations

import atexit
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, Self, TypeVar, cast
from weakref import WeakSet

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
        with suppress(RuntimeError):  # the executor has the work, but perhaps no thread for it
            _submit(begun[-1], work)
            sure.append(begun[-1])

    try:
        yield start
    finally:
        _wait(begun, sure)
    for future in begun:
        if not future.cancelled():
            future.result()


def _submit(future: Future[R], work: Callable[[], R]) -> None:
    """Let another thread do work for a future; raises RuntimeError if the system starts none.

    A signal handler or a lack of memory may interrupt the start of a thread. That thread may run, but the executor does
    not know it, and would not end it. Then the executor is shut down, which ends all that take its work, and replaced.
    """
    executor = _threads.value
    try:
        executor.submit(_work, future, work)
    except RuntimeError:
        raise
    except BaseException:
        try:
            executor.shutdown(wait=False)
        finally:
            _threads.renew()
        raise


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
                future.exception(POLL_SECONDS)  # again and again: a thread that gets no memory wakes nobody
            except TimeoutError:
                future.cancel()  # if it has not begun: its thread has ended
            except KeyboardInterrupt as error:
                interrupt = error
    if interrupt is not None:
        raise interrupt


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
                with DefaultFloatMode():
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
    Calls are made in the default mode of floating-point numbers. If the system starts no thread, `submit` makes them.
    A block that has not come to its end when Python exits is ended then.

    Parameters
    ----------
    threads : int
        At most; they are started when there are calls for them.
    """

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._started = 0
        self._ends: list[Lock] = []  # of each thread that may run; held by it until it has made its last call
        self._calls: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self._ended = False
        _open.value.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._ended = True
        for _end in self._ends:
            self._calls.put(None)
        # Not Thread.join, which cannot wait for a thread whose start was interrupted, and may take a lock of the module
        # threading: garbage collection may bring a forgotten block to its end at any place, also where that is held
        for end in self._ends:
            with end:
                pass

    def submit(self, function: Callable[..., R], *arguments: Any) -> Call[R]:
        """Return a call that one of the threads makes."""
        call = Call(partial(function, *arguments))
        if self._started < self._most:
            self._ends.append(Lock())  # before the start: a signal handler may interrupt that, and yet the thread runs
            name = f"fastembed_{self._started}"
            try:
                # A daemon, for which Python does not wait when it exits: the block may not have come to its end
                Thread(target=self._work, args=(self._ends[-1],), name=name, daemon=True).start()
                self._started += 1
            except RuntimeError:  # the system starts no more
                self._most = self._started
        if self._started:
            self._calls.put(call)
        else:
            call.make()
        return call

    def _work(self, end: Lock) -> None:
        with end:  # a thread that comes to this after the block's end makes no call
            again = True
            while again:
                with suppress(MemoryError):  # where no call has been taken yet
                    again = self._work_once()

    def _work_once(self) -> bool:  # a function of its own, so that nothing refers to a call that has been made
        call = self._calls.get()
        if call is not None and not self._ended:
            call.make()
        return call is not None


_open: PerProcess[WeakSet[Workers]] = PerProcess(WeakSet)  # some may have ended


@atexit.register
def _end_workers() -> None:
    """End the threads of blocks that have not come to their end, while threads can still end."""
    for workers in list(_open.value):
        workers.__exit__()


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


def in_background(function: Callable[[], R]) -> Future[R]:
    """Return the future of a call that another thread makes; or, if the system starts none, this one."""
    future: Future[R] = Future()
    try:
        _submit(future, function)
    except RuntimeError:  # the executor has the work, but perhaps no thread for it
        if future.cancel():
            future = Future()
            _work(future, function)
    return future


def interruptible(function: Callable[[], R]) -> R:
    """Return ``function()``, computed on another thread, so that a Ctrl-C ends the wait for a long call of a library.

    The call itself goes on in the background until it ends.
    """
    future = in_background(function)
    while not wait([future], POLL_SECONDS).done:  # on Windows, and in some threads, a wait without end sees no Ctrl-C
        pass
    return future.result()
