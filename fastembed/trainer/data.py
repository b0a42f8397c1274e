"""The data and the options of a fit, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fastembed._base.arrays import canonical_csr
from fastembed._base.threads import Pool
from fastembed._base.validation import (
    check_amounts,
    check_choice,
    check_flag,
    check_ids,
    check_integer,
    check_number,
    check_seed,
    unmasked,
)
from fastembed.counts.counts import Counts, tiled_counts
from fastembed.counts.store import GroupedCounts, grouped
from fastembed.trainer.inputs import Bags, check_bags
from fastembed.trainer.parameters import Parameters

OPTIMIZERS = ("adagrad", "sgd")


@dataclass(frozen=True, eq=False)
class FitData:
    """The data of a fit.

    Attributes
    ----------
    counts : GroupedCounts (N, V)
    bags : Bags or None
        N bags; without them N is V_in, and input n is row n of the embedding.
    row_rates : ndarray (V_in,) or None
        Factors on the learning rates of the rows of the embedding, 0 for frozen rows; None if all are 1.
    input_weights : ndarray (N,) or None
        Relative weights of inputs in the gradient of the linear layer, and of bags in the gradient of the embedding.
    validation : FitData or None
        Counts and bags that are not trained on.
    facts : dict of str to str
        What else must be the same on all ranks, and when training resumes from a checkpoint.
    """

    counts: GroupedCounts
    bags: Bags | None = None
    row_rates: NDArray[np.float64] | None = None
    input_weights: NDArray[np.float64] | None = None
    validation: FitData | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FitOptions:
    """The options of one fit, documented by `fastembed.Trainer.fit_counts`.

    Raises
    ------
    TypeError, ValueError
        If an option has the wrong type or is out of range.

    Examples
    --------
    >>> FitOptions(epochs=3).learning_rate
    0.7
    >>> FitOptions(epochs=0)
    Traceback (most recent call last):
        ...
    ValueError: epochs must be at least 1, got 0
    """

    epochs: int = 5
    learning_rate: float = 0.7
    linear_learning_rate: float = 1.0
    block_size: int = 256
    optimizer: str = "adagrad"
    l2: float = 0.0
    linear_l2: float = 0.0
    n_iter_no_change: int | None = None
    warm_start: bool = False
    seed: int | np.random.Generator | None = 0

    def __post_init__(self) -> None:
        patience = self.n_iter_no_change
        checked = {
            "epochs": check_integer("epochs", self.epochs, low=1),
            "learning_rate": check_number("learning_rate", self.learning_rate),
            "linear_learning_rate": check_number("linear_learning_rate", self.linear_learning_rate),
            "block_size": check_integer("block_size", self.block_size, low=1),
            "optimizer": check_choice("optimizer", self.optimizer, OPTIMIZERS),
            "l2": check_number("l2", self.l2),
            "linear_l2": check_number("linear_l2", self.linear_l2),
            "n_iter_no_change": None if patience is None else check_integer("n_iter_no_change", patience, low=1),
            "warm_start": check_flag("warm_start", self.warm_start),
        }
        check_seed(self.seed)
        vars(self).update(checked)  # how a frozen dataclass sets its own attributes


def check_data(parameters: Parameters, counts: Any, bags: Any, pool: Pool, kind: str = "") -> FitData:
    """Return counts, and bags unless they are None, for these parameters; `kind` begins their names in messages.

    Raises
    ------
    TypeError, ValueError
        If they are not as `Trainer.fit_counts` documents them.
    """
    if bags is not None and not isinstance(bags, Bags):
        bags = check_bags(f"{kind}bags", bags, parameters.inputs, parameters.dtype)
    rows, what = (parameters.inputs, "inputs") if bags is None else (len(bags), "bags")
    return FitData(check_counts(counts, (rows, parameters.outputs), f"{kind}counts", what, pool.threads), bags)


def check_counts(
    counts: Any, shape: tuple[int, int], name: str = "counts", rows: str = "inputs", threads: int | None = None
) -> GroupedCounts:
    """Return counts (N, V) in groups of rows; at least one must be positive.

    Parameters
    ----------
    counts : Counts, sparse array or GroupedCounts
    shape : (int, int)
        The right shape.
    name, rows : str
        The names of the counts and of their rows in messages.
    threads : int, optional
        For counts that are not in groups yet.

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
        counts = grouped(canonical_csr(name, counts), threads)
    tiled: GroupedCounts = tiled_counts(counts) if isinstance(counts, Counts) else counts
    with np.errstate(over="ignore"):
        total = tiled.totals.rows.sum()
    if np.isinf(total):
        raise ValueError(f"{name} must have a finite sum, but they add up to {total}")
    if not tiled.entries.any():
        raise ValueError(f"{name} must hold at least one positive count, but all are zero")
    return tiled


def check_factors(name: str, factors: ArrayLike, count: int, each: str) -> NDArray[np.float64]:
    """Return non-negative factors (count,), one for each thing of this name."""
    array = unmasked(name, factors)
    check_amounts(name, array)
    if array.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), one for each {each}, got {array.shape}")
    return array.astype(np.float64)


def check_row_rates(rates: ArrayLike | None, frozen: ArrayLike, inputs: int) -> NDArray[np.float64] | None:
    """Return the factors (V_in,) on the learning rate of the rows of an embedding, 0 if frozen; None if all are 1."""
    frozen = unmasked("frozen_rows", frozen)
    if rates is None and not frozen.size:
        return None
    checked = np.ones(inputs) if rates is None else check_factors("row_rates", rates, inputs, "input")
    if frozen.size:
        checked[check_ids("frozen_rows", frozen, inputs)] = 0
    return checked
