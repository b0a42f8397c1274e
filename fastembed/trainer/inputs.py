"""The inputs and targets of a `Trainer`, checked.

An input is the id of a row of the embedding, or a bag: a weighted sum of rows. All accepted forms become CSR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Float64, Int32, Int64, canonical_csr
from fastembed._base.validation import check_amounts, check_finite, check_ids, check_integer, check_weights, unmasked
from fastembed.trainer.parameters import Parameters


@dataclass(frozen=True, eq=False)
class Bags:
    """Bags in CSR form: bag n has the ids and weights from ``starts[n]`` to ``starts[n + 1]``; its ids ascend."""

    starts: Int64
    ids: Int32
    weights: NDArray[Any]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def part(self, begin: int, end: int) -> Bags:
        """Return views of the bags `begin` to ``end - 1``."""
        return Bags(self.starts[begin : end + 1], self.ids, self.weights)


Inputs: TypeAlias = NDArray[np.intp] | Bags  # an id is a bag of one row with the weight 1


def has_dimensions(value: Any) -> bool:
    """Return whether an input is several numbers, as a bag is, or ids are; a single id has no dimension."""
    return isinstance(value, list | tuple | range) or np.ndim(value) > 0


def check_bag(name: str, bag: Any, inputs: int, dtype: np.dtype[Any]) -> Bags:
    """Return one bag, which may be empty: a pair (ids, weights or None), or SciPy sparse (1, V_in)."""
    if _is_sparse(bag):
        if bag.shape != (1, inputs):
            raise ValueError(f"{name} must have shape (1, {inputs}), got {bag.shape}")
        return _from_sparse(name, bag, inputs, dtype)
    ids, weights = _ids_and_weights(name, bag)
    if not is_pair(bag):
        raise ValueError(f"{name} must be one id or one bag, a tuple (ids, weights or None): `train` takes several")
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


def check_input(name: str, value: Any, inputs: int, dtype: np.dtype[Any]) -> int | Bags:
    """Return one input: an id, or a bag."""
    if isinstance(value, int) or not has_dimensions(value):
        return check_integer(name, value, low=0, high=inputs - 1)
    return check_bag(name, value, inputs, dtype)


def check_one_or_many(i: Any, p: Parameters) -> tuple[Inputs, bool]:
    """Return N inputs, and whether `i` is a single input."""
    if has_dimensions(i) and not is_pair(i):
        return check_inputs("i", i, p.inputs, p.dtype), False
    single = check_input("i", i, p.inputs, p.dtype)
    return (single if isinstance(single, Bags) else np.array([single], np.intp)), True


def check_inputs(name: str, many: Any, inputs: int, dtype: np.dtype[Any]) -> Inputs:
    """Return N >= 1 inputs: ids (N,), a sequence of bags, or SciPy sparse (N, V_in)."""
    if _is_sparse(many):
        bags = _from_sparse(name, many, inputs, dtype)
        if len(bags) == 0:
            raise ValueError(f"{name} must have at least one row, got shape {many.shape}")
        return bags
    if not (isinstance(many, list | tuple) and many and has_dimensions(many[0])):
        if np.ndim(many) > 1:  # ids of bags of equal length, or numbers of a dense matrix
            what = f"{name} must have one dimension, got shape {np.shape(many)}"
            raise ValueError(f"{what}: pass list(X) for bags of ids, csr_array(X) for weights of rows")
        return check_ids(name, many, inputs)
    parts = [_ids_and_weights(f"{name}[{n}]", bag) for n, bag in enumerate(many)]
    starts = np.cumsum([0, *(len(ids) for ids, _ in parts)])
    ids, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    if len(ids):
        check_ids(name, ids, inputs)
    return _from_sparse(name, sparse.csr_array((weights, ids, starts), (len(parts), inputs)), inputs, dtype)


def check_bags(name: str, matrix: Any, inputs: int, dtype: np.dtype[Any]) -> Bags:
    """Return the bags of a SciPy sparse (N, V_in) with at least one weight."""
    if not _is_sparse(matrix):
        raise TypeError(f"{name} must be a SciPy sparse array, got {type(matrix).__name__}")
    bags = _from_sparse(name, matrix, inputs, dtype)
    if bags.starts[-1] == 0:
        raise ValueError(f"{name} of shape {matrix.shape} must hold at least one weight, but all are zero")
    return bags


def is_pair(value: Any) -> bool:
    """Return whether a value is a tuple (ids, weights), which is one bag."""
    return isinstance(value, tuple) and len(value) == 2 and any(map(has_dimensions, value))


def _ids_and_weights(name: str, bag: Any) -> tuple[NDArray[Any], Float64]:
    """Return the ids (n,) and the weights (n,) of one bag, n >= 0; the range of the ids is not checked."""
    ids, weights = bag if is_pair(bag) else (bag, None)
    ids = unmasked(name, ids)
    if ids.size == 0 and ids.ndim == 1:
        ids = np.zeros(0, np.intp)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {ids.dtype}; pass dense bags as scipy.sparse.csr_array")
    if ids.ndim != 1:
        raise ValueError(f"{name} must be ids of one dimension, or a pair (ids, weights), got shape {ids.shape}")
    if weights is None:
        return ids, np.ones(len(ids))
    array = unmasked(f"the weights of {name}", weights)
    check_weights(f"the weights of {name}", array)
    if array.shape != ids.shape:
        raise ValueError(f"the weights of {name} must be as many as its ids, {len(ids)}, got shape {array.shape}")
    return ids, array.astype(np.float64)


def _is_sparse(value: Any) -> bool:
    answer: bool = sparse.issparse(value)  # mypy would take a sparse value for a class without a shape
    return answer


def _from_sparse(name: str, bags: Any, inputs: int, dtype: np.dtype[Any]) -> Bags:
    """Return the bags of a SciPy sparse (N, V_in)."""
    if bags.ndim != 2 or bags.shape[1] != inputs:
        raise ValueError(f"{name} must have shape (N, {inputs}), a column per row of the embedding, got {bags.shape}")
    matrix = canonical_csr(name, bags, signed=True)
    return _bags(name, matrix.indptr, matrix.indices, matrix.data, dtype)


def _bags(name: str, starts: NDArray[Any], ids: NDArray[Any], weights: Float64, dtype: Any) -> Bags:
    with np.errstate(over="ignore"):
        converted = weights.astype(dtype, copy=False)
    check_finite(f"{name} in {dtype}", converted)
    if not len(ids):  # the kernels take the address of the first entry, even if there is none
        ids, converted = np.zeros(1, np.int32), np.zeros(1, dtype)
    return Bags(starts.astype(np.int64), ids.astype(np.int32, copy=False), converted)


# ---------------------------------------------------------------- targets


class Targets(NamedTuple):
    """Rows of weights over the outputs: row n has `columns` and `amounts` from ``starts[n]`` to ``starts[n + 1]``."""

    starts: Int64
    columns: Int32
    amounts: Float64

    @classmethod
    def one_hot(cls, ids: Any) -> Targets:
        """Return rows with weight 1 at one output each."""
        columns = np.asarray(ids, dtype=np.int32)
        return cls(np.arange(len(columns) + 1, dtype=np.int64), columns, np.ones(len(columns)))

    def row(self, n: int) -> Targets:
        """Return views of one row."""
        begin, end = self.starts[n : n + 2]
        return Targets(np.array([0, end - begin]), self.columns[begin:end], self.amounts[begin:end])


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


# ---------------------------------------------------------------- examples

BY_DEFAULT = "target, which is i by default,"  # in errors


def check_example(i: Any, target: Any, p: Parameters) -> tuple[int | Bags, Targets]:
    """Return an input and its target, which is by default the id of the input."""
    checked = check_input("i", i, p.inputs, p.dtype)
    if target is not None:
        return checked, check_target(target, p.outputs)
    if isinstance(checked, Bags):
        raise ValueError("a bag needs a target")
    return checked, Targets.one_hot([check_integer(BY_DEFAULT, checked, low=0, high=p.outputs - 1)])


def check_examples(inputs: Any, targets: Any, p: Parameters) -> tuple[Inputs, Targets]:
    """Return N inputs and their targets, which are by default the ids of the inputs."""
    if is_pair(inputs):
        raise TypeError("inputs must be a list of bags, got a tuple: pass [(ids, weights)] for a single bag")
    checked = check_inputs("inputs", inputs, p.inputs, p.dtype)
    if targets is None and isinstance(checked, Bags):
        raise ValueError("inputs that are bags need targets")
    return checked, check_targets(checked if targets is None else targets, len(checked), p.outputs)
