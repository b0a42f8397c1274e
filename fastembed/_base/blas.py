"""Functions of BLAS for the kernels, and the limit on its threads while our own threads call it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from threadpoolctl import OpenBLASController, ThreadpoolController

from fastembed._base.forks import PerProcess, fork_locks


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
