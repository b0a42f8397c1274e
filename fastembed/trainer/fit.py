"""One fit to counts: its data, epochs, early stopping, checkpoints, and the last epoch after any exception."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fastembed._base.arrays import canonical_csr
from fastembed._base.threads import Pool
from fastembed._base.validation import check_amounts, check_ids, check_seed, is_true, unmasked
from fastembed.counts.counts import Counts, groups_of
from fastembed.counts.store import GroupedCounts, grouped
from fastembed.trainer.blocks import BlockSteps, FitOptions
from fastembed.trainer.checkpoint import Checkpoint, Position, arrays_digest
from fastembed.trainer.inputs import Bags, check_bags
from fastembed.trainer.parameters import Parameters, TrainingDivergedError
from fastembed.trainer.ranks import Ranks

LARGEST_EXPONENT = math.log(sys.float_info.max)
COPIED_BYTES = 1 << 20  # of an array per task of copying or checking
Record = dict[str, float]


@dataclass(frozen=True, eq=False)
class FitData:
    """The data of a fit, checked.

    Attributes
    ----------
    counts : GroupedCounts (N, V)
    bags : Bags or None
        N bags; without them N is V_in, and input n is row n of the embedding.
    row_rates : ndarray (V_in,) or None
        Factors on the learning rates of the rows of the embedding, 0 for frozen rows; None if all are 1.
    input_weights : ndarray (N,) or None
    validation_counts, validation_bags
        The same of what is not trained on, if there is such.
    """

    counts: GroupedCounts
    bags: Bags | None = None
    row_rates: NDArray[np.float64] | None = None
    input_weights: NDArray[np.float64] | None = None
    validation_counts: GroupedCounts | None = None
    validation_bags: Bags | None = None


def check_data(
    parameters: Parameters,
    counts: Any,
    bags: Any = None,
    row_rates: ArrayLike | None = None,
    frozen_rows: ArrayLike = (),
    input_weights: ArrayLike | None = None,
    validation_counts: Any = None,
    validation_bags: Any = None,
) -> FitData:
    """Return the data for a fit of these parameters.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as `Trainer.fit_counts` documents it.
    """
    if validation_bags is not None and validation_counts is None:
        raise ValueError("validation_bags need validation_counts")
    rates = _check_row_rates(row_rates, frozen_rows, parameters.inputs)
    given = None if bags is None else check_bags("bags", bags, parameters.inputs, parameters.dtype)
    rows, what = (parameters.inputs, "inputs") if given is None else (len(given), "bags")
    groups, weights = check_counts(counts, (rows, parameters.outputs), rows=what), None
    if input_weights is not None:
        weights = _check_factors("input_weights", input_weights, groups.shape[0], "row of counts")
    if validation_counts is None:
        return FitData(groups, given, rates, weights)
    others = given
    if validation_bags is not None:
        others = check_bags("validation_bags", validation_bags, parameters.inputs, parameters.dtype)
        rows, what = len(others), "bags"
    held_out = check_counts(validation_counts, (rows, parameters.outputs), "validation_counts", what)
    return FitData(groups, given, rates, weights, held_out, others)


def check_counts(counts: Any, shape: tuple[int, int], name: str = "counts", rows: str = "inputs") -> GroupedCounts:
    """Return counts (N, V) in groups of rows; at least one must be positive.

    Parameters
    ----------
    counts : Counts, sparse array or GroupedCounts
    shape : (int, int)
        The right shape.
    name, rows : str
        The names of the counts and of their rows in messages.

    Raises
    ------
    TypeError, ValueError
        If they are not such counts, or have another shape.
    """
    is_sparse: bool = sparse.issparse(counts)
    if not isinstance(counts, Counts | GroupedCounts) and not is_sparse:
        raise TypeError(f"{name} must be a Counts or a SciPy sparse array, got {type(counts).__name__}")
    if counts.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, {rows} by outputs, got {counts.shape}")
    if is_sparse:
        counts = grouped(canonical_csr(name, counts))
    groups: GroupedCounts = groups_of(counts) if isinstance(counts, Counts) else counts
    with np.errstate(over="ignore"):
        total = groups.totals.rows.sum()
    if np.isinf(total):
        raise ValueError(f"{name} must have a finite sum, but they add up to {total}")
    if not groups.entries.any():
        raise ValueError(f"{name} must hold at least one positive count, but all are zero")
    return groups


def _check_factors(name: str, factors: ArrayLike, count: int, each: str) -> NDArray[np.float64]:
    """Return non-negative factors (count,), one for each thing of this name."""
    array = unmasked(name, factors)
    check_amounts(name, array)
    if array.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), one for each {each}, got {array.shape}")
    return array.astype(np.float64)


def _check_row_rates(rates: ArrayLike | None, frozen: ArrayLike, inputs: int) -> NDArray[np.float64] | None:
    """Return the factors (V_in,) on the learning rate of the rows of an embedding, 0 if frozen; None if all are 1."""
    frozen = unmasked("frozen_rows", frozen)
    if rates is None and not frozen.size:
        return None
    checked = np.ones(inputs) if rates is None else _check_factors("row_rates", rates, inputs, "input")
    if frozen.size:
        checked[check_ids("frozen_rows", frozen, inputs)] = 0
    return checked


class Fit:
    """One fit of the parameters of a model to counts: what it trains on, and where it is in its epochs.

    An exception leaves the parameters and the generator as the last completed epoch left them.

    Parameters
    ----------
    parameters : Parameters
        Trained in place.
    seed : int, Generator or None
        Of the order of the inputs.
    on_epoch_end : callable or None
        Called with the record of each epoch; training ends early if it returns True.
    ranks : Ranks
        Those that make this fit together.

    Attributes
    ----------
    steps, validation : BlockSteps, BlockSteps or None
        The steps on the counts, and the likelihood of the validation counts.
    good : Snapshot
        The parameters at the end of the last epoch.
    best : Snapshot or None
        With early stopping: those of the epoch with the lowest validation nll.
    history : list of dict
        The records of the epochs, including that of an epoch whose callback runs.
    """

    def __init__(
        self,
        parameters: Parameters,
        data: FitData,
        options: FitOptions,
        seed: Any,
        pool: Pool,
        on_epoch_end: Callable[[Record], object] | None,
        ranks: Ranks,
    ) -> None:
        self.parameters, self.data, self.options, self.seed = parameters, data, options, seed
        self.on_epoch_end, self.ranks = on_epoch_end, ranks
        self.rng = check_seed(seed)
        factors = data.row_rates, data.input_weights
        self.steps = BlockSteps(parameters, data.counts, options, pool, ranks, data.bags, *factors)
        self.validation: BlockSteps | None = None
        if data.validation_counts is not None:
            held_out = data.validation_counts, options, pool, ranks, data.validation_bags
            self.validation = BlockSteps(parameters, *held_out)
        self.good = Snapshot(parameters.trained, pool)
        self.best = None if options.n_iter_no_change is None else Snapshot(parameters.trained, pool)
        self.checkpoint: Checkpoint | None = None
        self.history: list[Record] = []

    def run(self, path: str | None = None) -> list[Record]:
        """Train for the number of epochs in the options, or until `on_epoch_end` returns True; return the records.

        With `n_iter_no_change`, training also ends when the nll of the validation counts has not fallen for as many
        epochs. In any case the parameters are then those of the epoch with the lowest nll; only its record is `kept`.

        If the file of a checkpoint is at the path, training resumes from it.
        """
        if self.best is not None:
            self.best.take()
        if not self._resumed(path) and not self.options.warm_start:
            self.parameters.squares.fill(0)
            self.parameters.linear_squares.fill(0)
        self.good.take()
        try:
            while not self.position.ended:
                self._epoch()
            if self.best is not None:
                self.best.restore()
                for record in self.history:
                    record["kept"] = record["epoch"] == self.position.best_epoch
        except BaseException:
            self.good.restore()
            self.rng.bit_generator.state = self.position.generator
            self.history[:] = self.position.history
            raise
        return self.ranks.shared([dict(record) for record in self.history])

    def _resumed(self, path: str | None) -> bool:
        """Go to the position in a checkpoint, on all ranks; return whether there is one."""
        several, arrays, position = self.ranks.size > 1, self._arrays(), None
        identity = self._identity() if several or path is not None else {}
        if several:
            self.ranks.compare(identity)
            self.ranks.start(self.parameters, self.rng)
        with self.ranks.agreeing():
            if path is not None:
                generator = self.rng.bit_generator.state if isinstance(self.seed, np.random.Generator) else None
                self.checkpoint = Checkpoint(path, identity, self.parameters.trained, generator)
                position = self.checkpoint.read(arrays)
        position = self.ranks.shared(position)
        if position is None:
            self.position = Position(self.rng.bit_generator.state, [])
            return False
        if several:
            for array in arrays.values():
                self.ranks.send(array, 0)
        self.position, self.history[:] = position, position.history
        self.rng.bit_generator.state = position.generator
        return True

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a checkpoint holds."""
        best = {} if self.best is None else {f"best.{name}": copy for name, copy in self.best.copies.items()}
        return self.steps.state | best

    def _identity(self) -> dict[str, Any]:
        """Return the arguments of the fit, except its start, under the names that errors use."""
        p, data = self.parameters, self.data
        held_out = data.validation_counts
        bags = {name: getattr(data, name) for name in ("bags", "validation_bags")}
        arrays = {"row_rates": data.row_rates, "input_weights": data.input_weights, "bias": p.bias}
        return {
            "dtype": str(p.dtype),
            "inputs": p.inputs,
            "dim": p.dim,
            "outputs": p.outputs,
            "counts": data.counts.sha256(),
            "validation_counts": None if held_out is None else held_out.sha256(),
            **{name: None if each is None else arrays_digest(vars(each)) for name, each in bags.items()},
            **{name: None if each is None else arrays_digest({name: each}) for name, each in arrays.items()},
            **asdict(self.options),
            "seed": "a Generator" if isinstance(self.seed, np.random.Generator) else self.seed,
        }

    def _epoch(self) -> None:
        at, options, began = self.position, self.options, time.perf_counter()
        epoch = len(at.history) + 1
        nll = self.steps.epoch(epoch, self.rng)
        record = {
            "epoch": epoch,
            "nll": nll,
            "perplexity": math.exp(nll) if nll < LARGEST_EXPONENT else math.inf,
            "learning_rate": options.learning_rate * self.steps.share_after(epoch),
            "seconds": time.perf_counter() - began,
        }
        if (fault := self.good.fault()) is not None:
            raise TrainingDivergedError(
                f"{fault} at the end of epoch {epoch}: the parameters are too large, or a learning rate is", epoch
            )
        if self.validation is not None:
            try:
                record["validation_nll"] = self.validation.nll()
            except FloatingPointError as error:
                message = f"at the end of epoch {epoch}, on the validation counts, {error}"
                raise TrainingDivergedError(message, epoch) from None
        best_epoch, lowest = at.best_epoch, at.lowest
        if self.best is not None and record["validation_nll"] < lowest:
            best_epoch, lowest = epoch, record["validation_nll"]
            self.best.take()
        if options.l2 or options.linear_l2:
            self.steps.shrink(epoch)
        self.history.append(record)
        ended = self.ranks.first and self.on_epoch_end is not None and is_true(self.on_epoch_end(dict(record)))
        ended = self.ranks.shared(ended) or epoch >= options.epochs
        if options.n_iter_no_change is not None:
            ended |= epoch - best_epoch >= options.n_iter_no_change
        position = Position(self.rng.bit_generator.state, list(self.history), best_epoch, lowest, ended)
        if self.checkpoint is not None:
            self.checkpoint.write(position, self._arrays())
        self.good.take()
        self.position = position


