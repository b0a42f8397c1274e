"""One fit by several processes, the ranks of an MPI communicator: what they tell one another.

Each rank has all parameters, and trains the linear layer of a run of the shards. The runs are nodes of the binary tree
by which the results of shards are merged, one for each rank or some, so the parameters have the bits of a fit by one
process:

    a block             for each node (max, sum, target logit) of its rows, from each rank to all; with bags also dH
    some blocks         dH of their rows without bags, which share no row of the embedding: each rank joins an equal
                        part of the rows, updates their rows of the embedding, and sends them to all
    an epoch            the linear layer and its optimizer's state, and so before a checkpoint

The communicator is mpi4py's, or any object with these of its methods; this module does not import it.
"""

from __future__ import annotations

import platform
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import aligned_zeros
from fastembed._base.blas import single_threaded_blas
from fastembed._base.errors import TrainingDivergedError
from fastembed._base.printable import shown
from fastembed._base.threads import Pool
from fastembed._base.validation import is_true
from fastembed._base.warning import warn_user
from fastembed._kernels import kernels_for
from fastembed._versions import origin_of_bits
from fastembed.trainer.checkpoint import Checkpoint, Stored
from fastembed.trainer.parameters import Parameters
from fastembed.trainer.shards import Division
from fastembed.trainer.snapshot import Snapshot

T = TypeVar("T")

# About the bytes of dH that are kept before ranks join it: messages are long, and memory is bounded
KEPT_BYTES = 1 << 26
UPDATED_ROWS = 512  # rows of the embedding that one task of a rank updates
SENT_BYTES = 1 << 28  # the most bytes of an array that one rank sends to all in a message: MPI counts in int
DUE_BLOCKS = 16  # blocks between two questions to rank 0 whether a checkpoint is due
TRIALS = 7  # trials of an exchange, of which the median counts
ERRORS = (TypeError, ValueError, OSError, MemoryError)  # errors that ranks tell one another as they are


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
    """The ranks of a communicator, as one of them sees them. Each calls the same methods in the same order.

    Parameters
    ----------
    comm : Communicator

    Attributes
    ----------
    rank, size : int
        The number of this one, and of all.
    first : bool
        Whether this is rank 0, whose parameters a fit starts from, and which alone calls back and writes.

    Raises
    ------
    TypeError
        If `comm` is not a communicator.
    """

    def __init__(self, comm: Any) -> None:
        missing = [name for name in vars(Communicator) if name[0] != "_" and not callable(getattr(comm, name, None))]
        if missing:
            raise TypeError(f"comm must be a communicator, such as mpi4py's MPI.COMM_WORLD, got {shown(comm)}")
        self._comm: Communicator = comm
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.first = self.rank == 0

    def division(self, shards: int) -> Division:
        """Return which shards each rank has, of so many in all, which is a power of two.

        Raises
        ------
        ValueError
            If there are fewer shards than ranks.
        """
        if self.size > shards:
            raise ValueError(
                f"the number of ranks must be at most {shards}, the number of shards of the outputs, got {self.size}"
            )
        return Division.of(shards, self.size)

    # ---------------------------------------------------------------- agreement

    @contextmanager
    def ending_all(self) -> Iterator[None]:
        """End the processes of all ranks if a `with` block raises what the others do not know of."""
        try:
            yield
        except BaseException as error:
            if not is_known_to_all(error) and self.size > 1:
                error.add_note(f"on rank {self.rank} of {self.size}, {platform.node()}: all of them end")
                sys.excepthook(type(error), error, error.__traceback__)
                sys.stderr.flush()
                self._comm.Abort(1)
            raise

    def agreed(self, function: Callable[[], T]) -> T:
        """Return ``function()``; if it raises on a rank, raise on all what it did on the first of these."""
        result: T | None = None
        failure: BaseException | None = None
        with self.ending_all():
            try:
                result = function()
            except (Exception, SystemExit) as error:
                failure = error
            told = self._comm.allgather(None if failure is None else _retold(failure, self.rank))
            for rank, other in enumerate(told):
                if other is not None:
                    raise _known_to_all(failure if failure is not None and rank == self.rank else other)
        return result  # type: ignore[return-value]

    def on_first_rank(self, function: Callable[[], T]) -> T | None:
        """Return ``function()`` on rank 0, None on others; all raise what it raises."""
        return self.agreed(function if self.first else lambda: None)

    def shared(self, value: T) -> T:
        """Return the value that rank 0 has."""
        result: T = self._comm.bcast(value, root=0)
        return result

    def compare(self, things: Mapping[str, Any]) -> None:
        """Raise ValueError on all ranks, if one differs from rank 0 in the kernels, BLAS, versions or other things."""
        own = {name: str(value) for name, value in {**origin_of_bits(), **things}.items()}
        others = self._comm.allgather((platform.node(), own))
        where, wanted = others[0]
        for rank, (host, found) in enumerate(others):
            for name, value in wanted.items():
                if found.get(name) != value:
                    raise _known_to_all(
                        ValueError(
                            f"rank {rank} on {host} has {name} {found.get(name)}, but rank 0 on {where} has {value}:"
                            " all ranks must have the same, or bits would differ"
                        )
                    )

    # ---------------------------------------------------------------- arrays

    def send(self, array: NDArray[Any], rank: int) -> None:
        """Send an array, C-contiguous, from a rank to all, in place."""
        flat = array.reshape(-1)
        step = SENT_BYTES // array.itemsize
        for begin in range(0, len(flat), step):
            self._comm.Bcast(flat[begin : begin + step], root=rank)

    def gather(self, own: NDArray[Any], of_all: NDArray[Any]) -> None:
        """Put the array of each rank into `of_all`, end to end."""
        self._comm.Allgather(own, of_all)

    def transpose(self, sent: NDArray[Any], received: NDArray[Any]) -> None:
        """Send part r of `sent` (size, ...) to rank r, and put what rank r sends into part r of `received`."""
        self._comm.Alltoall(sent, received)

    # ---------------------------------------------------------------- a fit

    def start(self, parameters: Parameters, rng: np.random.Generator) -> None:
        """Let all ranks start from the parameters and the generator of rank 0."""
        for array in parameters.trained.values():
            self.send(array, 0)
        rng.bit_generator.state = self.shared(rng.bit_generator.state)

    def deciding(self, on_epoch_end: Callable[[dict[str, float]], object] | None) -> Callable[[dict[str, float]], bool]:
        """Return a callback for all ranks: rank 0 calls the given one, and all have its answer."""

        def decide(record: dict[str, float]) -> bool:
            return self.shared(self.first and on_epoch_end is not None and is_true(on_epoch_end(record)))

        return decide

    def checkpoint(self, own: Checkpoint | None) -> RanksCheckpoint | None:
        """Return what stands for the checkpoint of rank 0 on all ranks; None if it has none."""
        return RanksCheckpoint(self, own) if self.shared(own is not None) else None

    def warn_if_slower(self, exchange: Exchange) -> None:
        """Warn, on rank 0, if by a trial what ranks tell one another of a block takes longer than they save."""
        if self.size == 1:
            return
        between, alone = exchange.seconds(), exchange.product_seconds()
        if self.first and between > alone * (1 - exchange.largest_share):
            warn_user(
                f"one rank would be faster than {self.size}: its matrix products of a block take about"
                f" {1e3 * alone:.2g} ms, and what {self.size} ranks tell one another of a block"
                f" {1e3 * between:.2g} ms"
            )


