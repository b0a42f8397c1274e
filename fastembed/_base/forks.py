"""What a child process cannot share after a fork and makes again, and what a fork must wait for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")


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