class Snapshot:
    """A copy of some arrays, once it has been taken.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        The arrays, under the names that errors use.
    pool : Pool
        The threads that share the work.

    Attributes
    ----------
    copies : dict of str to ndarray

    Examples
    --------
    >>> numbers = np.arange(3.0)
    >>> snapshot = Snapshot({"numbers": numbers}, Pool(1))
    >>> snapshot.take()
    >>> numbers[1] = np.inf
    >>> snapshot.fault()
    'numbers[1] is inf'
    >>> snapshot.restore()
    >>> numbers
    array([0., 1., 2.])
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], pool: Pool) -> None:
        self._arrays, self._pool = dict(arrays), pool
        self._whole = False  # whether the copy is that of one time
        self.copies = {name: np.empty_like(array) for name, array in arrays.items()}
        self._pieces = [  # of the arrays and of the copies
            (array[first : first + rows], self.copies[name][first : first + rows])
            for name, array in arrays.items()
            for rows in [max(1, COPIED_BYTES // array[:1].nbytes)]
            for first in range(0, len(array), rows)
        ]

    def take(self) -> None:
        """Copy the current values of the arrays."""
        self._whole = False
        self._pool.run(lambda k: np.copyto(*self._pieces[k][::-1]), len(self._pieces))
        self._whole = True

    def restore(self) -> None:
        """Write the copy back to the arrays, in place, unless a Ctrl-C has interrupted the copying."""
        if self._whole:
            self._pool.run(lambda k: np.copyto(*self._pieces[k]), len(self._pieces))

    def fault(self) -> str | None:
        """Describe the first number of the arrays that is not finite; None if all are finite."""
        finite = np.empty(len(self._pieces), bool)

        def check(k: int) -> None:
            finite[k] = np.isfinite(self._pieces[k][0]).all()

        self._pool.run(check, len(self._pieces))
        if finite.all():
            return None
        name, array = next(item for item in self._arrays.items() if not np.isfinite(item[1]).all())
        place = np.unravel_index(int(np.argmin(np.isfinite(array))), array.shape)
        return f"{name}[{', '.join(str(int(k)) for k in place)}] is {array[place]}"