@contextmanager
def ranks_of(comm: Any) -> Iterator[Ranks | None]:
    """Yield the ranks of a communicator; None without one. What one of them alone raises in a `with` block ends all."""
    if comm is None:
        yield None
        return
    ranks = Ranks(comm)
    with ranks.ending_all():
        yield ranks


def agreed(ranks: Ranks | None, function: Callable[[], T]) -> T:
    """Return ``function()``; with ranks as `Ranks.agreed` does."""
    return function() if ranks is None else ranks.agreed(function)


def on_first_rank(ranks: Ranks | None, function: Callable[[], T]) -> T | None:
    """Return ``function()``; with ranks as `Ranks.on_first_rank` does."""
    return function() if ranks is None else ranks.on_first_rank(function)


def is_known_to_all(error: BaseException) -> bool:
    """Return whether all ranks raise this error, or one for it, at the same place."""
    return isinstance(error, TrainingDivergedError) or hasattr(error, "is_known_to_all")  # all have the same numbers


def _known_to_all(error: BaseException) -> BaseException:
    """Return an error that all ranks raise, marked as such."""
    error.is_known_to_all = True  # type: ignore[attr-defined]
    return error


def _retold(error: BaseException, rank: int) -> BaseException:
    """Return the error that the other ranks raise for that of a rank."""
    if isinstance(error, SystemExit):
        return SystemExit(error.code)
    kind = next((kind for kind in ERRORS if isinstance(error, kind)), RuntimeError)
    return kind(f"rank {rank}: {error}")


