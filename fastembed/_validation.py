"""Every check of arrays, ids and options, and the wording of its error. Checks return what the kernels take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from difflib import get_close_matches
from operator import index
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

Targets = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]
"""Target rows as CSR: starts (N + 1,), columns, amounts."""


def check_integer(name: str, value: Any, *, low: int, high: int | None = None) -> int:
    """Return an integer in low..high (inclusive); a bool is none."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if number < low or (high is not None and number > high):
        bound = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be {bound}, got {number}")
    return number


def check_number(name: str, value: Any, *, low: float = 0.0, high: float = math.inf, above: bool = False) -> float:
    """Return a finite float in low..high (inclusive, but for `low` if `above`); a bool or a text is none."""
    if isinstance(value, float):
        number = value
    else:
        try:
            if isinstance(value, bool | np.bool_ | str | bytes | bytearray):  # float would read the text
                raise TypeError
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"{name} must be a number, got {value!r}") from None
    if not (math.isfinite(number) and low <= number <= high) or (above and number == low):
        least = f"above {low:g}" if above else f"at least {low:g}"
        bound = least if math.isinf(high) else f"{least} and at most {high:g}" if above else f"from {low:g} to {high:g}"
        raise ValueError(f"{name} must be finite and {bound}, got {value!r}")
    return number


def check_flag(name: str, value: Any) -> bool:
    """Return True or False; nothing else is either."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    return str(value)


def check_callback(name: str, function: Any) -> None:
    """Refuse what can neither be called nor is None."""
    if function is not None and not callable(function):
        raise TypeError(f"{name} must be callable, got {function!r}")


def check_finite(name: str, array: NDArray[Any]) -> None:
    """Refuse NaN and infinity, naming the first."""
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(k) for k in np.argwhere(bad)[0])
        raise ValueError(f"{name} must be finite, but {name}{list(where)} is {array[where]}")


def _check_matrix(name: str, array: Any, shape: str) -> None:
    if not isinstance(array, np.ndarray) or isinstance(array, np.matrix | np.ma.MaskedArray):
        raise TypeError(f"{name} must be a plain NumPy array, got {type(array).__name__}")
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must be float32 or float64 in native byte order, got {array.dtype.str}")
    if array.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions {shape}, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    check_finite(name, array)


def check_embedding(embedding: NDArray[Any]) -> NDArray[Any]:
    """Return the embedding (V_in, D): float32 or float64, C-contiguous, aligned, writable, finite."""
    _check_matrix("embedding", embedding, "(V_in, D)")
    if not embedding.flags.c_contiguous or not embedding.flags.aligned:
        raise ValueError("embedding must be C-contiguous, since it is updated in place: pass np.ascontiguousarray(...)")
    if not embedding.flags.writeable:
        raise ValueError("embedding is read-only, but it is updated in place: pass a copy")
    return embedding


def check_linear(linear: NDArray[Any], embedding: NDArray[Any]) -> NDArray[Any]:
    """Return the linear layer (D, V), any memory order, of the embedding's dtype and D, finite."""
    _check_matrix("linear", linear, "(D, V)")
    if linear.dtype != embedding.dtype:
        raise TypeError(f"linear is {linear.dtype}, but embedding is {embedding.dtype}: both must have one dtype")
    if linear.shape[0] != embedding.shape[1]:
        raise ValueError(
            f"linear must have shape (D, V) with D = {embedding.shape[1]} as in embedding {embedding.shape},"
            f" got {linear.shape}"
        )
    return linear


def check_bias(bias: Any, outputs: int, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Return a copy of the bias (V,) in the model's dtype, finite; or None."""
    if bias is None:
        return None
    array = np.asarray(bias)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"bias must hold real numbers, got dtype {array.dtype}")
    if array.shape != (outputs,):
        raise ValueError(f"bias must have shape ({outputs},), one for each output, got {array.shape}")
    with np.errstate(over="ignore"):
        converted: NDArray[Any] = np.array(array, dtype=dtype, order="C")
    check_finite("bias", converted)
    return converted


def check_ids(name: str, ids: ArrayLike, size: int) -> NDArray[np.intp]:
    """Return ids (N,), N >= 1, as a contiguous intp array, each in 0..size - 1."""
    array = np.asarray(ids)
    if array.size and array.dtype.kind not in "iu":  # an empty list becomes an array of floats
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must have one dimension and at least one id, got shape {array.shape}")
    wrong = (array < 0) | (array >= size)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise ValueError(f"{name} must be ids from 0 to {size - 1}, but {name}[{place}] is {array[place]}")
    return np.ascontiguousarray(array, dtype=np.intp)


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
    rows: dict[str, int] = {}
    for row, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TypeError(f"every token must be a str, got {token!r}")
        if (first := rows.setdefault(token, row)) != row:
            raise ValueError(f"every token must be there once, but {token!r} is in the rows {first} and {row}")
    if not all_finite(matrix):
        row, column = np.argwhere(~np.isfinite(matrix))[0].tolist()
        raise ValueError(f"matrix must be finite, got {matrix[row, column]} at [{row}, {column}], {tokens[row]!r}")
    return rows


