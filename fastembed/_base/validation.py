"""Checks of values and the wording of their errors and warnings, unknown tokens included."""

from __future__ import annotations

import difflib
import math
import re
import sys
import warnings
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from operator import index
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import ArrayLike, NDArray

JOINERS = "\u200c\u200d"  # parts of words of Persian and Hindi, and of emoji; invisible, but harmless


_PASSWORD = re.compile(r"(?<=://)([^/:@\s]*):[^/\s]*@")


def without_password(text: str, url: str = "") -> str:
    """Return a text with *** in place of the passwords in its URLs and of the password of `url`.

    Examples
    --------
    >>> without_password("ftp://user:secret@host/a, s3://bucket/b")
    'ftp://user:***@host/a, s3://bucket/b'
    """
    for match in _PASSWORD.finditer(url):
        text = text.replace(match[0], f"{match[1]}:***@")
    return _PASSWORD.sub(r"\1:***@", text)


def printable(text: str) -> str:
    r"""Return a text as one line of visible characters; invisible characters are escaped, as in Python's strings.

    A token may contain characters that move the cursor of a terminal, colour it or change the direction of text.

    Examples
    --------
    >>> print(printable("new\nyork \x1b[31m größe"))
    new\nyork \x1b[31m größe
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in JOINERS else c.encode("unicode_escape").decode() for c in text)


def shown(value: object) -> str:
    """Return the repr of a value for an error, on one line, cut to 80 characters."""
    text = " ".join(map(str.strip, repr(value).splitlines()))
    return text if len(text) <= 80 else f"{text[:77]}..."


def listed(values: Iterable[object]) -> str:
    """Return the reprs of at most 20 values for an error, each cut to 80 characters, and how many more there are."""
    texts = list(map(shown, values))
    return ", ".join(texts[:20]) + (f" and {len(texts) - 20:,} more" if len(texts) > 20 else "")


SOUGHT = 10_000  # how many of the most frequent tokens are searched for similar spellings
LARGEST = 2**63 - 1  # the largest count, size or id: NumPy's are int64


def check_integer(name: str, value: Any, *, low: int, high: float = LARGEST) -> int:
    """Return an integer in low..high (inclusive); bools are rejected."""
    if type(value) is int and low <= value <= high:  # a fast path for `Trainer.step`
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
    if type(value) is float and low < value < high:  # a fast path for `Trainer.step`
        return value
    if isinstance(value, float):
        number = value
    else:
        try:
            if isinstance(value, bool | np.bool_ | str | bytes | bytearray):  # float() would parse the strings
                raise TypeError
            number = float(value)
        except OverflowError:  # an integer too large for a float
            number = math.inf
        except (TypeError, ValueError):
            raise TypeError(f"{name} must be a number, got {shown(value)}") from None
    if not (math.isfinite(number) and low <= number <= high) or (above and number == low):
        least = f"above {low:g}" if above else f"at least {low:g}"
        bound = least if math.isinf(high) else f"{least} and at most {high:g}" if above else f"from {low:g} to {high:g}"
        raise ValueError(f"{name} must be finite and {bound}, got {shown(value)}")
    return number


def float_or_nan(value: Any) -> float:
    """Return a value, such as the text of a field, as a float; NaN if it is no number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def check_flag(name: str, value: Any) -> bool:
    """Return True or False, of Python or of NumPy; everything else is rejected."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    return str(value)


def nearest(word: str, known: Sequence[str]) -> str:
    """Return the known word with the nearest spelling, one of the same letters first; "" if no word is near.

    Examples
    --------
    >>> nearest("--dmi", ["--mpi", "--dim"]), nearest("xyz", ["train"])
    ('--dim', '')
    """
    close = difflib.get_close_matches(word, known, len(known), 0.8)
    return max(close, key=lambda option: sorted(option) == sorted(word), default="")


def check_finite(name: str, array: NDArray[Any]) -> None:
    """Raise ValueError for NaN and infinity, naming the first."""
    if not all_finite(array):
        bad = ~np.isfinite(array)
        where = tuple(int(k) for k in np.argwhere(bad)[0])
        raise ValueError(f"{name} must be finite, but {name}{list(where)} is {array[where]}")


def check_seed(seed: Any) -> np.random.Generator:
    """Return the generator that ``numpy.random.default_rng`` makes of a seed."""
    if isinstance(seed, int):
        check_integer("seed", seed, low=0, high=math.inf)
    return np.random.default_rng(seed)


def check_ids(name: str, ids: ArrayLike, size: int) -> NDArray[np.intp]:
    """Return ids (N,), N >= 1, as a contiguous intp array, each in 0..size - 1."""
    array = unmasked(name, ids)
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
    """Return an array of values; a masked array is rejected, since NumPy would use its masked values."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} must be an array without a mask, got a masked array")
    return np.asarray(values)


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
    if amounts.size and amounts.min() < 0:  # min() needs no temporary array
        where = tuple(int(k) for k in np.argwhere(amounts < 0)[0])
        raise ValueError(f"{name} must be non-negative, but {name}{list(where)} is {amounts[where]}")


