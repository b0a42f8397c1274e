"""Pairs of names as pairs of ids: the vocabulary of the names, and which of them are contexts."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastembed._base.validation import check_amounts, shown, unmasked
from fastembed.vocabulary import Vocabulary

Name = Hashable


class IdPairs(NamedTuple):
    """Pairs of ids with weights, (n,) each; the names as tokens, those of targets first; the number of targets."""

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    weights: npt.NDArray[Any]
    vocabulary: Vocabulary
    targets: int


def pair_ids(
    sources: Iterable[Name], targets: Iterable[Name], weights: npt.ArrayLike | None, symmetric: bool
) -> IdPairs:
    """Return pairs of names as pairs of ids; see :meth:`Counts.from_pairs`."""
    for name, names in (("sources", sources), ("targets", targets)):
        if isinstance(names, np.ma.MaskedArray):
            unmasked(name, names)
    ids: dict[Name, int] = {}
    ends = [_ids("sources", sources, ids), _ids("targets", targets, ids)]
    number = len(ends[0])
    amounts = np.ones(number) if weights is None else unmasked("weights", weights)
    for name, length in (("targets", len(ends[1])), ("weights", len(amounts) if amounts.ndim == 1 else -1)):
        if length != number:
            what = f"got {length}" if length >= 0 else f"got shape {amounts.shape}"
            raise ValueError(f"{name} must be as many as sources, {number}, {what}")
    if not number:
        raise ValueError("there must be at least one pair, got none")
    check_amounts("weights", amounts)
    with np.errstate(over="ignore"):
        amounts = amounts.astype(np.float64)  # SciPy has no float16
    rows, columns = ends
    occurrences = np.bincount(rows, minlength=len(ids)) + np.bincount(columns, minlength=len(ids))
    if symmetric:
        other = rows != columns  # the pair of a name with itself is its own reverse
        rows, columns = np.concatenate([rows, columns[other]]), np.concatenate([columns, rows[other]])
        amounts = np.concatenate([amounts, amounts[other]])
    is_target = np.zeros(len(ids), bool)
    is_target[columns] = True
    tokens = tokens_of(ids)
    order = sorted(range(len(ids)), key=lambda k: (not is_target[k], -occurrences[k], tokens[k]))
    place = np.empty(len(ids), np.intp)
    place[order] = np.arange(len(ids))
    vocabulary = Vocabulary([tokens[k] for k in order], occurrences[order])
    return IdPairs(place[rows], place[columns], amounts, vocabulary, int(is_target.sum()))


def tokens_of(names: Iterable[Name]) -> list[str]:
    """Return the tokens of different names: each its str, an integer its digits.

    Raises
    ------
    ValueError
        If two names give the same token.

    Examples
    --------
    >>> tokens_of(["ann", 33, (1, 2)])
    ['ann', '33', '(1, 2)']
    >>> tokens_of([1, "1"])
    Traceback (most recent call last):
        ...
    ValueError: the names 1 and '1' would both be the token '1'
    """
    tokens: dict[str, Name] = {}
    for name in names:
        token = _token(name)
        if token in tokens:
            raise ValueError(f"the names {shown(tokens[token])} and {shown(name)} would both be the token {token!r}")
        tokens[token] = name
    return list(tokens)


def _token(name: Name) -> str:
    if isinstance(name, str):
        return str(name)
    try:
        return str(operator.index(name))  # type: ignore[arg-type]
    except TypeError:
        return str(name)


def _ids(what: str, names: Iterable[Name], ids: dict[Name, int]) -> npt.NDArray[np.intp]:
    """Return the id of each name; a new name gets the next id."""
    if isinstance(names, str | bytes):
        raise TypeError(f"{what} must be several names, got {shown(names)}")
    try:
        listed = names.tolist() if isinstance(names, np.ndarray) else list(names)
    except TypeError:
        raise TypeError(f"{what} must be several names, got {shown(names)}") from None
    try:
        return np.array([ids.setdefault(name, len(ids)) for name in listed], np.intp)
    except TypeError:
        for name in listed:
            try:
                hash(name)
            except TypeError:
                raise TypeError(f"{what} must be names, which can be hashed, got {shown(name)}") from None
        raise
