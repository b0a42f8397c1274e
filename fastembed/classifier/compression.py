"""Compression of the rows of E: float16, or int8 with a scale per row and without small numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.validation import check_choice
from fastembed.classifier.fitted import FittedClassifier

ROWS = ("float32", "float16", "int8")
HALF = float(np.finfo(np.float16).max)
LEAST = 12  # smaller numbers of an int8 row, whose largest is 127, may be left out: docs/decisions.md
MOST_NARROW = 1 << 16  # columns that uint16 can number


def compressed(model: FittedClassifier, rows: str) -> FittedClassifier:
    """Return a model with rows of E of this dtype.

    The largest number of an int8 row is 127, and the scale restores its value. With many labels, a feature is
    uninformative about most: if E as a csr_array, without numbers below a tenth of the largest of their row, takes at
    most a quarter of the bytes, the result is sparse.

    Raises
    ------
    ValueError
        If `rows` is not one of `ROWS`, or float16 cannot hold a number.
    """
    check_choice("rows", rows, ROWS)
    if model.embedding.dtype == rows:
        return model
    full = model.rows(np.arange(model.embedding.shape[0]))
    if rows == "float16" and (most := float(np.abs(full).max(initial=0))) > HALF:
        raise ValueError(f"rows='float16' holds numbers up to {HALF:g}, but one is {most:g}: write 'float32' or 'int8'")
    if rows != "int8":
        return replace(model, embedding=full.astype(rows), scales=None)
    scales = (np.abs(full).max(axis=1) / 127).astype(np.float32)
    full /= np.where(scales > 0, scales, 1)[:, None]
    numbers = np.rint(full, out=full).clip(-127, 127).astype(np.int8)
    return replace(model, embedding=_without_small(numbers), scales=scales)


def _without_small(numbers: npt.NDArray[np.int8]) -> Any:
    """Return the rows as a csr_array without small numbers if that takes at most a quarter of the bytes."""
    width = 2 if numbers.shape[1] <= MOST_NARROW else 4
    large = np.abs(numbers) >= LEAST
    if np.count_nonzero(large) * (1 + width) + 8 * len(numbers) > numbers.size / 4:
        return numbers
    return sparse.csr_array(np.where(large, numbers, np.int8(0)))


def row_tensors(model: FittedClassifier) -> dict[str, npt.NDArray[Any]]:
    """Return the rows of E as tensors of a file."""
    scales = {} if model.scales is None else {"scales": model.scales}
    embedding: Any = model.embedding
    if isinstance(embedding, np.ndarray):
        return {"rows": embedding} | scales
    narrow = np.uint16 if embedding.shape[1] <= MOST_NARROW else np.int32
    return scales | {
        "rows.numbers": embedding.data,
        "rows.columns": embedding.indices.astype(narrow),
        "rows.starts": embedding.indptr.astype(np.int64),
    }


def rows_of_tensors(tensors: Any, features: int, dim: int) -> tuple[Any, npt.NDArray[np.float32] | None]:
    """Return E (F, D) and its scales from the tensors of a file.

    Raises
    ------
    ValueError
        If the tensors are inconsistent.
    """
    if "rows" in tensors:
        embedding = tensors["rows"]
        if embedding.dtype.name not in ROWS:
            raise ValueError(f"'rows' must be one of {', '.join(ROWS)}, got {embedding.dtype}")
        if embedding.shape != (features, dim):
            raise ValueError(f"'rows' must have shape {(features, dim)}, got {embedding.shape}")
    else:
        numbers, columns, starts = (tensors[f"rows.{name}"] for name in ("numbers", "columns", "starts"))
        if numbers.dtype != np.int8 or columns.dtype not in (np.uint16, np.int32) or starts.dtype != np.int64:
            raise ValueError(
                "'rows.numbers', 'rows.columns' and 'rows.starts' must be int8, uint16 or int32, and int64"
            )
        if starts.shape != (features + 1,) or starts[0] != 0 or (np.diff(starts) < 0).any():
            raise ValueError(f"'rows.starts' must be {features + 1} numbers that ascend from 0")
        if not numbers.shape == columns.shape == (starts[-1],):
            raise ValueError("'rows.numbers' and 'rows.columns' must be as many as 'rows.starts' says")
        if columns.size and not 0 <= columns.min() <= columns.max() < dim:
            raise ValueError(f"'rows.columns' must be numbers from 0 to {dim - 1}")
        embedding = sparse.csr_array((numbers, columns.astype(np.int32), starts), shape=(features, dim))
    if (embedding.dtype == np.int8) != ("scales" in tensors):
        raise ValueError("rows of int8, and no others, need 'scales'")
    if "scales" not in tensors:
        return embedding, None
    scales = np.array(tensors["scales"])
    if scales.dtype != np.float32 or scales.shape != (features,):
        raise ValueError(f"'scales' must have shape {(features,)} and dtype float32, got {scales.shape} {scales.dtype}")
    return embedding, scales