def all_finite(array: NDArray[Any]) -> bool:
    """Return whether no number is NaN or infinite, without an array as large as this one."""
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


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


class Ids(Protocol):
    """What knows the ids of tokens."""

    def __contains__(self, token: object) -> bool: ...
    def __getitem__(self, token: str) -> int: ...


def check_token(token: Any, ids: Ids, tokens: Sequence[str]) -> int:
    """Return the id of one of the tokens, which is given itself or by its id."""
    if isinstance(token, str):
        if token not in ids:
            raise unknown_token(token, tokens)
        return ids[token]
    if not isinstance(token, int | np.integer):
        raise TypeError(f"a token is a str, or an int that is its id, got {token!r}")
    return check_integer("an id", token, low=0, high=len(tokens) - 1)


def unknown_token(token: object, tokens: Sequence[str]) -> KeyError:
    """Return the error for a token that is none of the tokens, with up to three that are spelled most like it."""
    message = f"{token!r} is not among the {len(tokens):,} tokens"
    if isinstance(token, str):
        similar = [other for other in tokens if abs(len(other) - len(token)) <= 2]
        close = get_close_matches(token, similar) or [other for other in similar if other.lower() == token.lower()]
        if close:
            message += f"; the closest spellings are {', '.join(map(repr, close))}"
    return KeyError(message)


def check_amounts(name: str, amounts: NDArray[Any]) -> None:
    """Refuse weights that are not real, finite and non-negative."""
    if amounts.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {amounts.dtype}")
    check_finite(name, amounts)
    if (amounts < 0).any():
        where = tuple(int(k) for k in np.argwhere(amounts < 0)[0])
        raise ValueError(f"{name} must be non-negative, but {name}{list(where)} is {amounts[where]}")


def check_target(target: Any, outputs: int) -> Targets:
    """Return one target row: an output's id, or weights (V,), non-negative with a positive sum."""
    if np.ndim(target) == 0 and not sparse.issparse(target):
        column = check_integer("target", target, low=0, high=outputs - 1)
        return _one_hot(np.array([column], dtype=np.int32))
    row = target
    if not sparse.issparse(target):
        row = np.asarray(target)
        if row.shape != (outputs,):
            raise ValueError(f"target must be an id or have shape ({outputs},), got shape {row.shape}")
        row = row[None, :]
    return check_target_rows("target", row, 1, outputs)


def check_targets(targets: Any, count: int, outputs: int) -> Targets:
    """Return `count` target rows: ids (N,), or weights (N, V), dense or SciPy sparse."""
    if not sparse.issparse(targets):
        targets = np.asarray(targets)
        if targets.ndim == 1:
            ids = check_ids("targets", targets, outputs)
            if len(ids) != count:
                raise ValueError(f"targets must be as many as inputs, {count}, got {len(ids)}")
            return _one_hot(ids.astype(np.int32))
    return check_target_rows("targets", targets, count, outputs)


def check_target_rows(name: str, rows: Any, count: int, outputs: int) -> Targets:
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
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data


def check_counts(counts: Any, shape: tuple[int, int], name: str = "counts") -> Any:
    """Return counts (V_in, V), a Counts or SciPy sparse, as `canonical_csr` does; at least one is positive."""
    counts = counts.to_scipy() if hasattr(counts, "to_scipy") else counts
    is_sparse: bool = sparse.issparse(counts)
    if not is_sparse:
        raise TypeError(f"{name} must be a Counts or a SciPy sparse array, got {type(counts).__name__}")
    if counts.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, inputs by outputs, got {counts.shape}")
    matrix = canonical_csr(name, counts)
    if matrix.nnz == 0:
        raise ValueError(f"{name} must hold at least one positive count, but all are zero")
    return matrix


def canonical_csr(name: str, matrix: Any) -> Any:
    """Return a CSR array of float64 weights, all positive, columns ascending, none twice; a copy where it differs."""
    if getattr(matrix, "format", "") == "coo":  # whose conversion adds equal entries up, and may hide a negative one
        check_amounts(name, matrix.data)
    matrix = sparse.csr_array(matrix)
    # Made anew from its arrays, it looks at their order again, which may have changed since it last did
    arrays = (np.ascontiguousarray(part) for part in (matrix.data, matrix.indices, matrix.indptr))
    matrix = sparse.csr_array(tuple(arrays), shape=matrix.shape)
    check_amounts(name, matrix.data)
    falling = np.diff(matrix.indptr) < 0
    if falling.any():
        row = int(np.argmax(falling))
        raise ValueError(f"{name}.indptr must not fall, but does from {matrix.indptr[row]} to {matrix.indptr[row + 1]}")
    if matrix.nnz and (matrix.indices.min() < 0 or matrix.indices.max() >= matrix.shape[1]):
        check_ids(f"{name}.indices", matrix.indices, matrix.shape[1])
    if matrix.dtype != np.float64:
        matrix = matrix.astype(np.float64)
    if not matrix.has_canonical_format or not matrix.data.all():
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    return matrix


def _one_hot(columns: NDArray[np.int32]) -> Targets:
    return np.arange(len(columns) + 1, dtype=np.int64), columns, np.ones(len(columns))
