"""Threads: how many, those that run tasks, what a fork does to them, and BLAS beside them."""

from __future__ import annotations

import functools
import math
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from time import perf_counter
from typing import Any, Generic, TypeVar
from weakref import WeakSet

import numpy as np
from threadpoolctl import OpenBLASController, ThreadpoolController

from fastembed._base.validation import check_integer
from fastembed._kernels.cpu import DefaultFloatMode

# A step on a smaller linear layer, or a search for one query, stays on one thread: others cost more than they save
PARALLEL_BYTES = 64 << 20

T = TypeVar("T")
R = TypeVar("R")


class cached_property(functools.cached_property[T]):
    """An attribute that is computed when it is first read, on Python 3.11 too without a lock.

    There `functools.cached_property` holds a lock of the class: a child that is forked while another thread computes
    the attribute of one object would wait for that of any other without end. Two threads may compute it at once.
    """

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> T:  # type: ignore[override]
        values: dict[str | None, T] = vars(instance)  # empty for it, or Python would not call this
        return values.setdefault(self.attrname, self.func(instance))


class PerProcess(Generic[T]):
    """A value of this process: a lock, or a pool of threads. After a fork, the child has one of its own.

    A fork copies the thread that forks and no other. In the child, a lock that another thread held would stay locked
    forever, and the threads of a pool would be missing.

    Parameters
    ----------
    make : callable
        Makes the value: here, and in each child as soon as it is forked. Called without arguments.

    Attributes
    ----------
    value : object
        What `make` has returned in this process.

    Examples
    --------
    >>> import threading
    >>> lock = PerProcess(threading.Lock)
    >>> with lock.value:
    ...     lock.value.locked()
    True
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self.value = make()
        _values.add(self)

    def renew(self) -> None:
        """Make the value again."""
        self.value = self._make()


_values: WeakSet[PerProcess[Any]] = WeakSet()


def _renew_values() -> None:
    for value in _values:
        value.renew()


class ForkLocks:
    """Locks that a thread acquires before it forks, all of them: a fork waits until no other thread is inside one.

    A thread holds such a lock while it is in a library that has locks of its own: OpenBLAS, in a matrix product; glibc,
    while threadpoolctl walks the list of shared libraries. A child that got a locked one would wait for it forever.
    """

    def __init__(self) -> None:
        self._forking = threading.RLock()  # re-entrant, as the others: a signal handler may fork
        self._locks: WeakSet[Any] = WeakSet()
        self._held: list[Any] = []

    def new(self) -> Any:
        """Return a new ``threading.RLock``, which exists as long as the caller keeps it."""
        lock = threading.RLock()
        with self._forking:
            self._locks.add(lock)
        return lock

    def acquire(self) -> None:
        """Acquire all locks."""
        self._forking.acquire()
        for lock in list(self._locks):
            lock.acquire()
            self._held.append(lock)

    def release(self) -> None:
        """Release all that `acquire` has acquired."""
        while self._held:
            self._held.pop().release()
        self._forking.release()


fork_locks = ForkLocks()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=fork_locks.acquire, after_in_parent=fork_locks.release, after_in_child=fork_locks.release
    )
    os.register_at_fork(after_in_child=_renew_values)


MOST_THREADS = 1024  # threads that work for one call of a pool
MOST_READERS = 64  # threads of one reading of a text, unless there are more CPUs: each holds two blocks of it
POLL_SECONDS = 0.1  # between two looks for a Ctrl-C


def new_executor(threads: int) -> ThreadPoolExecutor:
    """Return an executor whose threads compute in the default mode of floating-point numbers."""
    return ThreadPoolExecutor(threads, "fastembed", DefaultFloatMode().__enter__)


# The threads of this process: another one is started whenever none is idle, so that no call waits for another one
_executor = PerProcess(lambda: new_executor(sys.maxsize))


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


def _start(calls: list[Future[R]], function: Callable[[], R]) -> None:
    """Let a thread of this process make a call, as one more of some calls.

    The call is among them before a thread begins it, so that a Ctrl-C cannot lose it.
    """
    calls.append(Future())
    executor = _executor.value
    try:
        executor.submit(_make, calls[-1], function)
    except BaseException:
        # The executor may not know a thread whose start was interrupted, which would wait when Python exits
        _executor.renew()
        executor.shutdown(wait=False)
        raise


def _make(call: Future[R], function: Callable[[], R]) -> None:
    """Make a call, unless it was cancelled."""
    try:
        if call.set_running_or_notify_cancel():
            call.set_result(function())
    except BaseException as error:  # whatever it is, it is raised where the result is asked for
        call.set_exception(error)
        del call  # the frames of the error would keep it, and so itself


def _end(calls: list[Future[Any]]) -> None:
    """Cancel the calls that no thread has begun and wait for the others; a Ctrl-C meanwhile is raised in the end."""
    interrupt = None
    while True:
        try:
            begun = [call for call in calls if not call.cancel()]
            while begun and wait(begun, POLL_SECONDS).not_done:  # to wait for none takes microseconds
                pass
            break
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt


def in_background(function: Callable[..., R], *arguments: Any) -> Future[R]:
    """Return the call of a function by another thread, which Python awaits if it exits."""
    calls: list[Future[R]] = []
    _start(calls, partial(function, *arguments))
    return calls[0]


def awaited(call: Future[R]) -> R:
    """Return the result of a call once it has ended; a Ctrl-C ends the wait, and the call goes on until it ends.

    Without a limit of time, a signal that arrives just before the wait begins would be seen at its end only.
    """
    while not call.done():
        wait([call], POLL_SECONDS)
    return call.result()


class Pool:
    """Plain Python threads that share numbered tasks among them; the calling thread is one of them.

    Which thread runs a task, and when, is left open, so a task writes only to memory of its own. Tasks run in the
    default mode of floating-point numbers, whatever the mode of the thread. The other threads are those of the process:
    all pools share them.

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
        helpers = min(self.threads, count) - 1
        if helpers < 1:  # a prediction of one document is as short as the calls below
            with DefaultFloatMode():
                for number in range(count):
                    task(number)
            return
        waiting = deque(range(count))

        def work(_: int) -> None:
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

        with self.beside(work, helpers, waiting.clear):
            work(0)

    @contextmanager
    def beside(self, work: Callable[[int], object], helpers: int, end: Callable[[], object]) -> Iterator[None]:
        """Let ``work(1)`` to ``work(helpers)`` run on other threads of the pool during a `with` block.

        `helpers` is below `threads`; there may be fewer. At the block's end, `end` is called, which makes the others
        return, and they are waited for.
        """
        calls: list[Future[object]] = []
        with DefaultFloatMode():
            try:
                for number in range(1, min(helpers, MOST_THREADS - 1) + 1):
                    _start(calls, partial(work, number))
                yield
            finally:
                try:
                    end()
                    _end(calls)
                finally:
                    _end(calls)  # again, since a signal handler may have raised before the first was through
        for call in calls:
            if not call.cancelled():
                call.result()


