"""What cannot be shared with a child process after a fork, and is made again there."""

from __future__ import annotations

import os
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


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_values)
