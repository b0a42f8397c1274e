"""Checks of values and the wording of their errors and warnings, unknown tokens included."""

from __future__ import annotations

import difflib
import math
import re
import sys
import unicodedata
import warnings
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

JOINERS = "\u200c\u200d"  # parts of words of Persian and Hindi, and of emoji; invisible, but harmless


_PASSWORD = re.compile(r"(?<=://)([^/:@\s]*):[^/\s]*@")


def without_password(text: str, url: str = "") -> str:
    """Return a text with the passwords in its URLs replaced, as messages and our files show it, and that of `url`.

    Examples
    --------
    >>> without_password("ftp://user:secret@host/a, s3://bucket/b")
    'ftp://user:***@host/a, s3://bucket/b'
    """
    for found in _PASSWORD.finditer(url):
        text = text.replace(found[0], f"{found[1]}:***@")
    return _PASSWORD.sub(r"\1:***@", text)


def printable(text: str, lacking: Container[str] = "") -> str:
    r"""Return a text as one line of visible characters; all others are escaped, as in Python's strings.

    A token may contain characters that move the cursor of a terminal, colour it or change the direction of text. Those
    that are `lacking` where it is shown, as in a font, are escaped too.

    Examples
    --------
    >>> print(printable("new\nyork \x1b[31m größe"))
    new\nyork \x1b[31m größe
    """
    if not lacking and text.isprintable():
        return text
    visible = (c not in lacking and (c.isprintable() or c in JOINERS) for c in text)
    return "".join(c if v else c.encode("unicode_escape").decode() for c, v in zip(text, visible, strict=True))


def shown(value: object) -> str:
    """Return the repr of a value for an error, cut to 80 characters."""
    if isinstance(value, int) and abs(value) >= 10**80:  # Python has a limit on the digits that it writes
        return f"an integer of {value.bit_length():,} bits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def listed(values: Iterable[object]) -> str:
    """Return the reprs of at most 20 values for an error, each cut to 80 characters, and how many more there are."""
    texts = list(map(shown, values))
    return ", ".join(texts[:20]) + (f" and {len(texts) - 20:,} more" if len(texts) > 20 else "")


def unhashable(values: Iterable[object]) -> Any:
    """Return the first value that cannot be hashed, of which there is one."""
    for value in values:
        try:
            hash(value)
        except TypeError:
            break
    return value


LARGEST = 2**63 - 1  # the largest count, size or id: NumPy's are int64


def check_integer(name: str, value: Any, *, low: int, high: float = LARGEST) -> int:
    """Return an integer in low..high (inclusive); bools are rejected."""
    if type(value) is int and low <= value <= high:  # quickly, for `Trainer.step`
        return value
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
    if type(value) is float and low < value < high:  # quickly, for `Trainer.step`
        return value
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


class TrainingDivergedError(FloatingPointError):
    """A loss or a parameter is no longer finite; the parameters have been put back to the last good ones.

    Those are the parameters at the end of the last finished epoch, or at the start.

    Parameters
    ----------
    what : str
    epoch : int
    block : int or None

    Attributes
    ----------
    epoch : int
        The epoch, from 1.
    block : int or None
        The block of the epoch, from 0, whose loss was not finite; None if a parameter was not finite at its end.

    Examples
    --------
    >>> error = TrainingDivergedError("the loss is nan", 2, 7)
    >>> str(error), error.epoch, error.block
    ('the loss is nan', 2, 7)
    """

    def __init__(self, what: str, epoch: int, block: int | None = None) -> None:
        super().__init__(what, epoch, block)  # all arguments, so that the error can be pickled
        self.epoch = epoch
        self.block = block

    def __str__(self) -> str:
        return str(self.args[0])


# ---------------------------------------------------------------- tokens and their ids
# An integer that is given as a token is the token of its digits, in a query as in a corpus: never an id.


def token_of(name: Any) -> Any:
    """Return the digits of an integer that names a token, and anything else as it is.

    Examples
    --------
    >>> token_of(33), token_of("the"), token_of(None)
    ('33', 'the', None)
    """
    if isinstance(name, int | np.integer) and not isinstance(name, bool):
        return str(int(name))
    return name


def check_token(token: Any, ids: Mapping[str, int], tokens: Sequence[str]) -> int:
    """Return the id of a token; raise KeyError if it is not one of the tokens."""
    name = token_of(token)
    if not isinstance(name, str):
        hint = ": a vector is an array, np.array(...)" if isinstance(token, float | list | tuple | np.floating) else ""
        raise TypeError(f"a token is a str, or an int whose digits it is, got {shown(token)}{hint}")
    if name not in ids:
        raise KeyError(UnknownToken(token, ids, tokens))
    return ids[name]


