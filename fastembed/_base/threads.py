"""Threads: their number, pools that run tasks, and the threads of BLAS."""

from __future__ import annotations

import functools
import os
import sys
import threading
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any, Generic, Self, TypeVar
from weakref import WeakSet

import numpy as np
from threadpoolctl import OpenBLASController, ThreadpoolController

from fastembed._base.arrays import Float64
from fastembed._base.validation import check_integer
from fastembed._kernels.cpu import DefaultFloatMode

T = TypeVar("T")
R = TypeVar("R")

# With fewer bytes, a step on a linear layer, or a search for one query, is faster on one thread
PARALLEL_BYTES = 64 << 20
MOST_THREADS = 4096  # the system may refuse to start more


class cached_property(functools.cached_property[T]):
    """An attribute that is computed when it is first read, without a lock: two threads may compute it at once.

    On Python 3.11 `functools.cached_property` holds a lock of the class. A child that is forked while a thread holds
    the lock would wait forever.
    """

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> T:  # type: ignore[override]
        values: dict[str | None, T] = vars(instance)  # without this attribute, or Python would not call __get__
        return values.setdefault(self.attrname, self.func(instance))


class PerProcess(Generic[T]):
    """A value of this process: a lock, or a pool of threads. A forked child makes a new value.

    A fork copies the thread that forks and no other. In the child, a lock that another thread held would stay locked
    forever, and the threads of a pool would be missing.

    Parameters
    ----------
    make : callable
        Called without arguments, here and in each child as soon as it is forked. Returns the value.

    Attributes
    ----------
    value : object
        The result of `make` in this process.

    Examples
    --------
    >>> import threading
    >>> lock = PerProcess(threading.Lock)
    >>> with lock.value:
    ...     lock.value.locked()
    True
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self.make = make
        self.value = make()
        _values.add(self)


_values: WeakSet[PerProcess[Any]] = WeakSet()


def _renew_values() -> None:
    for value in _values:
        value.value = value.make()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_values)


class Call(Generic[R]):
    """A call that another thread makes.

    A Ctrl-C ends the wait for the call, but not the call. The wait uses the `get` of a queue: a Ctrl-C in the methods
    of `threading` and `concurrent.futures` can leave a lock locked.
    """

    def __init__(self, function: Callable[..., R], *arguments: object) -> None:
        self._function = partial(function, *arguments)
        self._ended: SimpleQueue[object] = SimpleQueue()
        self._outcome: tuple[R | None, BaseException | None] | None = None
        self._cancelled = False

    def start(self) -> Self:
        """Let an idle thread make the call, or a new thread if none is idle: no call waits for another call."""
        try:
            calls = _idle.value.pop()
        except IndexError:
            calls = SimpleQueue()
            start_new_thread(_work, (calls,))
        calls.put(self)
        return self

    def run(self) -> None:
        """Make the call, unless it is cancelled."""
        try:
            self._outcome = (None if self._cancelled else self._function(), None)
        except BaseException as error:  # drop this frame, which refers to the outcome
            self._outcome = (None, error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
        del self._function
        self._ended.put(None)

    def cancel(self) -> None:
        """Drop the call if it has not begun."""
        self._cancelled = True

    def wait(self) -> None:
        """Wait until the call has ended."""
        while self._outcome is None:
            self._ended.get()

    def result(self) -> Any:
        """Return what the call returned once it has ended, or raise what it raised."""
        while self._outcome is None:
            self._ended.get()
        result, error = self._outcome or (None, None)
        if error is not None:
            try:
                raise error
            finally:
                del self, error  # the traceback refers to both
        return result


_idle: PerProcess[list[SimpleQueue[Call[Any]]]] = PerProcess(list)  # the queue of each idle thread


def _work(calls: SimpleQueue[Call[Any]]) -> None:
    """Make the calls of a queue, in the default mode of floating-point numbers."""
    with DefaultFloatMode():
        while True:
            calls.get().run()
            _idle.value.append(calls)


def check_threads(threads: int | None) -> int:
    """Return the number of threads; by default the number of CPUs that this process may run on.

    Raises
    ------
    TypeError
        If `threads` is neither None nor an integer.
    ValueError
        If `threads` is below 1, or above `MOST_THREADS`.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return check_integer("threads", threads, low=1, high=MOST_THREADS)


@contextmanager
def beside(work: Callable[[int], object], helpers: int, end: Callable[[], object]) -> Iterator[None]:
    """Let ``work(1)`` to ``work(helpers)`` run on other threads of the process during a `with` block.

    At its end, also after a Ctrl-C, the block calls `end`, which makes the calls of `work` return, and waits for them.
    A second Ctrl-C ends the wait.
    """
    calls: list[Call[object]] = []

    def finish() -> None:
        end()
        for call in calls:
            call.wait()

    try:
        for number in range(1, helpers + 1):
            calls.append(Call(work, number).start())
        yield
        finish()
    except BaseException:
        finish()
        raise
    for call in calls:
        call.result()


