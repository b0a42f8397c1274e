"""The arguments of a `Trainer`, checked: inputs, targets, and the data and options of a fit to counts.

An input is the id of a row of the embedding, or a bag: a weighted sum of rows. All accepted forms become CSR.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fastembed._base.arrays import canonical_csr
from fastembed._base.validation import (
    check_amounts,
    check_choice,
    check_finite,
    check_flag,
    check_ids,
    check_integer,
    check_number,
    check_weights,
    unmasked,
)
from fastembed.counts.counts import Counts
from fastembed.counts.groups import CSRGroups, GroupedCounts
from fastembed.counts.store import StoredGroups
from fastembed.trainer.checkpoint import MINUTES, Checkpoint
from fastembed.trainer.parameters import Parameters

OPTIMIZERS = ("adagrad", "sgd")
LARGEST_BLOCK = 1 << 24  # rows; the tasks of a phase are numbered with this many bits (_kernels/crew.pxi)


@dataclass(frozen=True, eq=False)
class Bags:
    """Bags in CSR form: bag n has the ids and weights from ``starts[n]`` to ``starts[n + 1]``; its ids ascend."""

    starts: NDArray[np.int64]
    ids: NDArray[np.int32]
    weights: NDArray[Any]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def part(self, begin: int, end: int) -> Bags:
        """Return views of the bags `begin` to ``end - 1``."""
        return Bags(self.starts[begin : end + 1], self.ids, self.weights)


Inputs: TypeAlias = NDArray[np.intp] | Bags  # ids, which stand for bags of one row with weight 1; or bags


def is_bag(one: Any) -> bool:
    """Return whether a given input is a bag rather than an id."""
    return isinstance(one, list | tuple | range) or _is_sparse(one) or np.ndim(one) > 0


def check_bag(name: str, bag: Any, inputs: int, dtype: np.dtype[Any]) -> Bags:
    """Return one bag, which may be empty: a pair (ids, weights or None), or SciPy sparse (1, V_in)."""
    if _is_sparse(bag):
        if bag.shape != (1, inputs):
            raise ValueError(f"{name} must have shape (1, {inputs}), got {bag.shape}")
        return _from_sparse(name, bag, dtype)
    ids, weights = _ids_and_weights(name, bag)
    if not is_pair(bag):
        raise ValueError(f"{name} is several ids, but one bag is a tuple (ids, None), or (ids, weights)")
    if len(ids):
        ids = check_ids(name, ids, inputs)
    order = np.argsort(ids, kind="stable")
    ids, weights = ids[order], weights[order]
    if (ids[1:] == ids[:-1]).any():
        ids, places = np.unique(ids, return_inverse=True)
        weights = np.bincount(places, weights=weights).astype(np.float64, copy=False)
    return _bags(name, np.array([0, len(ids)]), ids, weights, dtype)


def one(inputs: Inputs, n: int) -> int | Bags:
    """Return the n-th input."""
    return inputs.part(n, n + 1) if isinstance(inputs, Bags) else int(inputs[n])


def check_input(name: str, given: Any, inputs: int, dtype: np.dtype[Any]) -> int | Bags:
    """Return one input: an id, or a bag."""
    if isinstance(given, int) or not is_bag(given):
        return check_integer(name, given, low=0, high=inputs - 1)
    return check_bag(name, given, inputs, dtype)


def check_one_or_many(name: str, given: Any, inputs: int, dtype: np.dtype[Any]) -> tuple[Inputs, bool]:
    """Return N inputs, and whether a single input was given."""
    if is_bag(given) and not is_pair(given):
        return check_inputs(name, given, inputs, dtype), False
    single = check_input(name, given, inputs, dtype)
    return (single if isinstance(single, Bags) else np.array([single], np.intp)), True


def check_inputs(name: str, given: Any, inputs: int, dtype: np.dtype[Any]) -> Inputs:
    """Return N >= 1 inputs, given as ids (N,), as a sequence of bags, or as SciPy sparse (N, V_in)."""
    if _is_sparse(given):
        _check_width(name, given, inputs)
        if given.shape[0] == 0:
            raise ValueError(f"{name} must have at least one row, got shape {given.shape}")
        return _from_sparse(name, given, dtype)
    if not _are_bags(given):
        return check_ids(name, given, inputs)
    parts = [_ids_and_weights(f"{name}[{n}]", bag) for n, bag in enumerate(given)]
    starts = np.cumsum([0, *(len(ids) for ids, _ in parts)])
    ids, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    wrong = (ids < 0) | (ids >= inputs)
    if wrong.any():
        place = int(np.argmax(wrong))
        n = int(np.searchsorted(starts, place, side="right")) - 1
        check_ids(f"{name}[{n}]", parts[n][0], inputs)
    return _from_sparse(name, sparse.csr_array((weights, ids, starts), (len(parts), inputs)), dtype)


def is_pair(given: Any) -> bool:
    """Return whether this is a tuple (ids, weights), that is a single bag."""
    return isinstance(given, tuple) and len(given) == 2 and any(_has_dimensions(part) for part in given)


def _are_bags(given: Any) -> bool:
    """Return whether these are bags, not ids."""
    if isinstance(given, Sequence) and not isinstance(given, str | bytes | range):
        return len(given) > 0 and any(_has_dimensions(item) for item in given[:1])
    return np.ndim(given) > 1


def _has_dimensions(part: Any) -> bool:
    return isinstance(part, list | tuple | range) or np.ndim(part) > 0


def _ids_and_weights(name: str, bag: Any) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the ids (n,) and the weights (n,) of one bag, n >= 0; the range of the ids is not checked."""
    given, weights = bag if is_pair(bag) else (bag, None)
    ids = unmasked(name, given)
    if ids.size == 0 and ids.ndim == 1:
        ids = np.zeros(0, np.intp)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {ids.dtype}")
    if ids.ndim != 1:
        raise ValueError(f"{name} must be ids of one dimension, or a pair (ids, weights), got shape {ids.shape}")
    if weights is None:
        return ids, np.ones(len(ids))
    array = unmasked(f"the weights of {name}", weights)
    check_weights(f"the weights of {name}", array)
    if array.shape != ids.shape:
        raise ValueError(f"the weights of {name} must be as many as its ids, {len(ids)}, got shape {array.shape}")
    return ids, array.astype(np.float64)


