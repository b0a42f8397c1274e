"""`Ranks`: the processes that make one fit together, the ranks of an MPI communicator. By default there is one.

Each rank has all parameters, and trains the linear layer of consecutive shards. These shards are one or several nodes
of the binary tree by which the results of shards are merged, so the parameters have the bits of a fit by one process.
`exchange.py` has what they send one another.

The communicator is mpi4py's, or any object with the methods `METHODS`. This module does not import mpi4py.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastembed._base.validation import shown
from fastembed.trainer.parameters import TrainingDivergedError

RANK_NODES = 4  # least per rank if the number of ranks is not a power of two: no rank has 1.25 times its part
SENT_BYTES = 1 << 28  # largest message between ranks, since MPI counts in int

T = TypeVar("T")

ERRORS = (TypeError, ValueError, OSError, MemoryError)  # errors that other ranks raise with the same type


# The methods of mpi4py's communicators that ranks call
METHODS = ("Get_rank", "Get_size", "Allgather", "Alltoall", "Bcast", "allgather", "bcast", "Abort")


class Ranks:
    """The ranks of a communicator, seen from one rank. All ranks call the same methods in the same order.

    Parameters
    ----------
    comm : communicator, optional
        By default there is one rank, this process.

    Attributes
    ----------
    comm : communicator or None
    rank, size : int
        The number of this rank, and the number of ranks.
    first : bool
        Whether this is rank 0. A fit starts from its parameters; it alone calls callbacks and writes files.

    Raises
    ------
    TypeError
        If `comm` lacks one of the `METHODS`.
    """

    def __init__(self, comm: Any = None) -> None:
        self.comm, self.rank, self.size = comm, 0, 1
        if comm is not None:
            if not all(callable(getattr(comm, name, None)) for name in METHODS):
                raise TypeError(f"comm must be a communicator, such as mpi4py's MPI.COMM_WORLD, got {shown(comm)}")
            self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.first = self.rank == 0
        self._met = False

    def first_nodes(self, shards: int) -> NDArray[np.intp]:
        """Return the first node of each rank, and the number of nodes, (P + 1,).

        A node is a power of two of consecutive shards, and all nodes have as many. If the number of ranks is not a
        power of two, each rank gets several nodes, so that all have about equal work.

        Raises
        ------
        ValueError
            If there are fewer shards than ranks.
        """
        if self.size > shards:
            raise ValueError(f"ranks must be at most {shards}, the number of shards of the outputs, got {self.size}")
        nodes = self.size
        if nodes & (nodes - 1):
            nodes = min(1 << (RANK_NODES * nodes).bit_length(), shards)
        return np.arange(self.size + 1, dtype=np.intp) * nodes // self.size

    def shards_of(self, rank: int, shards: int) -> slice:
        """Return the shards of a rank, which are consecutive."""
        firsts = self.first_nodes(shards)
        begin, end = (shards // firsts[-1] * firsts[rank : rank + 2]).tolist()
        return slice(begin, end)

    # ---------------------------------------------------------------- agreement

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let all ranks leave a `with` block with an exception if one rank does.

        Before the ranks `meet` in the block, the exception of the first failed rank is raised on all ranks. Later a
        rank may wait for the failed one anywhere: the processes of all ranks end.
        """
        try:
            yield
        except BaseException as error:
            if self.size == 1 or is_known_to_all(error):
                raise
            if not self._met and isinstance(error, Exception | SystemExit):
                self._raise_first(error)
            error.add_note(f"on rank {self.rank} of {self.size}, {platform.node()}: all of them end")
            sys.excepthook(type(error), error, error.__traceback__)
            sys.stderr.flush()
            self.comm.Abort(1)
            raise

    def meet(self, facts: Mapping[str, Any], value: T) -> T:
        """Return the value of rank 0 on all ranks, if none has failed in the block of `together`.

        Raises
        ------
        ValueError
            If one of the facts differs from that of rank 0.
        """
        if self.comm is None:
            return value
        texts = {name: str(fact) for name, fact in facts.items()}
        (first_host, first_texts), *later = self._raise_first(None, (platform.node(), texts))
        for rank, (host, rank_texts) in enumerate(later, 1):
            for name, right in first_texts.items():
                if (wrong := rank_texts.get(name)) != right:
                    differ = f"rank {rank} on {host} has {name} {wrong}, but rank 0 on {first_host} has {right}"
                    raise _known_to_all(ValueError(f"{differ}: all ranks must have the same, or bits would differ"))
        self._met = True
        return self.shared(value)

    def _raise_first(self, failure: BaseException | None, value: Any = None) -> list[Any]:
        """Return the values of all ranks; if ranks have failed, raise the error of the first one."""
        sent = None if failure is None else _error_of(failure, self.rank)
        failures, values = zip(*self.comm.allgather((sent, value)), strict=True)
        for rank, other in enumerate(failures):
            if other is not None:
                raise _known_to_all(failure if failure is not None and rank == self.rank else other)
        return list(values)

    def shared(self, value: T) -> T:
        """Return the value of rank 0 on all ranks."""
        return value if self.comm is None else self.comm.bcast(value, root=0)

    # ---------------------------------------------------------------- arrays

    def send(self, array: NDArray[Any], rank: int) -> None:
        """Broadcast a C-contiguous array from a rank to all, in place."""
        flat = array.reshape(-1)
        step = SENT_BYTES // array.itemsize
        for begin in range(0, len(flat), step):
            self.comm.Bcast(flat[begin : begin + step], root=rank)


def is_known_to_all(error: BaseException) -> bool:
    """Return whether all ranks raise this error, or a corresponding one, at the same place."""
    # All ranks have the same losses, so that training diverges on all
    return isinstance(error, TrainingDivergedError) or hasattr(error, "is_known_to_all")


def _known_to_all(error: BaseException) -> BaseException:
    """Return an error that all ranks raise, marked as such."""
    error.is_known_to_all = True  # type: ignore[attr-defined]
    return error


def _error_of(error: BaseException, rank: int) -> BaseException:
    """Return what the other ranks raise for an error on a rank."""
    if isinstance(error, SystemExit):
        return SystemExit(error.code)
    kind = next((kind for kind in ERRORS if isinstance(error, kind)), RuntimeError)
    return kind(f"rank {rank}: {error}")