class RanksCheckpoint:
    """A `Checkpoint` of rank 0 for all ranks, which go on from it together.

    Parameters
    ----------
    ranks : Ranks
    own : Checkpoint or None
        None on other ranks.
    """

    failed = True  # nothing is written after an exception: another rank, whose part it needs, may not know of it

    def __init__(self, ranks: Ranks, own: Checkpoint | None) -> None:
        self._ranks, self._own, self._blocks = ranks, own, 0
        file = ranks.shared(None if own is None else own.file)
        assert file is not None
        self.file = file

    def read(self, trained: Any, epochs: int) -> Stored | None:
        """Return on all ranks what the file of rank 0 holds; None if there is no file."""
        own = self._own
        stored = self._ranks.agreed(lambda: None if own is None else own.read(trained, epochs))
        position = self._ranks.shared(None if stored is None else stored.position)
        if position is None:
            return None
        of_first = {} if stored is None else stored.tensors
        forms = self._ranks.shared({name: (array.shape, array.dtype) for name, array in of_first.items()})
        tensors = {}
        for name, (shape, dtype) in forms.items():
            tensors[name] = np.array(of_first[name]) if name in of_first else np.empty(shape, dtype)
            self._ranks.send(tensors[name], 0)
        return Stored(position, tensors)

    def due(self) -> bool:
        """Return on all ranks whether it is time to write within an epoch, from time to time; else False."""
        self._blocks += 1
        if self._blocks % DUE_BLOCKS:
            return False
        return self._ranks.shared(self._own is not None and self._own.due())

    def write(self, position: Any, state: Snapshot, **others: Snapshot) -> None:
        """Write on rank 0."""
        if self._own is not None:
            self._own.write(position, state, **others)

    def wait(self) -> None:
        """Wait on rank 0 until what was written last is on disk."""
        if self._own is not None:
            self._own.wait()