def _is_sparse(given: Any) -> bool:
    answer: bool = sparse.issparse(given)  # so mypy goes on to take it for Any
    return answer


def _check_width(name: str, bags: Any, inputs: int) -> None:
    if bags.ndim != 2 or bags.shape[1] != inputs:
        raise ValueError(f"{name} must have shape (N, {inputs}), a column per row of the embedding, got {bags.shape}")


def _from_sparse(name: str, bags: Any, dtype: np.dtype[Any]) -> Bags:
    matrix = canonical_csr(name, bags, signed=True)
    return _bags(name, matrix.indptr, matrix.indices, matrix.data, dtype)


def _bags(name: str, starts: NDArray[Any], ids: NDArray[Any], weights: NDArray[np.float64], dtype: Any) -> Bags:
    with np.errstate(over="ignore"):
        converted = weights.astype(dtype, copy=False)
    check_finite(f"{name} in {dtype}", converted)
    if not len(ids):  # the kernels take the address of the first entry, even if there is none
        ids, converted = np.zeros(1, np.int32), np.zeros(1, dtype)
    return Bags(starts.astype(np.int64), ids.astype(np.int32, copy=False), converted)


# ---------------------------------------------------------------- targets


class Targets(NamedTuple):
    """Rows of weights over the outputs: row n has `columns` and `amounts` from ``starts[n]`` to ``starts[n + 1]``."""

    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    amounts: NDArray[np.float64]

    @classmethod
    def one_hot(cls, ids: Any) -> Targets:
        """Return rows with weight 1 at one output each."""
        columns = np.asarray(ids, dtype=np.int32)
        return cls(np.arange(len(columns) + 1, dtype=np.int64), columns, np.ones(len(columns)))

    def row(self, n: int) -> Targets:
        """Return views of one row."""
        begin, end = self.starts[n : n + 2]
        return Targets(np.array([0, end - begin]), self.columns[begin:end], self.amounts[begin:end])


def default_target(i: Any, outputs: int) -> int:
    """Return the id of an input, which has been checked, as its own target."""
    if isinstance(i, Bags):
        raise ValueError("a bag needs a target")
    if i >= outputs:
        raise ValueError(f"target, which is i by default, must be from 0 to {outputs - 1}, got {i}")
    return int(i)


def check_target(target: Any, outputs: int) -> Targets:
    """Return one row, given as the id of an output, or as non-negative weights (V,) with a positive sum."""
    if np.ndim(target) == 0 and not sparse.issparse(target):
        return Targets.one_hot([check_integer("target", target, low=0, high=outputs - 1)])
    if not sparse.issparse(target):
        target = unmasked("target", target)
        if target.shape != (outputs,):
            raise ValueError(f"target must be an id or have shape ({outputs},), got shape {target.shape}")
        target = target[None, :]
    return _check_rows("target", target, 1, outputs)


def check_targets(targets: Any, count: int, outputs: int) -> Targets:
    """Return `count` rows, given as ids (N,), or as weights (N, V), dense or SciPy sparse."""
    if not sparse.issparse(targets):
        targets = unmasked("targets", targets)
        if targets.ndim == 1:
            ids = check_ids("targets", targets, outputs)
            if len(ids) != count:
                raise ValueError(f"targets must be as many as inputs, {count}, got {len(ids)}")
            return Targets.one_hot(ids)
    return _check_rows("targets", targets, count, outputs)


