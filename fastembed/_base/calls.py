"""Calls that other threads make, and the threads of the process that make them."""

from __future__ import annotations

import atexit
import os
from collections import deque
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, Protocol, TypeVar, cast
from weakref import WeakSet, ref

from fastembed._base.forks import PerProcess
from fastembed._kernels.cpu import DefaultFloatMode

R = TypeVar("R")

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