class Exchange:
    """What the ranks tell one another of the blocks of one fit; the kernels call it (``_kernels/block_trainer.pxi``).

    Parameters
    ----------
    ranks : Ranks
    parameters : Parameters
    bounds : ndarray (S + 1,)
        Of the shards of all ranks.
    row_rates : ndarray (V_in,)
        Factors on the rate of the rows of the embedding.
    h_gradients : ndarray (shards of this rank, B, width)
        The memory of the kernels for dH.
    pool : Pool
    bags : bool
        Whether inputs are bags.

    Attributes
    ----------
    nodes, node_shards, joined, partials, kept, gradients
        As of the `exchange` of the kernel `block_trainer`; `joined` has room for the most nodes of a rank.
    largest_share : float
        Of the shards, that one rank has.
    """

    def __init__(
        self,
        ranks: Ranks,
        parameters: Parameters,
        bounds: NDArray[np.intp],
        row_rates: NDArray[np.float64],
        h_gradients: NDArray[Any],
        pool: Pool,
        *,
        bags: bool,
    ) -> None:
        self._ranks, self._parameters, self._pool, self._bounds = ranks, parameters, pool, bounds
        self._row_rates, self._h_gradients, self._bags = row_rates, h_gradients, bags
        self._division = division = Division.of(len(bounds) - 1, ranks.size)
        self._block_size, width = int(h_gradients.shape[1]), int(h_gradients.shape[2])
        self.nodes, self.node_shards, self._most = division.nodes, division.node, division.most
        self.largest_share = self._most / self.nodes
        # All ranks send equally many nodes, though some have one less: the places of true ones in what is received
        sizes = np.diff(division.firsts)
        self._places = np.concatenate([rank * self._most + np.arange(size) for rank, size in enumerate(sizes)])
        self.joined = np.empty(self._most * 3 * self._block_size)
        self.partials = np.empty(self.nodes * 3 * self._block_size)
        self._capacity = 0 if bags else self._rows_kept(width * parameters.dtype.itemsize)
        self.kept = aligned_zeros((int(sizes[ranks.rank]), self._capacity + ranks.size, width), parameters.dtype)
        of_all = (self.nodes, self._block_size, width) if bags else (1, 1, width)
        self.gradients = aligned_zeros(of_all, parameters.dtype).reshape(-1)
        self._steps: deque[tuple[NDArray[np.intp], float]] = deque()  # rows and rates, whose dH is kept or will be
        self._rows = 0  # of these
        self._rates = np.zeros(parameters.inputs)

    def _rows_kept(self, row_bytes: int) -> int:
        most = len(self._row_rates) + self._block_size
        return max(2 * self._block_size, min(KEPT_BYTES // (row_bytes * self._most), most))

    def gather_partials(self, size: int) -> None:
        """Let all ranks have the (max, sum, target logit) of a block's rows, of each node."""
        self._gather(self.joined[: self._most * 3 * size], self.partials[: self.nodes * 3 * size])

    def gather_gradients(self, size: int) -> None:
        """Let all ranks have dH of a block, of each node."""
        own = self._padded(self._h_gradients[:: self.node_shards, :size]).reshape(-1)
        self._gather(own, self.gradients[: self.nodes * len(own) // self._most])

    def _gather(self, own: NDArray[Any], of_all: NDArray[Any]) -> None:
        """Put the arrays of the nodes of each rank into `of_all`, end to end; `own` has the most nodes of a rank."""
        if self._most == 1:
            self._ranks.gather(own, of_all)
            return
        received = np.empty(self._ranks.size * len(own), own.dtype)
        self._ranks.gather(own, received)
        of_all.reshape(self.nodes, -1)[:] = received.reshape(-1, len(own) // self._most)[self._places]

    def _padded(self, own: NDArray[Any]) -> NDArray[Any]:
        """Return arrays of the nodes of this rank, with any other if it has one node less than others, C-contiguous."""
        return np.ascontiguousarray(own) if len(own) == self._most else np.concatenate([own, own[:1]])

    def stepped(self, trainer: Any, rows: NDArray[np.intp], rate: float) -> None:
        """Note a step, whose dH is kept if there are no bags; join what is kept when there is no room for another."""
        if self._bags:
            return
        self._steps.append((rows, rate))
        self._rows += len(rows)
        if self._rows + self._block_size > self._capacity:
            self.join(trainer)

    def join(self, trainer: Any) -> None:
        """Join what a `BlockTrainer` has kept of dH, and update its rows of the embedding.

        Rank r has part r of the rows: all send it their parts of dH, it adds them up by the tree, and sends the new
        rows of the embedding to all.
        """
        count = trainer.take_kept()
        if not count:
            return
        rows = np.empty(count, np.intp)
        filled, self._rows = 0, self._rows - count
        while filled < count:
            of_step, rate = self._steps.popleft()
            rows[filled : filled + len(of_step)] = of_step
            self._rates[of_step] = rate * self._row_rates[of_step]
            filled += len(of_step)
        ranks = self._ranks.size
        each = -(-count // ranks)
        own = rows[self._ranks.rank * each :][:each]
        self._update(own, self._gradients_of_part(each))
        for array in (self._parameters.embedding, self._parameters.squares):
            part = np.zeros((each, *array.shape[1:]), array.dtype)
            part[: len(own)] = array[own]
            of_all = np.empty((ranks * each, *array.shape[1:]), array.dtype)
            self._ranks.gather(part, of_all)
            array[rows] = of_all[:count]

    def _gradients_of_part(self, each: int) -> NDArray[Any]:
        """Return dH of this rank's part of the kept rows, so many for each rank, of all nodes, (nodes, each, width)."""
        ranks, width = self._ranks.size, self.kept.shape[2]
        parts = self.kept[:, : ranks * each].reshape(len(self.kept), ranks, each, width)
        sent = self._padded(parts).swapaxes(0, 1)  # for each rank, of all nodes of this one
        received = aligned_zeros(sent.shape, sent.dtype)
        self._ranks.transpose(np.ascontiguousarray(sent), received)
        of_nodes = received.reshape(-1, each, width)
        return of_nodes if self._most == 1 else of_nodes[self._places]

    def _update(self, rows: NDArray[np.intp], gradients: NDArray[Any]) -> None:
        """Make the steps of some rows of the embedding, with the nodes' parts of dH, (nodes, at least rows, width)."""
        p, update = self._parameters, kernels_for(self._parameters.dtype).block_update_embedding

        def update_piece(k: int) -> None:
            first, last = k * UPDATED_ROWS, min((k + 1) * UPDATED_ROWS, len(rows))
            update(p.embedding, rows, self._rates, gradients, p.squares, 1.0, first, last)

        self._pool.run(update_piece, -(-len(rows) // UPDATED_ROWS))

    def meet(self, *of_outputs: NDArray[Any]) -> None:
        """Let all ranks have the arrays (V, ...) of the linear layer as the rank of each shard has trained them."""
        if self._ranks.size == 1:
            return
        for rank in range(self._ranks.size):
            own = self._division.shards(rank)
            rows = slice(self._bounds[own.start], self._bounds[own.stop])
            for array in of_outputs:
                self._ranks.send(array[rows], rank)

    # ---------------------------------------------------------------- trials

    def seconds(self) -> float:
        """Return how long the ranks need to tell one another of a block, by the median of some trials."""
        block = self._h_gradients[0].reshape(-1)
        share = block[: len(block) // self._ranks.size]
        received = np.empty(self._ranks.size * len(share), block.dtype)

        def exchange() -> None:
            self.gather_partials(self._block_size)
            for _ in range(self._most + 1):  # about what `join` sends of a block: dH of each node, and the new rows
                self._ranks.gather(share, received)

        return _median_seconds(exchange)

    def product_seconds(self) -> float:
        """Return how long one rank alone would need for the products of a block, by trials of one with one shard."""
        p, shards = self._parameters, len(self._bounds) - 1
        h = np.zeros((self._block_size, p.weights.shape[1]), p.dtype)
        weights = p.weights[: self._bounds[1]]
        with single_threaded_blas():
            return 3 * _median_seconds(lambda: h @ weights.T) * -(-shards // self._pool.threads)


def _median_seconds(call: Callable[[], object]) -> float:
    times = []
    for _ in range(TRIALS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return float(np.median(times))