def _check_rows(name: str, rows: Any, count: int, outputs: int) -> Targets:
    """Return rows of non-negative weights (N, V), each with a positive sum."""
    if rows.shape != (count, outputs):
        raise ValueError(f"{name} must have shape ({count}, {outputs}), got {rows.shape}")
    if not sparse.issparse(rows):
        check_amounts(name, rows)
        rows = sparse.csr_array(rows.astype(np.float64))  # SciPy has no float16
    matrix = canonical_csr(name, rows)
    empty = np.asarray(matrix.sum(axis=1)).ravel() <= 0
    if empty.any():
        raise ValueError(f"{name} must have a positive weight in each row, but row {int(np.argmax(empty))} has none")
    return Targets(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data)


# ---------------------------------------------------------------- a fit to counts


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

    def __post_init__(self) -> None:
        patience = self.n_iter_no_change
        checked = {
            "epochs": check_integer("epochs", self.epochs, low=1),
            "learning_rate": check_number("learning_rate", self.learning_rate),
            "linear_learning_rate": check_number("linear_learning_rate", self.linear_learning_rate),
            "block_size": check_integer("block_size", self.block_size, low=1, high=LARGEST_BLOCK),
            "optimizer": check_choice("optimizer", self.optimizer, OPTIMIZERS),
            "l2": check_number("l2", self.l2),
            "linear_l2": check_number("linear_l2", self.linear_l2),
            "n_iter_no_change": None if patience is None else check_integer("n_iter_no_change", patience, low=1),
            "warm_start": check_flag("warm_start", self.warm_start),
        }
        vars(self).update(checked)  # how a frozen dataclass sets its own attributes


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
    *,
    own: bool = False,
) -> FitData:
    """Return the data for a fit of these parameters, in arrays without other references if `own`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as `Trainer.fit_counts` documents it.
    """
    if validation_bags is not None and validation_counts is None:
        raise ValueError("validation_bags need validation_counts")
    rates = _check_row_rates(row_rates, frozen_rows, parameters.inputs)
    given = None if bags is None else _check_bags("bags", bags, parameters, own=own)
    rows, what = (parameters.inputs, "inputs") if given is None else (len(given), "bags")
    groups, weights = check_counts(counts, (rows, parameters.outputs), rows=what, own=own), None
    if input_weights is not None:
        weights = _check_factors("input_weights", input_weights, groups.shape[0], "row of counts")
    if validation_counts is None:
        return FitData(groups, given, rates, weights)
    others = given
    if validation_bags is not None:
        others = _check_bags("validation_bags", validation_bags, parameters, own=own)
        rows, what = len(others), "bags"
    held_out = check_counts(validation_counts, (rows, parameters.outputs), "validation_counts", what, own=own)
    return FitData(groups, given, rates, weights, held_out, others)


def check_counts(
    counts: Any, shape: tuple[int, int], name: str = "counts", rows: str = "inputs", *, own: bool = False
) -> GroupedCounts:
    """Return counts (N, V) in groups of rows; at least one must be positive.

    Parameters
    ----------
    counts : Counts, sparse array or GroupedCounts
    shape : (int, int)
        The right shape.
    name, rows : str
        The names of the counts and of their rows in messages.
    own : bool
        Whether those in memory must have no other references.

    Raises
    ------
    TypeError, ValueError
        If they are not such counts, or have another shape.
    """
    groups: GroupedCounts
    is_sparse: bool = sparse.issparse(counts)
    if not isinstance(counts, Counts | CSRGroups | StoredGroups) and not is_sparse:
        raise TypeError(f"{name} must be a Counts or a SciPy sparse array, got {type(counts).__name__}")
    if counts.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, {rows} by outputs, got {counts.shape}")
    if isinstance(counts, Counts):
        groups = counts.groups
    else:
        groups = CSRGroups(canonical_csr(name, counts)) if is_sparse else counts
    if not groups.entries.any():
        raise ValueError(f"{name} must hold at least one positive count, but all are zero")
    return groups.own() if own and isinstance(groups, CSRGroups) else groups


def _check_bags(name: str, bags: Any, parameters: Parameters, *, own: bool) -> Bags:
    """Return the bags of a SciPy sparse (N, V_in) with at least one signed weight, in the dtype of the model."""
    if not _is_sparse(bags):
        raise TypeError(f"{name} must be a SciPy sparse array, got {type(bags).__name__}")
    _check_width(name, bags, parameters.inputs)
    checked = _from_sparse(name, bags, parameters.dtype)
    if checked.starts[-1] == 0:
        raise ValueError(f"{name} of shape {bags.shape} must hold at least one weight, but all are zero")
    return Bags(checked.starts.copy(), checked.ids.copy(), checked.weights.copy()) if own else checked


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


def check_checkpoint(path: Any, minutes: Any, keep: Any) -> Checkpoint | None:
    """Return the checkpoint for the arguments of a fit; None without a path. It may have been made before."""
    if isinstance(path, Checkpoint):
        return path
    if path is not None:
        return Checkpoint(path, minutes, keep)
    minutes = check_number("checkpoint_minutes", minutes, above=True)
    if check_flag("keep_checkpoint", keep) or minutes != MINUTES:
        raise ValueError("checkpoint_minutes and keep_checkpoint need checkpoint, the path of a file")
    return None
