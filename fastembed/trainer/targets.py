"""Targets of examples: conversion of all accepted forms to rows of weights in CSR form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import canonical_csr
from fastembed._base.validation import check_amounts, check_ids, check_integer, unmasked


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