def token_ids(tokens: Sequence[str]) -> dict[str, int]:
    """Return the id of each token, its place among them, after checking that they are unique strings."""
    ids: dict[str, int] = {}
    if set(map(type, tokens)) == {str}:  # much faster than one by one, which names what is wrong
        ids = dict(zip(tokens, range(len(tokens)), strict=True))
        if len(ids) == len(tokens):
            return ids
        ids = {}
    for place, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TypeError(f"every token must be a str, got {token!r}")
        if (first := ids.setdefault(token, place)) != place:
            raise ValueError(f"tokens must be unique, but {token!r} is in rows {first} and {place}")
    return ids


def check_vectors(tokens: Sequence[str], matrix: Any) -> dict[str, int]:
    """Return the row of each of V unique tokens in a finite matrix (V, D) of float32 or float64, D >= 1.

    Parameters
    ----------
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


def encode_tokens(
    tokens: Sequence[str], forbidden: str | None = None, reason: str = "", errors: str = "strict"
) -> list[bytes]:
    r"""Return the tokens in UTF-8.

    Parameters
    ----------
    forbidden : str, optional
        A regular expression; tokens in which it is found are rejected.
    reason : str
        Why they are rejected, for the error.
    errors : str
        As for :meth:`str.encode`.

    Raises
    ------
    ValueError
        If a token is rejected, or has no UTF-8 form (a lone surrogate).

    Examples
    --------
    >>> encode_tokens(["größe"])
    [b'gr\xc3\xb6\xc3\x9fe']
    >>> encode_tokens(["new york"], " ", "has a space")
    Traceback (most recent call last):
        ...
    ValueError: token 'new york' has a space
    """
    if forbidden is not None:
        search = re.compile(forbidden).search
        for token in tokens:
            if search(token):
                raise ValueError(f"token {token!r} {reason}")
    try:
        return [token.encode(errors=errors) for token in tokens]
    except UnicodeEncodeError as error:
        raise ValueError(f"token {error.object!r} has no UTF-8 form: {error.reason}") from error


LIKELY = 10_000  # the first tokens, the most frequent ones, among which similar spellings are sought
LONGEST = 50  # characters of a token for which they are


class UnknownToken:
    """The message for an unknown token, user or item, with up to three similar spellings.

    These are sought when it is read: most such errors are caught.
    """

    def __init__(self, token: object, ids: Mapping[str, int], tokens: Any, what: str = "tokens") -> None:
        self._token, self._ids, self._tokens, self._what = token, ids, tokens, what

    def __str__(self) -> str:
        token, hint = self._token, ""
        if isinstance(token, int | np.integer):
            hint = "; an integer is the token of its digits"
            if 0 <= token < len(self._tokens):
                hint += f", and the token of id {token} is tokens[{token}]"
        elif isinstance(token, str) and len(token) <= LONGEST:
            cases = [other for other in (token.lower(), token.upper(), token.capitalize()) if other in self._ids]
            similar = difflib.get_close_matches(token, self._tokens[:LIKELY])
            close = list(dict.fromkeys(cases + similar))[:3]
            hint = f"; the closest spellings are {', '.join(map(repr, close))}" if close else ""
            for form in ("NFC", "NFD"):
                if (other := unicodedata.normalize(form, token)) in self._ids:
                    hint = f", but {other!r} is, in Unicode's form {form}: unicodedata.normalize({form!r}, token)"
        return f"{shown(token)} is not among the {len(self._tokens):,} {self._what}{hint}"

    def __repr__(self) -> str:  # as which a KeyError shows it
        return repr(str(self))

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


# ---------------------------------------------------------------- JSON and warnings


def plain(value: Any, *, none_for_nan: bool = False) -> Any:
    """Return a value made of dicts, lists, strings, plain numbers, booleans and None, as `json.dumps` takes it.

    Parameters
    ----------
    value : object
        Mappings, lists, tuples and dataclasses are converted with all that is in them, NumPy's scalars to Python's.
        Anything else stays as it is.
    none_for_nan : bool
        Whether NaN and infinities, which JSON does not have, become None. By default they are rejected.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        If a float is not finite, unless `none_for_nan`.

    Examples
    --------
    >>> plain({"window": (np.int8(1), 2), "sample": np.float32(0.5)})
    {'window': [1, 2], 'sample': 0.5}
    >>> plain({"accuracy": float("nan")}, none_for_nan=True)
    {'accuracy': None}
    """
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {key: plain(item, none_for_nan=none_for_nan) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, none_for_nan=none_for_nan) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        if not none_for_nan:
            raise ValueError(f"JSON holds finite numbers only, got {value!r}")
        return None
    return value


PACKAGE = __name__.partition(".")[0] + "."


def warn_user(message: str | UserWarning) -> None:
    """Give a UserWarning for the innermost line that is not in a module of this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
