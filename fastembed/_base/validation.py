"""Checks of numbers, flags, ids and arrays, and the wording of their errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastembed._base.printable import shown

LARGEST = 2**63 - 1  # the largest count, size or id: NumPy's are int64


def check_integer(name: str, value: Any, *, low: int, high: float = LARGEST) -> int:
    """Return an integer in low..high (inclusive); bools are rejected."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {shown(value)}") from None
    if not low <= number <= high:
        bound = f"at least {low}" if number < low and high >= LARGEST else f"from {low} to {high}"
        raise ValueError(f"{name} must be {bound}, got {shown(number)}")
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
        except OverflowError:  # an integer
            number = math.inf
        except (TypeError, ValueError):
            raise TypeError(f"{name} must be a number, got {shown(value)}") from None
    if not (math.isfinite(number) and low <= number <= high) or (above and number == low):
        least = f"above {low:g}" if above else f"at least {low:g}"
        bound = least if math.isinf(high) else f"{least} and at most {high:g}" if above else f"from {low:g} to {high:g}"
        raise ValueError(f"{name} must be finite and {bound}, got {shown(value)}")
    return number


def check_flag(name: str, value: Any) -> bool:
    """Return True or False, of Python or of NumPy; everything else is rejected."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def is_true(answer: object) -> bool:
    """Return whether a callback answered True, of Python or of NumPy; other true values do not count."""
    return isinstance(answer, bool | np.bool_) and bool(answer)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    return str(value)


def check_callback(name: str, function: Any) -> None:
    """Raise TypeError unless it is callable or None."""
    if function is not None and not callable(function):
        raise TypeError(f"{name} must be callable, got {function!r}")


def check_finite(name: str, array: NDArray[Any]) -> None:
    """Raise ValueError for NaN and infinity, naming the first."""
    if not all_finite(array):
        bad = ~np.isfinite(array)
        where = tuple(int(k) for k in np.argwhere(bad)[0])
        raise ValueError(f"{name} must be finite, but {name}{list(where)} is {array[where]}")


def check_seed(seed: Any) -> np.random.Generator:
    """Return the generator that ``numpy.random.default_rng`` makes of a seed."""
    try:
        if isinstance(seed, bool | np.bool_):
            raise TypeError
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        what = "an integer of at least 0, a numpy.random.Generator, or None"
        raise kind(f"seed must be {what}, got {shown(seed)}") from None


def check_ids(name: str, ids: ArrayLike, size: int) -> NDArray[np.intp]:
    """Return ids (N,), N >= 1, as a contiguous intp array, each in 0..size - 1."""
    array = unmasked(name, ids)
    if array.dtype.kind == "O" and array.size and all(type(item) is int for item in array.flat):  # beyond int64
        raise ValueError(f"{name} must be ids from 0 to {size - 1}, got {shown(array.flat[0])}")
    if array.size and array.dtype.kind not in "iu":  # an empty list becomes an array of floats
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must have one dimension and at least one id, got shape {array.shape}")
    wrong = (array < 0) | (array >= size)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise ValueError(f"{name} must be ids from 0 to {size - 1}, but {name}[{place}] is {array[place]}")
    return np.ascontiguousarray(array, dtype=np.intp)


def unmasked(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return an array of values; those of a masked array are rejected, since what is masked would count."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} must be an array without a mask, got a masked array: fill it, or leave entries out")
    try:
        return np.asarray(values)
    except ValueError:  # of NumPy, which does not know the name
        raise ValueError(f"{name} must be numbers, or lists of equally many numbers, got {shown(values)}") from None


def all_finite(array: NDArray[Any]) -> bool:
    """Return whether no number is NaN or infinite, without a temporary array of this size."""
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def check_weights(name: str, weights: NDArray[Any]) -> None:
    """Raise unless all weights are real and finite."""
    if weights.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {weights.dtype}")
    check_finite(name, weights)


def check_amounts(name: str, amounts: NDArray[Any]) -> None:
    """Raise unless all weights are real, finite and non-negative."""
    check_weights(name, amounts)
    if amounts.size and amounts.min() < 0:  # without a temporary array of their number
        where = tuple(int(k) for k in np.argwhere(amounts < 0)[0])
        raise ValueError(f"{name} must be non-negative, but {name}{list(where)} is {amounts[where]}")
