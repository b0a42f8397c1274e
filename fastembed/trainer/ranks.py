"""One fit by several processes, the ranks of an MPI communicator: their communication. A fit without one has one rank.

Each rank has all parameters, and trains the linear layer of consecutive shards. These shards are one or several nodes
of the binary tree by which the results of shards are merged, so the parameters have the bits of a fit by one process.
The ranks exchange:

    per block           (max, sum, target logit) of its rows for each node, from each rank to all; with bags also dH
    per several blocks  without bags, dH of their rows, which share no row of the embedding: each rank merges an equal
                        part of the rows, updates their rows of the embedding, and sends them to all
    per epoch           the linear layer and its optimizer state

The communicator is mpi4py's, or any object with the methods of `Communicator`; this module does not import mpi4py.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import aligned_zeros
from fastembed._base.threads import Pool
from fastembed._base.validation import shown
from fastembed._kernels import kernels_for
from fastembed._versions import origin_of_bits
from fastembed.counts.groups import shard_bounds
from fastembed.trainer.parameters import Parameters, TrainingDivergedError

RANK_NODES = 4  # least per rank if their number is not a power of two: then none has 1.25 times its part
KEPT_BYTES = 1 << 26  # of dH that ranks keep before they merge it: messages are long, and memory is bounded
SENT_BYTES = 1 << 28  # largest message between ranks, since MPI counts in int

T = TypeVar("T")

UPDATED_ROWS = 512  # rows of the embedding per task of a rank
ERRORS = (TypeError, ValueError, OSError, MemoryError)  # errors that other ranks raise with the same type


class Communicator(Protocol):
    """The methods of mpi4py's communicators that ranks call."""

    def Get_rank(self) -> int: ...  # noqa: D102
    def Get_size(self) -> int: ...  # noqa: D102
    def Allgather(self, sendbuf: Any, recvbuf: Any) -> None: ...  # noqa: D102
    def Alltoall(self, sendbuf: Any, recvbuf: Any) -> None: ...  # noqa: D102
    def Bcast(self, buf: Any, root: int = 0) -> None: ...  # noqa: D102
    def allgather(self, sendobj: Any) -> list[Any]: ...  # noqa: D102
    def bcast(self, obj: Any, root: int = 0) -> Any: ...  # noqa: D102
    def Abort(self, errorcode: int = 0) -> None: ...  # noqa: D102


