"""`train`, the one driver of training: epochs, early stopping, checkpoints, divergence."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from operator import setitem
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed._base.validation import all_finite, check_seed, warn_user
from fastembed._versions import origin_of_bits
from fastembed.trainer.blocks import BlockSteps
from fastembed.trainer.checkpoint import Checkpoint, Position, arrays_digest
from fastembed.trainer.data import FitData, FitOptions
from fastembed.trainer.parameters import Parameters, TrainingDivergedError
from fastembed.trainer.run import Record, Run, Show

LARGEST_EXPONENT = math.log(sys.float_info.max)


def train(
    parameters: Parameters, data: FitData, options: FitOptions, run: Run, show: Show | None = None
) -> list[Record]:
    """Train the parameters in place, for the number of epochs or until the callback ends it; return the records.

    With `n_iter_no_change`, training also ends when the nll of the validation counts has not fallen for as many
    epochs. The parameters are then those of the epoch with the lowest nll, whose record is `kept`.

    If the file of a checkpoint exists, training resumes from it. After an exception the parameters and the generator
    are those at the end of the last completed epoch.
    """
    fit = _Fit(parameters, data, options, run, show)
    fit.begin()
    try:
        while not fit.last.position.ended:
            fit.epoch()
    except BaseException:
        fit.roll_back()
        if show is not None and fit.last.position.history:
            show(fit.last.position.history)
        raise
    history = run.ranks.shared(fit.result())
    check_rise(history[0]["nll"], history[-1]["nll"], math.log(parameters.outputs))
    return history


def check_rise(first: float, last: float, uniform_loss: float) -> None:
    """Warn if the loss of the last epoch is far above the loss of the first epoch, and of equal probabilities."""
    if last > 10 * max(first, uniform_loss):
        warn_user(f"the loss has risen from {first:.4g} to {last:.4g}: lower the learning rate")


class _Fit:
    """What `train` holds between two epochs.

    Attributes
    ----------
    steps, validation : BlockSteps, BlockSteps or None
        The steps on the counts, and the likelihood of the validation counts.
    last : Snapshot
        The position and the parameters at the end of the last epoch.
    best : Snapshot or None
        With early stopping: the parameters at the end of the epoch with the lowest validation nll.
    arrays : dict of str to ndarray
        The content of a checkpoint.
    """

    def __init__(self, parameters: Parameters, data: FitData, options: FitOptions, run: Run, show: Show | None) -> None:
        self.parameters, self.data, self.options, self.run, self.show = parameters, data, options, run, show
        self.rng = check_seed(options.seed)
        self.steps = BlockSteps(parameters, data, options, run)
        self.validation = None if data.validation is None else BlockSteps(parameters, data.validation, options, run)
        self.last = Snapshot(parameters.trained)
        self.best = None if options.n_iter_no_change is None else Snapshot(parameters.trained)
        best = {} if self.best is None else {f"best.{name}": copy for name, copy in self.best.copies.items()}
        self.arrays = self.steps.state | best
        self.checkpoint: Checkpoint | None = None

    def begin(self) -> None:
        """Go to the start, or to the position in the checkpoint, on all ranks."""
        run, p = self.run, self.parameters
        identity = self._identity() if run.must_agree else {}
        position, tensors = Position(self.rng.bit_generator.state, []), None
        if run.checkpoint is not None:
            generator = position.generator if self._has_generator else None
            self.checkpoint = Checkpoint(run.checkpoint, identity, p.trained, generator)
            position, tensors = self.checkpoint.read() or (position, None)
        position = run.ranks.meet(identity, position)
        self.rng.bit_generator.state = position.generator
        if self.best is not None:
            self.best.take()
        if tensors is not None:
            for name, array in self.arrays.items():
                array[...] = tensors[name]
        elif not self.options.warm_start:
            p.squares.fill(0)
            p.linear_squares.fill(0)
        if run.ranks.size > 1:
            for array in self.arrays.values():
                run.ranks.send(array, 0)
        self.last.take(position)

    @property
    def _has_generator(self) -> bool:
        return isinstance(self.options.seed, np.random.Generator)

    def _identity(self) -> dict[str, Any]:
        """Return what the bits depend on, except the start, under the names that errors use."""
        p, data, validation = self.parameters, self.data, self.data.validation
        bags = {"bags": data.bags, "validation_bags": validation and validation.bags}
        arrays = {"row_rates": data.row_rates, "input_weights": data.input_weights, "bias": p.bias}
        return {
            **origin_of_bits(),
            **data.facts,
            "dtype": str(p.dtype),
            "inputs": p.inputs,
            "dim": p.dim,
            "outputs": p.outputs,
            "counts": data.counts.sha256(),
            "validation_counts": validation and validation.counts.sha256(),
            **{name: None if bag is None else arrays_digest(vars(bag)) for name, bag in bags.items()},
            **{name: None if array is None else arrays_digest({name: array}) for name, array in arrays.items()},
            **asdict(replace(self.options, seed=0)),
            "seed": "a Generator" if self._has_generator else self.options.seed,
        }

    def epoch(self) -> None:
        """Train for one epoch."""
        at, options = self.last.position, self.options
        epoch = len(at.history) + 1
        nll = self.steps.epoch(epoch, self.rng)
        record = {
            "epoch": epoch,
            "nll": nll,
            "perplexity": math.exp(nll) if nll < LARGEST_EXPONENT else math.inf,
            "learning_rate": options.learning_rate * self.steps.share_after(epoch * self.steps.blocks_per_epoch),
        }
        if (fault := _fault(self.parameters.trained)) is not None:
            message = f"{fault} at the end of epoch {epoch}: lower the learning rates or parameters"
            raise TrainingDivergedError(message, epoch)
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
        history = [*at.history, record]
        ended = self.run.epoch_ended(history, self.show) or epoch >= options.epochs
        if options.n_iter_no_change is not None:
            ended |= epoch - best_epoch >= options.n_iter_no_change
        position = Position(self.rng.bit_generator.state, history, best_epoch, lowest, ended)
        if self.checkpoint is not None:
            self.checkpoint.write(position, self.arrays)
        self.last.take(position)

    def roll_back(self) -> None:
        """Return to the end of the last completed epoch."""
        self.last.restore()
        self.rng.bit_generator.state = self.last.position.generator

    def result(self) -> list[Record]:
        """Return the records; with early stopping, first restore the parameters of the best epoch."""
        history = [dict(record) for record in self.last.position.history]
        if self.best is not None:
            self.best.restore()
            for record in history:
                record["kept"] = record["epoch"] == self.last.position.best_epoch
        return history


class Snapshot:
    """A copy of some arrays, and the position of the fit at which it was made.

    All are set in one call of C, which no Ctrl-C interrupts. So no interrupt leaves a half-made copy.

    Parameters
    ----------
    arrays : mapping of str to ndarray

    Attributes
    ----------
    copies : dict of str to ndarray
    position : Position or None

    Examples
    --------
    >>> numbers = np.arange(3.0)
    >>> snapshot = Snapshot({"numbers": numbers})
    >>> snapshot.take()
    >>> numbers[1] = np.inf
    >>> snapshot.restore()
    >>> numbers
    array([0., 1., 2.])
    """

    position: Position

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = dict(arrays)
        self.copies = {name: np.empty_like(array) for name, array in arrays.items()}

    def take(self, position: Position | None = None) -> None:
        """Copy the current values of the arrays."""
        _assign(*((self.copies[k], ..., a) for k, a in self._arrays.items()), (vars(self), "position", position))

    def restore(self) -> None:
        """Write the copy back to the arrays, in place."""
        _assign(*[(array, ..., self.copies[name]) for name, array in self._arrays.items()])


def _assign(*assignments: tuple[Any, Any, Any]) -> None:
    """Make assignments ``target[place] = value``, all or none: an interrupt waits for the end of a call of C."""
    list(map(setitem, *zip(*assignments, strict=True)))


def _fault(arrays: Mapping[str, NDArray[Any]]) -> str | None:
    """Describe the first number of the arrays that is not finite; None if all are finite."""
    for name, array in arrays.items():
        if not all_finite(array):
            place = np.unravel_index(int(np.argmin(np.isfinite(array))), array.shape)
            return f"{name}[{', '.join(str(int(k)) for k in place)}] is {array[place]}"
    return None