def ordered_map(
    function: Callable[[T], R],
    items: Iterable[T],
    threads: int,
    give_up: Callable[[], object] | None = None,
    *,
    ahead: int | None = None,
) -> Generator[R, None, None]:
    """Yield ``function(item)`` for each item, in the order of the items, computed on at most `threads` threads.

    The items are drawn by the calling thread, at most `ahead` of them, by default two per thread, ahead of the results
    that it has taken. When it stops early, by an exception or a Ctrl-C, it calls `give_up` to shorten the calls in
    progress, waits for them, and drops the others.
    """
    threads = min(threads, max(MOST_READERS, os.cpu_count() or 1))
    executor = new_executor(threads)
    try:
        yield from ordered_results(executor.submit, function, items, ahead or 2 * threads, give_up)
    finally:
        executor.shutdown(cancel_futures=True)


def ordered_results(
    submit_to: Callable[..., Future[R]],
    function: Callable[[T], R],
    items: Iterable[T],
    ahead: int,
    give_up: Callable[[], object] | None = None,
) -> Generator[R, None, None]:
    """Yield ``function(item)`` for each item, as :func:`ordered_map` does, computed by an executor's `submit`."""
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(submit_to(function, item))
            if len(pending) > ahead:
                yield awaited(pending.popleft())
        while pending:
            yield awaited(pending.popleft())
    except BaseException:
        if give_up is not None:
            give_up()
        raise
    finally:
        for future in pending:
            future.cancel()


def matrix_product(dtype: np.dtype[Any]) -> object:
    """Return BLAS's matrix product for float32 or float64 as a capsule of a C function that needs no GIL.

    SciPy publishes it for Cython (`scipy.linalg.cython_blas`); its integers are int.
    """
    blas = import_module("scipy.linalg.cython_blas")  # here, since it takes long
    capsules: dict[str, object] = blas.__pyx_capi__
    return capsules[{"float32": "sgemm", "float64": "dgemm"}[dtype.name]]


@contextmanager
def _control_of_blas() -> Iterator[None]:
    """Let this thread set limits, then any other.

    OpenBLAS has one limit for the process. Since version 3.8, threadpoolctl obeys only the first thread that set it
    and ignores all others silently; but ours is set and lifted by whichever thread trains.
    """
    yield_control = getattr(OpenBLASController, "clear_controlling_thread", lambda force: None)
    yield_control(force=True)
    try:
        yield
    finally:
        yield_control(force=True)


class BlasLimit:
    """One thread for BLAS while anyone holds this limit; what it was before once the last holder has released it."""

    def __init__(self) -> None:
        self._limits: Any = None  # what they were
        self._libraries: ThreadpoolController | None = None
        self._modules = 0  # the number of loaded modules when the libraries were last searched for
        self._lock = fork_locks.new()
        self._holders = PerProcess(self._lift)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the limit during a `with` block. Nests, also across threads."""
        with self._lock:
            if self._limits is None:
                # To seek the libraries takes longer than many a product; an import alone loads another
                if self._libraries is None or self._modules != len(sys.modules):
                    modules = len(sys.modules)
                    self._libraries = ThreadpoolController().select(user_api="blas")
                    self._modules = modules
                with _control_of_blas():
                    self._limits = self._libraries.limit(limits=1, user_api="blas")
            self._holders.value += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders.value -= 1
                if self._holders.value == 0:
                    self._lift()

    def _lift(self) -> int:
        """Lift the limit and return 0, also at first, and in a child, where the threads that held it are missing."""
        if self._limits is not None:
            with _control_of_blas():
                self._limits.restore_original_limits()
            self._limits = None
        return 0


blas_limit = BlasLimit()
single_threaded_blas = blas_limit.held  # our own threads each call BLAS on a shard


def seconds_per_operation(rows: int, dim: int, columns: int) -> float:
    """Return the seconds of one thread per floating-point operation: the fastest product of a fifth of a second.

    Parameters
    ----------
    rows, dim, columns : int
        Of the product of a matrix (rows, dim) and one (dim, columns), float32.
    """
    left, right = np.ones((rows, dim), np.float32), np.ones((dim, columns), np.float32)
    end, fastest = perf_counter() + 0.2, math.inf
    with single_threaded_blas():
        while (began := perf_counter()) < end or fastest == math.inf:
            left @ right
            fastest = min(fastest, perf_counter() - began)
    return fastest / (2 * left.size * columns)