class Ranks:
    """The ranks of a communicator, seen from one of them. All ranks call the same methods in the same order.

    Parameters
    ----------
    comm : Communicator, optional
        By default there is one rank, this process.

    Attributes
    ----------
    comm : Communicator or None
    rank, size : int
        The number of this rank, and the number of ranks.
    first : bool
        Whether this is rank 0, whose parameters a fit starts from, and which alone calls callbacks and writes files.

    Raises
    ------
    TypeError
        If `comm` is something else.
    """

    def __init__(self, comm: Any = None) -> None:
        self.comm = comm
        self.rank, self.size = 0, 1
        if comm is not None:
            methods = [name for name in vars(Communicator) if name[0] != "_"]
            if not all(callable(getattr(comm, name, None)) for name in methods):
                raise TypeError(f"comm must be a communicator, such as mpi4py's MPI.COMM_WORLD, got {shown(comm)}")
            self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.first = self.rank == 0

    def first_nodes(self, shards: int) -> NDArray[np.intp]:
        """Return the first node of each rank, and the number of nodes, (P + 1,).

        Nodes are consecutive ones of the tree of results, each with the same number of shards, a power of two. If the
        number of ranks is not a power of two, each gets several nodes, so that their work is about equal.

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
    def ending_all(self) -> Iterator[None]:
        """End the processes of all ranks if a `with` block raises an error on this rank alone."""
        try:
            yield
        except BaseException as error:
            if not is_known_to_all(error) and self.size > 1:
                error.add_note(f"on rank {self.rank} of {self.size}, {platform.node()}: all of them end")
                sys.excepthook(type(error), error, error.__traceback__)
                sys.stderr.flush()
                self.comm.Abort(1)
            raise

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """If a `with` block raises on some ranks, raise the error of the first of them on all ranks."""
        if self.size == 1:
            yield
            return
        failure: BaseException | None = None
        try:
            yield
        except (Exception, SystemExit) as error:
            failure = error
        failures = self.comm.allgather(None if failure is None else _of_rank(failure, self.rank))
        for rank, other in enumerate(failures):
            if other is not None:
                raise _known_to_all(failure if failure is not None and rank == self.rank else other)

    def shared(self, value: T) -> T:
        """Return the value of rank 0 on all ranks."""
        return value if self.size == 1 else self.comm.bcast(value, root=0)

    def compare(self, things: Mapping[str, Any]) -> None:
        """Raise ValueError on all ranks if one differs from rank 0 in kernels, BLAS, versions or `things`."""
        facts = {name: str(value) for name, value in {**origin_of_bits(), **things}.items()}
        (first_host, right), *others = self.comm.allgather((platform.node(), facts))
        for rank, (host, given) in enumerate(others, 1):
            for name in right:
                if given.get(name) != right[name]:
                    differ = f"rank {rank} on {host} has {name} {given.get(name)}, but rank 0 on {first_host} has"
                    message = f"{differ} {right[name]}: all ranks must have the same, or bits would differ"
                    raise _known_to_all(ValueError(message))

    # ---------------------------------------------------------------- arrays

    def send(self, array: NDArray[Any], rank: int) -> None:
        """Broadcast a C-contiguous array from a rank to all, in place."""
        flat = array.reshape(-1)
        step = SENT_BYTES // array.itemsize
        for begin in range(0, len(flat), step):
            self.comm.Bcast(flat[begin : begin + step], root=rank)

    def start(self, parameters: Parameters, rng: np.random.Generator) -> None:
        """Let all ranks start from the parameters and the generator of rank 0."""
        for array in parameters.trained.values():
            self.send(array, 0)
        rng.bit_generator.state = self.shared(rng.bit_generator.state)


def is_known_to_all(error: BaseException) -> bool:
    """Return whether all ranks raise this error, or a corresponding one, at the same place."""
    return isinstance(error, TrainingDivergedError) or hasattr(error, "is_known_to_all")  # all have the same numbers


def _known_to_all(error: BaseException) -> BaseException:
    """Return an error that all ranks raise, marked as such."""
    error.is_known_to_all = True  # type: ignore[attr-defined]
    return error


def _of_rank(error: BaseException, rank: int) -> BaseException:
    """Return the error that the other ranks raise for an error on a rank."""
    if isinstance(error, SystemExit):
        return SystemExit(error.code)
    kind = next((kind for kind in ERRORS if isinstance(error, kind)), RuntimeError)
    return kind(f"rank {rank}: {error}")


class Exchange:
    """The communication of the ranks during a fit; the kernels call it (``_kernels/exchange.pxi``).

    Parameters
    ----------
    row_rates : ndarray (V_in,)
        Factors on the learning rate of the rows of the embedding.
    h_gradients : ndarray (shards of this rank, B, width)
        The memory of the kernels for dH.
    squares : ndarray (V_in,) or None
        Adagrad's sums for the rows of the embedding; None for gradient descent.
    bags : bool
        Whether inputs are bags.

    Attributes
    ----------
    nodes, node_shards, rank_partials, partials, kept, gradients
        As in ``_kernels/exchange.pxi``; `rank_partials` is large enough for the most nodes of any rank.
    """

    def __init__(
        self,
        ranks: Ranks,
        parameters: Parameters,
        row_rates: NDArray[np.float64],
        h_gradients: NDArray[Any],
        pool: Pool,
        squares: NDArray[np.float64] | None,
        *,
        bags: bool,
    ) -> None:
        self._ranks, self._parameters, self._pool, self._squares = ranks, parameters, pool, squares
        self._row_rates, self._h_gradients, self._bags = row_rates, h_gradients, bags
        _, self._block_size, width = h_gradients.shape
        shards = len(shard_bounds(parameters.outputs)) - 1
        firsts = ranks.first_nodes(shards)
        sizes = np.diff(firsts)
        self.nodes, self._most = int(firsts[-1]), int(sizes.max())
        self.node_shards = shards // self.nodes
        # All ranks send the same number of nodes, though some have one less: where the nodes are in what is received
        places = np.concatenate([rank * self._most + np.arange(size) for rank, size in enumerate(sizes)])
        self._places = slice(None) if self._most == 1 else places
        self.rank_partials = np.empty(self._most * 3 * self._block_size)
        self.partials = np.empty(self.nodes * 3 * self._block_size)
        fit = KEPT_BYTES // (width * parameters.dtype.itemsize * self._most)
        most = len(row_rates) + self._block_size
        self._capacity = 0 if bags else max(2 * self._block_size, min(fit, most))
        self.kept = aligned_zeros((int(sizes[ranks.rank]), self._capacity + ranks.size, width), parameters.dtype)
        of_all = (self.nodes, self._block_size, width) if bags else (1, 1, width)
        self.gradients = aligned_zeros(of_all, parameters.dtype).reshape(-1)
        self._rows: list[NDArray[np.intp]] = []  # those of each block whose dH is kept
        self._rates = np.zeros(parameters.inputs)  # at which these rows of the embedding are updated

    def gather_partials(self, size: int) -> None:
        """Gather (max, sum, target logit) of the rows of a block, for each node, on all ranks."""
        self._gather(self.rank_partials[: self._most * 3 * size], self.partials[: self.nodes * 3 * size])

    def gather_gradients(self, size: int) -> None:
        """Gather dH of a block, for each node, on all ranks."""
        sent = self._padded(self._h_gradients[:: self.node_shards, :size]).reshape(-1)
        self._gather(sent, self.gradients[: self.nodes * len(sent) // self._most])

    def _gather(self, sent: NDArray[Any], of_all: NDArray[Any]) -> None:
        """Gather the arrays of the nodes of all ranks in `of_all`; each sends as many nodes as any rank at most."""
        received = np.empty((self._ranks.size * self._most, len(sent) // self._most), sent.dtype)
        self._ranks.comm.Allgather(sent, received)
        of_all.reshape(self.nodes, -1)[:] = received[self._places]

    def _padded(self, nodes: NDArray[Any]) -> NDArray[Any]:
        """Return C-contiguous arrays of the nodes of this rank, padded with one if other ranks have one more."""
        return np.concatenate([nodes, nodes[: self._most - len(nodes)]])

    def stepped(self, trainer: Any, rows: NDArray[np.intp], rate: float) -> None:
        """Record a step, whose dH is kept if there are no bags; merge what is kept when the memory is full."""
        if self._bags:
            return
        self._rows.append(rows)
        self._rates[rows] = rate * self._row_rates[rows]
        if sum(map(len, self._rows)) + self._block_size > self._capacity:
            self.join(trainer)

    def join(self, trainer: Any) -> None:
        """Merge the dH that a `BlockTrainer` has kept, and update the rows of the embedding.

        Rank r has part r of the rows: all ranks send it their parts of dH; it adds them by the tree, and sends the new
        rows of the embedding to all.
        """
        count = trainer.take_kept()
        if not count:
            return
        rows = np.concatenate(self._rows)
        self._rows.clear()
        ranks = self._ranks.size
        size = -(-count // ranks)
        part = rows[self._ranks.rank * size :][:size]
        self._update(part, self._gradients_of_part(size))
        for array in [self._parameters.embedding, *([] if self._squares is None else [self._squares])]:
            sent = np.zeros((size, *array.shape[1:]), array.dtype)
            sent[: len(part)] = array[part]
            received = np.empty((ranks * size, *array.shape[1:]), array.dtype)
            self._ranks.comm.Allgather(sent, received)
            array[rows] = received[:count]

    def _gradients_of_part(self, size: int) -> NDArray[Any]:
        """Return dH of this rank's part of the kept rows, for all nodes, (nodes, size, width)."""
        ranks, width = self._ranks.size, self.kept.shape[2]
        parts = self.kept[:, : ranks * size].reshape(len(self.kept), ranks, size, width)
        sent = np.ascontiguousarray(self._padded(parts).swapaxes(0, 1))  # for each rank, all nodes of this rank
        received = aligned_zeros(sent.shape, sent.dtype)
        self._ranks.comm.Alltoall(sent, received)
        of_nodes: NDArray[Any] = received.reshape(-1, size, width)[self._places]
        return of_nodes

    def _update(self, rows: NDArray[np.intp], gradients: NDArray[Any]) -> None:
        """Update some rows of the embedding, given the parts of dH of the nodes, (nodes, at least rows, width)."""
        p, update = self._parameters, kernels_for(self._parameters.dtype).block_update_embedding

        def update_piece(k: int) -> None:
            first, last = k * UPDATED_ROWS, min((k + 1) * UPDATED_ROWS, len(rows))
            update(p.embedding, rows, self._rates, gradients, self._squares, 1.0, first, last)

        self._pool.run(update_piece, -(-len(rows) // UPDATED_ROWS))

    def meet(self, trainer: Any, momentum: NDArray[Any]) -> None:
        """Give all ranks the steps of all, at the end of an epoch.

        They receive each shard of the linear layer and of its optimizer state from the rank that has trained it.
        """
        self.join(trainer)
        bounds = shard_bounds(self._parameters.outputs)
        for rank in range(self._ranks.size):
            shards = self._ranks.shards_of(rank, len(bounds) - 1)
            rows = slice(bounds[shards.start], bounds[shards.stop])
            for array in (self._parameters.weights, self._parameters.linear_squares, momentum):
                self._ranks.send(array[rows], rank)
