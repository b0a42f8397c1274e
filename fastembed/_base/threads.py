"""Threads: how many, those that run tasks, what a fork does to them, and BLAS beside them."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import closing, contextmanager, suppress
from functools import partial
from importlib import import_module
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, Protocol, Self, TypeVar, cast
from weakref import WeakSet, ref

import numpy as np
from threadpoolctl import OpenBLASController, ThreadpoolController

from fastembed._base.validation import check_integer
from fastembed._kernels.cpu import DefaultFloatMode

T = TypeVar("T")
R = TypeVar("R")


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


POLL_SECONDS = 0.1  # between two checks that the thread of a call is alive; on Windows, also for a Ctrl-C


class Call(Generic[R]):
    """A call that is made at most once: by another thread, or by the one that waits for it.

    No thread waits for ever. A call that no thread has begun is made or cancelled by the one that waits for it, and one
    whose thread has ended is lost, which is an error. Calls are made in the default mode of floating-point numbers.

    Parameters
    ----------
    function : callable
        Called without arguments.
    may_be_made : callable, optional
        Whether the one that waits for the call may make it, if nobody has begun it; by default, it may.
    """

    __slots__ = ("__weakref__", "_done", "_ended", "_error", "_function", "_made", "_makers", "_may_be_made", "_result")

    def __init__(self, function: Callable[[], R], may_be_made: Callable[[], bool] | None = None) -> None:
        self._function: Callable[[], R] | None = function
        self._may_be_made = may_be_made
        self._result: R | None = None
        self._error: BaseException | None = None
        self._makers: list[list[int] | None] = []  # the first one to enter makes the call; None: nobody does
        self._made = self._ended = False
        self._done = Lock()
        self._done.acquire()

    def make(self) -> None:
        """Make the call, unless it has been begun or cancelled."""
        if self._makers:
            return
        maker = [os.getpid()]  # in a child, the threads of its parent have ended
        try:
            self._makers.append(maker)
            if self._makers[0] is maker:
                self._make()
        finally:
            if self._makers and self._makers[0] is maker:
                self._ended = True
                self._done.release()

    def _make(self) -> None:
        function, self._function = self._function, None  # freed, with what it refers to, when it has been called
        try:
            with DefaultFloatMode():
                self._result = cast("Callable[[], R]", function)()
        except BaseException as error:  # whatever it is, it is raised where the result is asked for
            self._error = error
        self._made = True

    def cancel(self) -> None:
        """Let nobody make the call, if it has not begun."""
        if not self._makers:
            self._makers.append(None)

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled before anybody had begun it."""
        return bool(self._makers) and self._makers[0] is None

    def has_ended(self) -> bool:
        """Return whether nobody will make the call any more: it is made, or cancelled, or its thread has ended."""
        if self._ended or not self._makers:
            return self._ended
        maker = self._makers[0]
        return maker is None or maker[0] != os.getpid()

    def result(self) -> R:
        """Wait for the call and return its result, or raise what it raised.

        Raises
        ------
        RuntimeError
            If the call was cancelled, or its thread has ended before it did.
        """
        while not self.has_ended():
            self._wait()
            if not self._makers and (self._may_be_made is None or self._may_be_made()):
                self.make()
        if not self._made:
            raise RuntimeError("a call was cancelled, or its thread has ended before it did")
        if self._error is not None:
            raise self._error
        return cast("R", self._result)

    def end(self) -> None:
        """Cancel the call if nobody has begun it, else wait until it has ended."""
        self.cancel()
        while not self.has_ended():
            self._wait()

    def _wait(self) -> None:
        # A signal handler may raise between the two and leave the lock taken: what counts is `_ended`
        if self._done.acquire(timeout=POLL_SECONDS):
            self._done.release()


def end_all(calls: Iterable[Call[Any]]) -> None:
    """End all calls, also if Ctrl-C is pressed meanwhile, which is raised in the end."""
    interrupt = None
    while True:
        try:
            for call in calls:
                call.end()
            break
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt


