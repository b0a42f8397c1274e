"""The limit on the threads of BLAS while our own threads call it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import OpenBLASController, threadpool_limits


@contextmanager
def _control_of_blas() -> Iterator[None]:
    """Let this thread set limits, then any other.

    OpenBLAS has one limit for the process. Since 3.8 threadpoolctl obeys only the first thread that set it and ignores
    all others without a word, but ours is set and lifted by whichever thread trains.
    """
    yield_control = getattr(OpenBLASController, "clear_controlling_thread", lambda force: None)
    yield_control(force=True)
    try:
        yield
    finally:
        yield_control(force=True)


class _BlasLimit:
    """One thread for BLAS while anyone trains; what it was before once the last one has finished."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._limits: threadpool_limits | None = None

    def acquire(self) -> None:
        with self._lock:
            if self._holders == 0:
                with _control_of_blas():
                    self._limits = threadpool_limits(limits=1, user_api="blas")
            self._holders += 1

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                self._restore()

    def forget_holders(self) -> None:
        """In a child after a fork: the threads that held the limit were not copied."""
        self._lock = threading.Lock()
        self._holders = 0
        self._restore()

    def _restore(self) -> None:
        if self._limits is not None:
            with _control_of_blas():
                self._limits.restore_original_limits()
            self._limits = None


_blas_limit = _BlasLimit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_blas_limit.forget_holders)


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS to one thread: our own threads each call it on a shard. Nests, also across threads."""
    _blas_limit.acquire()
    try:
        yield
    finally:
        _blas_limit.release()
