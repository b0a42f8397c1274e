"""What a file of vectors holds, whatever its format, and the checks of it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike, NDArray

from fastembed._base.lookup import token_ids
from fastembed._base.validation import all_finite

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
    """

    tokens: Sequence[str]
    matrix: Matrix
    counts: npt.NDArray[np.int64] | None = None
    settings: Mapping[str, Any] = {}


def check_table(table: Table) -> Table:
    """Return a table, the counts as int64, after checking that its parts fit together.

    Parameters
    ----------
    table : Table

    Raises
    ------
    TypeError
        If a token is not text, the matrix not float32 or float64, or the counts not integers.
    ValueError
        If there is no vector, shapes do not match, a token comes twice, a number is not finite, or a count negative.

    Examples
    --------
    >>> check_table(Table(["a", "a"], np.eye(2)))
    Traceback (most recent call last):
        ...
    ValueError: tokens must be unique, but 'a' is in rows 0 and 1
    """
    tokens, matrix, counts, _ = table
    check_vectors(tokens, matrix)
    if not matrix.size:
        raise ValueError("there must be at least one vector, got none")
    return table if counts is None else table._replace(counts=check_token_counts(counts, tokens))


def encode_tokens(tokens: Sequence[str], refused: str | None = None, what: str = "") -> list[bytes]:
    r"""Return the tokens in UTF-8.

    Parameters
    ----------
    tokens : sequence of str
    refused : str, optional
        A regular expression; the tokens in which it is found cannot be stored.
    what : str
        The reason, for the error.

    Raises
    ------
    ValueError
        If a token is refused, or has no UTF-8 form (a lone surrogate).

    Examples
    --------
    >>> encode_tokens(["größe"])
    [b'gr\xc3\xb6\xc3\x9fe']
    >>> encode_tokens(["new york"], " ", "has a space")
    Traceback (most recent call last):
        ...
    ValueError: token 'new york' has a space
    """
    if refused is not None:
        search = re.compile(refused).search
        for token in tokens:
            if search(token):
                raise ValueError(f"token {token!r} {what}")
    try:
        return [token.encode() for token in tokens]
    except UnicodeEncodeError as error:
        raise ValueError(f"token {error.object!r} has no UTF-8 form: {error.reason}") from error


def take_token(name: bytes, place: int, seen: dict[str, int], where: str, unit: str) -> None:
    """Enter a token that has been read, and where, into those seen before.

    Parameters
    ----------
    name : bytes
        The token in UTF-8.
    place : int
        Its line or byte.
    seen : dict
        Tokens to places; the token is added.
    where, unit : str
        The place and its unit in words, for errors.

    Raises
    ------
    ValueError
        If the token is not UTF-8 or not new.

    Examples
    --------
    >>> take_token(b"one", 7, {"one": 3}, "'v.txt', line 7", "line")
    Traceback (most recent call last):
        ...
    ValueError: 'v.txt', line 7: the token 'one' is at line 3 too
    """
    try:
        token = name.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: {error}") from error
    if (first := seen.setdefault(token, place)) != place:
        raise ValueError(f"{where}: the token {token!r} is at {unit} {first} too")


def check_vectors(tokens: Sequence[str], matrix: Any) -> dict[str, int]:
    """Return the row of each of V tokens, all different, in a matrix (V, D) of float32 or float64, D >= 1, finite."""
    if not isinstance(matrix, np.ndarray) or matrix.dtype not in (np.float32, np.float64):
        found = matrix.dtype if isinstance(matrix, np.ndarray) else type(matrix).__name__
        raise TypeError(f"matrix must be an array of float32 or float64, got {found}")
    if isinstance(matrix, np.ma.MaskedArray):  # what is masked would pass for finite
        raise TypeError("matrix must be an array without a mask, got a masked array: fill it, or leave the rows out")
    if matrix.ndim != 2 or matrix.shape[0] != len(tokens):
        raise ValueError(f"matrix must have the shape ({len(tokens)}, D), one row a token, got {matrix.shape}")
    if matrix.shape[1] == 0:
        raise ValueError(f"matrix must have at least one column, got the shape {matrix.shape}")
    rows = token_ids(tokens)
    if not all_finite(matrix):
        row, column = np.argwhere(~np.isfinite(matrix))[0].tolist()
        raise ValueError(f"matrix must be finite, got {matrix[row, column]} at [{row}, {column}], {tokens[row]!r}")
    return rows


def check_token_counts(counts: ArrayLike, tokens: Sequence[str]) -> NDArray[np.int64]:
    """Return how often each of V tokens occurs, (V,), a copy; none is negative."""
    array = np.asarray(counts)
    if array.dtype.kind not in "iu":
        raise TypeError(f"counts must be integers, got dtype {array.dtype}")
    if array.shape != (len(tokens),):
        raise ValueError(f"counts must have the shape ({len(tokens)},) of the tokens, got {array.shape}")
    wrong = (array < 0) | (array > np.iinfo(np.int64).max)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(f"counts must be from 0 to 2**63 - 1, got {array[first]} for {tokens[first]!r}")
    return array.astype(np.int64)