class Pool:
    """Threads that share numbered tasks; the calling thread is one of the threads.

    Any thread may run a task at any time, so a task writes only to memory that no other task uses. Tasks run in the
    default mode of floating-point numbers. All pools share the threads of the process.

    Parameters
    ----------
    threads : int
        How many threads work at once, the calling thread included.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def run(self, task: Callable[[int], object], count: int) -> None:
        """Call ``task(0)`` to ``task(count - 1)``, each once; return when all tasks have ended.

        If a task raises, no further task starts; the exception is raised here after the last task.
        """
        helpers = min(self.threads, count) - 1
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

        with DefaultFloatMode():
            if helpers < 1:  # to start helpers takes as long as to predict one document
                for number in range(count):
                    task(number)
                return
            with beside(work, helpers, waiting.clear):
                work(0)


class Supply(Generic[T]):
    """Reusable objects, such as buffers: as many as have been taken at the same time.

    Parameters
    ----------
    make : callable
        Returns a new object.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._free: SimpleQueue[T] = SimpleQueue()

    def take(self) -> T:
        """Return a free object, or a new one if none is free."""
        try:
            return self._free.get_nowait()
        except Empty:
            return self._make()

    def give(self, item: T) -> None:
        """Make an object free again."""
        self._free.put(item)

    def all(self) -> list[T]:
        """Return all objects, after each thread has given its object back."""
        return [self._free.get() for _ in range(self._free.qsize())]


def ordered_map(
    function: Callable[[T], R],
    items: Iterable[T],
    threads: int,
    *,
    ahead: int | None = None,
) -> Generator[R, None, None]:
    """Yield ``function(item)`` for each item, in the order of the items, computed on at most `threads` threads.

    While the caller uses a result, the calls of the next `ahead` items run or wait: by default two per thread. After an
    exception or a Ctrl-C the calls that run are waited for, and all other calls are dropped.
    """
    calls: SimpleQueue[Call[R] | None] = SimpleQueue()

    def submit(item: T) -> Call[R]:
        call = Call(function, item)
        calls.put(call)
        return call

    def work(_: int) -> None:
        while (call := calls.get()) is not None:
            call.run()

    def end() -> None:
        for _ in range(threads):
            calls.put(None)

    return ordered_results(submit, items, ahead or 2 * threads, beside(work, threads, end))


def ordered_sum(part: Callable[[T], Float64], tasks: list[T], shape: tuple[int, ...], pool: Pool) -> Float64:
    """Return the sum of `part(task)` over tasks, in their order; about two parts per thread are in memory."""
    total = np.zeros(shape)
    with closing(ordered_map(part, tasks, pool.threads, ahead=pool.threads)) as parts:
        for term in parts:
            total += term
    return total


def ordered_results(
    submit: Callable[[T], Any], items: Iterable[T], ahead: int, workers: AbstractContextManager[None]
) -> Generator[Any, None, None]:
    """Yield the results of the calls ``submit(item)`` in the order of the items; cancel pending calls at the end.

    Parameters
    ----------
    ahead : int
        How many of the next calls are submitted before a result is yielded.
    workers : context manager
        Makes the calls during a `with` block.
    """
    pending: deque[Any] = deque()
    with workers:
        try:
            for item in items:
                pending.append(submit(item))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for call in pending:
                call.cancel()


def matrix_product(dtype: np.dtype[Any]) -> object:
    """Return BLAS's matrix product for float32 or float64 as a capsule of a C function that needs no GIL.

    The capsule is of `scipy.linalg.cython_blas`; its integers are C's int.
    """
    blas = import_module("scipy.linalg.cython_blas")  # a slow import
    capsules: dict[str, object] = blas.__pyx_capi__
    return capsules[{"float32": "sgemm", "float64": "dgemm"}[dtype.name]]


@contextmanager
def _control_of_blas() -> Iterator[None]:
    """Let this thread set how many threads OpenBLAS uses, and let any thread do so after the block.

    OpenBLAS has one limit per process. threadpoolctl from version 3.8 on obeys the first thread that sets the limit,
    and ignores all other threads silently. Here any thread that trains sets and lifts the limit.
    """
    yield_control = getattr(OpenBLASController, "clear_controlling_thread", lambda force: None)
    yield_control(force=True)
    try:
        yield
    finally:
        yield_control(force=True)


class _BlasThreads:
    """The number of threads of BLAS: 1 as long as there is a holder, then the original number."""

    def __init__(self) -> None:
        self.holders: set[object] = set()
        self.lock = threading.Lock()
        self.limits: Any = None  # the original numbers of threads
        self.libraries: Any = None
        self.modules = 0  # the number of loaded modules at the last search for libraries


_blas_threads = PerProcess(_BlasThreads)


class SingleThreadedBlas:
    """Holds BLAS to one thread during a `with` block, so that sums have one order. Blocks nest, also across threads.

    The threads of a pool call BLAS, each on one thread. A Ctrl-C at any moment restores the number of threads.
    """

    def __enter__(self) -> Self:
        blas = _blas_threads.value
        try:
            with blas.lock:
                blas.holders.add(self)
                if blas.limits is not None:
                    return self
                if blas.modules != len(sys.modules):  # an import may have loaded a library; a search takes long
                    blas.libraries = ThreadpoolController().select(user_api="blas")
                    blas.modules = len(sys.modules)
                with _control_of_blas():
                    blas.limits = blas.libraries.limit(limits=1, user_api="blas")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        blas = _blas_threads.value
        with blas.lock:
            blas.holders.discard(self)
            if not blas.holders and blas.limits is not None:
                with _control_of_blas():
                    blas.limits.restore_original_limits()
                blas.limits = None

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Lift the limit during an inner `with` block."""
        try:
            self.__exit__()
            yield
        finally:
            self.__enter__()