class _Server:
    """A thread that makes the calls it is given, one after another, and what it was given last.

    A signal handler or a lack of memory may interrupt the start of a thread, which may run nevertheless. So it is a
    daemon, for which Python does not wait when it exits, and no call depends on it.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Call[Any]] = SimpleQueue()
        self._last: ref[Call[Any]] | None = None  # weak: while a call is waiting or being made, it has other references
        self._thread = Thread(target=self._serve, name="fastembed", daemon=True)

    def start(self) -> None:
        """Start its thread; RuntimeError if the system starts no more."""
        self._thread.start()

    def runs(self) -> bool:
        """Return whether its thread has been started and has not ended."""
        return self._thread.is_alive()

    def is_idle(self) -> bool:
        """Return whether its last call has ended, or was cancelled, which it may have yet to notice."""
        last = None if self._last is None else self._last()
        return last is None or last.has_ended()

    def give(self, call: Call[Any]) -> None:
        """Let it make a call."""
        self._last = ref(call)
        self._calls.put(call)

    def _serve(self) -> None:
        while True:
            try:  # noqa: SIM105 - `suppress` would need memory, too
                self._calls.get().make()  # without a name, which would keep the call and its result
            except MemoryError:  # outside of a call; what has not begun is made by the one that waits for it
                pass


class _Threads:
    """Threads of this process that make calls; another one is started whenever none is idle."""

    def __init__(self) -> None:
        # Longest unused first. The thread that looks at one takes it out meanwhile, instead of a lock, which a signal
        # handler could find taken; if it is interrupted there, another one will be started though that one is idle
        self._servers: deque[_Server] = deque()

    def start(self, call: Call[Any]) -> bool:
        """Let another thread make a call; return False if the system starts no more threads."""
        for _ in range(len(self._servers)):
            try:
                server = self._servers.popleft()
            except IndexError:  # other threads are looking, too
                break
            if not server.runs():
                continue
            try:
                if idle := server.is_idle():
                    server.give(call)
            finally:
                self._servers.append(server)
            if idle:
                return True
        server = _Server()
        server.give(call)
        try:
            server.start()
        except RuntimeError:
            return False
        finally:
            self._servers.append(server)
        return True


class _Ending(Protocol):
    def end(self) -> None: ...


_threads = PerProcess(_Threads)
_open: PerProcess[WeakSet[_Ending]] = PerProcess(WeakSet)


def start(call: Call[Any]) -> bool:
    """Let another thread of the process make a call; return False if the system starts no more threads."""
    return _threads.value.start(call)


def end_at_exit(ending: _Ending) -> None:
    """Call the method `end` of an object when Python exits, if the object still exists."""
    _open.value.add(ending)


@atexit.register
def _end() -> None:
    for ending in list(_open.value):
        ending.end()


def in_background(call: Call[Any]) -> None:
    """Let another thread make a call, for which Python waits if it exits; if the system starts none, this one does."""
    end_at_exit(call)
    if not start(call):
        call.make()


def interruptible(function: Callable[[], R]) -> R:
    """Return ``function()``, computed on another thread, so that a Ctrl-C ends the wait for a long call of a library.

    The call itself goes on in the background until it ends.
    """
    call = Call(function)
    in_background(call)
    return call.result()


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
        self._holders = PerProcess(self._no_holders)

    @property
    def holders(self) -> int:
        """How many hold the limit."""
        return self._holders.value

    def acquire(self) -> None:
        """Hold the limit."""
        with self._lock:
            try:
                if self._holders.value == 0:
                    libraries = self._find_libraries()
                    with _control_of_blas():
                        if self._limits is None:  # None: remember what the limits are, and change nothing
                            self._limits = libraries.limit(limits=None)
                        libraries.limit(limits=1, user_api="blas")
                self._holders.value += 1
            except BaseException:  # a Ctrl-C, which may come at any place
                if self._holders.value == 0:
                    self._restore()
                raise

    def release(self) -> None:
        """Hold the limit no longer."""
        with self._lock:
            self._holders.value -= 1
            if self._holders.value == 0:
                self._restore()

    def _find_libraries(self) -> ThreadpoolController:
        """Return the BLAS libraries. To seek them takes longer than many a product; an import alone loads another."""
        if self._libraries is None or self._modules != len(sys.modules):
            modules = len(sys.modules)
            self._libraries = ThreadpoolController().select(user_api="blas")
            self._modules = modules
        return self._libraries

    def _no_holders(self) -> int:
        """Lift the limit and return 0: at first, and in a child, where the threads that held it are missing."""
        self._restore()
        return 0

    def _restore(self) -> None:
        if self._limits is not None:
            try:
                self._lift(self._limits)
            except BaseException:  # a Ctrl-C in the middle
                self._lift(self._limits)
                raise
            self._limits = None

    @staticmethod
    def _lift(limits: Any) -> None:
        with _control_of_blas():
            limits.restore_original_limits()


blas_limit = BlasLimit()


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS to one thread: our own threads each call it on a shard. Nests, also across threads."""
    blas_limit.acquire()
    try:
        yield
    finally:
        blas_limit.release()