# ---------------------------------------------------------------- tokens and their ids
# An integer given as a token is the token of its digits, in queries and in a corpus, and never an id.


def token_of(name: Any) -> Any:
    """Return an integer as its digits, and anything else as it is.

    Examples
    --------
    >>> token_of(33), token_of("the"), token_of(None)
    ('33', 'the', None)
    """
    if isinstance(name, int | np.integer) and not isinstance(name, bool):
        return str(int(name))
    return name


def known_token(token: Any, known: Container[str]) -> Any:
    r"""Return a known token as it is, and others as `token_of`, accents in Unicode's form NFC.

    Examples
    --------
    >>> known_token("e\N{COMBINING ACUTE ACCENT}t\N{LATIN SMALL LETTER E WITH ACUTE}", ["été"])
    'été'
    """
    name = token_of(token)
    return normalize("NFC", name) if isinstance(name, str) and name not in known else name


def check_token(token: Any, ids: Mapping[str, int], tokens: Sequence[str]) -> int:
    """Return the id of a token; raise KeyError for an unknown token."""
    name = known_token(token, ids)
    if not isinstance(name, str):
        raise TypeError(f"a token is a str, or an int that stands for its digits, got {shown(token)}")
    if name not in ids:
        raise KeyError(UnknownToken(token, tokens))
    return ids[name]


def token_ids(tokens: Sequence[str]) -> dict[str, int]:
    """Return the id of each token, its place among them, after checking that they are unique strings."""
    for token in tokens if set(map(type, tokens)) != {str} else ():
        if not isinstance(token, str):
            raise TypeError(f"every token must be a str, got {token!r}")
    ids = dict(zip(tokens, range(len(tokens)), strict=True))
    if len(ids) < len(tokens):
        place, token = next((place, token) for place, token in enumerate(tokens) if ids[token] != place)
        raise ValueError(f"tokens must be unique, but {token!r} is in rows {place} and {ids[token]}")
    return ids


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
    return array.astype(np.int64)


def encode_tokens(tokens: Sequence[str], errors: str = "strict") -> list[bytes]:
    r"""Return the tokens in UTF-8.

    Parameters
    ----------
    errors : str
        As for :meth:`str.encode`.

    Raises
    ------
    ValueError
        If a token has no UTF-8 form (a lone surrogate).

    Examples
    --------
    >>> encode_tokens(["größe"])
    [b'gr\xc3\xb6\xc3\x9fe']
    """
    try:
        return [token.encode(errors=errors) for token in tokens]
    except UnicodeEncodeError as error:
        raise ValueError(f"token {error.object!r} has no UTF-8 form: {error.reason}") from error


def number_of(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural unless the number is 1.

    Examples
    --------
    >>> number_of(1, "label"), number_of(2000, "label")
    ('1 label', '2,000 labels')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


class UnknownToken:
    """The message for an unknown token, user or item, with up to three similar spellings, of other case alone first.

    The search for spellings runs when the message is read, because most of the errors are caught unread.
    """

    def __init__(self, token: object, tokens: Any, what: str = "tokens") -> None:
        self._token, self._tokens, self._what = token, tokens, what

    def __str__(self) -> str:
        close: list[str] = []
        if isinstance(self._token, str):
            folded = normalize("NFC", self._token).casefold()
            same = [token for token in self._tokens if token.casefold() == folded]
            close = list(dict.fromkeys(same + difflib.get_close_matches(self._token, self._tokens[:SOUGHT])))[:3]
        hint = f"; the closest spellings are {', '.join(map(repr, close))}" if close else ""
        return f"{shown(self._token)} is not among the {len(self._tokens):,} {self._what}{hint}"

    def __repr__(self) -> str:  # a KeyError shows the repr of its argument
        return repr(str(self))


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
