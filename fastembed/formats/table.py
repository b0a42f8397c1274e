"""What a file of vectors holds, whatever its format, and the checks of tokens, vectors and counts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike, NDArray

import fastembed
from fastembed._base.lookup import token_ids
from fastembed._base.validation import LARGEST, all_finite, unmasked

Matrix = npt.NDArray[np.floating]
PathLike = str | os.PathLike[str]


class Table(NamedTuple):
    """The contents of a file of vectors.

    Attributes
    ----------
    tokens : sequence of str, length V
        All different.
    matrix : ndarray of float32 or float64, shape (V, D)
    counts : ndarray of int64, shape (V,), or None
        How often each token occurred, where that is known.
    settings : mapping
        How the vectors were made; only safetensors files hold it.
    ngrams : mapping of str to ndarray
        The character n-grams of the tokens and their vectors, as tensors by name, of which :class:`~fastembed.Vectors`
        composes vectors of other words; only safetensors files and fastText's models hold them.
    """

    tokens: Sequence[str]
    matrix: Matrix
    counts: npt.NDArray[np.int64] | None = None
    settings: Mapping[str, Any] = {}
    ngrams: Mapping[str, npt.NDArray[Any]] = {}

    def __reduce__(self) -> tuple[object, ...]:
        return fastembed._restore, ("formats.Table", *self)


def check_table(table: Table) -> Table:
    """Return a table, the counts as int64, after checking that its parts fit together.

    Parameters
    ----------
    table : Table

    Raises
    ------
    TypeError
        If a token is not a str, the matrix is not float32 or float64, or the counts are not integers.
    ValueError
        If shapes do not match, a token occurs twice, a component is not finite, or a count is negative.

    Examples
    --------
    >>> check_table(Table(["a", "a"], np.eye(2)))
    Traceback (most recent call last):
        ...
    ValueError: tokens must be unique, but 'a' is in rows 0 and 1
    """
    check_vectors(table.tokens, table.matrix)
    return table if table.counts is None else table._replace(counts=check_token_counts(table.counts, table.tokens))


def check_vectors(tokens: Sequence[str], matrix: Any) -> dict[str, int]:
    """Return the row of each of V unique tokens in a finite matrix (V, D) of float32 or float64, D >= 1.

    Parameters
    ----------
    tokens : sequence of str, length V
    matrix : ndarray (V, D)
    """
    if not isinstance(matrix, np.ndarray) or matrix.dtype not in (np.float32, np.float64):
        found = matrix.dtype if isinstance(matrix, np.ndarray) else type(matrix).__name__
        raise TypeError(f"matrix must be an array of float32 or float64, got {found}")
    if isinstance(matrix, np.ma.MaskedArray):  # masked NaN would pass as finite
        raise TypeError("matrix must be an array without a mask, got a masked array: fill it, or leave the rows out")
    if matrix.ndim != 2 or matrix.shape[0] != len(tokens):
        raise ValueError(f"matrix must have the shape ({len(tokens)}, D), one row per token, got {matrix.shape}")
    if matrix.shape[1] == 0:
        raise ValueError(f"matrix must have at least one column, got the shape {matrix.shape}")
    rows = token_ids(tokens)
    if not all_finite(matrix):
        row, column = np.argwhere(~np.isfinite(matrix))[0].tolist()
        raise ValueError(f"matrix must be finite, got {matrix[row, column]} at [{row}, {column}], {tokens[row]!r}")
    return rows


def check_token_counts(counts: ArrayLike, tokens: Sequence[str]) -> NDArray[np.int64]:
    """Return a copy of the counts (V,) of V tokens as int64, after checking them.

    Parameters
    ----------
    counts : array_like of int (V,)
    tokens : sequence of str, length V
    """
    array = unmasked("counts", counts)
    if array.dtype.kind not in "iu":
        raise TypeError(f"counts must be integers, got dtype {array.dtype}")
    if array.shape != (len(tokens),):
        raise ValueError(f"counts must have the shape ({len(tokens)},) of the tokens, got {array.shape}")
    wrong = (array < 0) | (array > np.iinfo(np.int64).max)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(f"counts must be from 0 to 2**63 - 1, got {array[first]} for {tokens[first]!r}")
    if array.sum(dtype=np.float64) > LARGEST / 2 and (total := sum(array.tolist())) > LARGEST:
        raise ValueError(f"counts must add up to at most 2**63 - 1, got {total}")
    return array.astype(np.int64)
