"""Checks of numbers, flags, ids and arrays, and the wording of their errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def check_integer(name: str, value: Any, *, low: int, high: int | None = None) -> int:
    """Return an integer in low..high (inclusive); bools are rejected."""
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
    """Return a finite float in low..high, inclusive, or above `low` if `above`; bools and strings are rejected."""
    if isinstance(value, float):
        number = value
    else:
        try:
            if isinstance(value, bool | np.bool_ | str | bytes | bytearray):  # float() would parse the strings
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
    """Return True or False, of Python or of NumPy; everything else is rejected."""
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
    """Raise TypeError for what is neither callable nor None."""
    if function is not None and not callable(function):
        raise TypeError(f"{name} must be callable, got {function!r}")


def check_finite(name: str, array: NDArray[Any]) -> None:
    """Raise ValueError for NaN and infinity, naming the first."""
    if not all_finite(array):
        bad = ~np.isfinite(array)
        where = tuple(int(k) for k in np.argwhere(bad)[0])
        raise ValueError(f"{name} must be finite, but {name}{list(where)} is {array[where]}")


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


def all_finite(array: NDArray[Any]) -> bool:
    """Return whether no number is NaN or infinite, without a temporary array of this size."""
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def check_amounts(name: str, amounts: NDArray[Any]) -> None:
    """Raise unless all weights are real, finite and non-negative."""
    if amounts.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {amounts.dtype}")
    check_finite(name, amounts)
    if amounts.size and amounts.min() < 0:  # without a temporary array of their number
        where = tuple(int(k) for k in np.argwhere(amounts < 0)[0])
        raise ValueError(f"{name} must be non-negative, but {name}{list(where)} is {amounts[where]}")
