"""Pairs that are not cut from text: given ones of names, as pairs of ids, and all pairs of a basket."""

from __future__ import annotations

import operator
import re
from collections.abc import Generator, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Int32, row_ranges
from fastembed._base.threads import ordered_map
from fastembed._base.validation import shown, unhashable, unmasked, warn_user
from fastembed.corpus.memory import is_missing
from fastembed.counts.sums import RowBatch, batch_entries
from fastembed.vocabulary import Vocabulary

BATCH_PAIRS = 1 << 21  # approximate number of pairs of a corpus that are summed at a time: 25 MB of them

Name = Hashable

MAX_BASKET_ITEMS = 1 << 15
# What the columns of pairs of two kinds are called
PEOPLE = {"user", "customer", "client", "member", "visitor", "reader", "listener", "session", "order", "basket"}
THINGS = {"item", "product", "article", "movie", "film", "book", "song", "track", "artist", "game", "business", "tag"}


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
    given: Any = (sources, targets, weights)
    indices = [each.index for each in given if hasattr(each, "iloc")]  # of pandas
    if not all(index.equals(indices[0]) for index in indices):
        raise ValueError("sources, targets and weights have different indices: .to_numpy() gives pairs by their order")
    ids: dict[Name, int] = {}
    ends = [name_ids("sources", sources, ids), name_ids("targets", targets, ids)]
    number = len(ends[0])
    amounts = np.ones(number) if weights is None else unmasked("weights", weights)
    for name, length in (("targets", len(ends[1])), ("weights", len(amounts) if amounts.ndim == 1 else -1)):
        if length != number:
            what = f"got {length}" if length >= 0 else f"got shape {amounts.shape}"
            raise ValueError(f"{name} must be as many as sources, {number}, {what}")
    if not number:
        raise ValueError("there must be at least one pair, got none")
    rows, columns = ends
    occurrences = np.bincount(rows, minlength=len(ids)) + np.bincount(columns, minlength=len(ids))
    if symmetric:
        other = rows != columns  # the pair of a name with itself is its own reverse
        rows, columns = np.concatenate([rows, columns[other]]), np.concatenate([columns, rows[other]])
        amounts = np.concatenate([amounts, amounts[other]])
    warn_of_kinds([getattr(each, "name", None) for each in (sources, targets)], list(ids), *ends)
    is_target = np.zeros(len(ids), bool)
    is_target[columns] = True
    tokens = tokens_of(ids)
    order = sorted(range(len(ids)), key=lambda k: (not is_target[k], -occurrences[k], tokens[k]))
    place = np.empty(len(ids), np.intp)
    place[order] = np.arange(len(ids))
    vocabulary = Vocabulary([tokens[k] for k in order], occurrences[order])
    return IdPairs(place[rows], place[columns], amounts, vocabulary, int(is_target.sum()))


def warn_of_kinds(columns: Sequence[object], names: Sequence[Name], rows: Any, others: Any) -> None:
    """Warn if the columns of two ends are called as users and items are, and both have the same name.

    Other columns, such as "user_id" and "friend_id", may well be of one kind.
    """
    kinds = [re.sub(r"[_ ]?ids?$", "", str(column).lower()) for column in columns]
    both = np.intersect1d(rows, others)
    if len(both) and not (PEOPLE.isdisjoint(kinds) or THINGS.isdisjoint(kinds)):
        name, (one, other) = names[both[0]], columns
        warn_user(f"{name!r} in {one!r} and in {other!r} is one token: name them apart, as {f'{kinds[0]} {name}'!r}")


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
    if isinstance(name, float) and name.is_integer():  # of a column that had gaps
        return str(int(name))
    try:
        return str(operator.index(name))  # type: ignore[arg-type]
    except TypeError:
        return str(name)


def name_ids(what: str, names: Iterable[Name], ids: dict[Name, int]) -> npt.NDArray[np.intp]:
    """Return the id of each name; a new name gets the next id."""
    if isinstance(names, str | bytes) or not isinstance(names, Iterable) or getattr(names, "ndim", 1) == 0:
        raise TypeError(f"{what} must be several names, got {shown(names)}")
    listed = names.tolist() if isinstance(names, np.ndarray) else list(names)
    try:
        numbers = np.array([ids.setdefault(name, len(ids)) for name in listed], np.intp)
    except TypeError:
        raise TypeError(f"{what} must be names, which can be hashed, got {shown(unhashable(listed))}") from None
    if missing := [name for name in ids if is_missing(name) or (isinstance(name, str) and not name.strip())]:
        raise ValueError(f"{what} must all be named, but one is {missing[0]!r}: leave it out")
    return numbers


# ---------------------------------------------------------------- baskets


def basket_rows(
    pieces: Iterable[Int32],
    shape: tuple[int, int],
    shared: bool,
    memory_limit: int,
    threads: int,
    row_of: npt.NDArray[np.int64] | None,
) -> tuple[Generator[RowBatch, None, None], int]:
    """Return N in batches of rows, and a bound on its entries: N[i, j] is the weighted number of pairs (i, j).

    N[i, j] = sum over baskets of weight * (the pairs of an i and a different j in the basket). With X[b, i] the number
    of times that item i is in basket b, and w_b the weight of the basket, N = X.T diag(w) X except for the diagonal,
    which is sum_b w_b X[b, i] (X[b, i] - 1). X is held in memory, and N is computed in batches of rows. A row is summed
    over the baskets in their order, so the bits depend on neither the threads nor the memory.

    Parameters
    ----------
    pieces : iterable of int32 arrays
        Ids, with -1 after each basket. All pieces are consumed here.
    shape : (int, int)
        (V, K): only the first K items are columns.
    shared : bool
        Whether w_b is 1 / (items - 1) instead of 1.
    memory_limit : int
        Bytes; a quarter of them is for batches of rows.
    row_of : ndarray of int64 (V,), optional
        The row of each item; its id by default.
    """
    size, contexts = shape
    x, sizes = _incidence(pieces, size)
    weights = 1 / np.maximum(sizes - 1, 1) if shared else np.ones(len(sizes))
    lengths = np.diff(x.indptr)
    weight = np.repeat(weights, lengths)  # the weight of each entry of X
    pairs = np.bincount(x.indices, np.repeat(lengths, lengths), minlength=size).astype(np.int64)
    same = np.bincount(x.indices, weight * x.data * (x.data - 1), minlength=size)
    inputs = sparse.csr_array((weight * x.data, x.indices, x.indptr), shape=x.shape).T.tocsr()
    outputs = x if contexts == size else x[:, :contexts]
    items = np.arange(size)
    if row_of is not None:
        items = np.argsort(row_of)
        inputs, pairs = inputs[items], pairs[items]

    def count(rows: tuple[int, int]) -> RowBatch:
        first, last = rows
        part = inputs[first:last] @ outputs
        part.sort_indices()
        diagonal = part.indices == np.repeat(items[first:last], np.diff(part.indptr))
        part.data[diagonal] = same[part.indices[diagonal]]
        part.eliminate_zeros()
        return RowBatch.of(part)

    ranges = row_ranges(pairs, min(BATCH_PAIRS, batch_entries(memory_limit // 4, threads)))
    return ordered_map(count, ranges, threads), int(np.minimum(pairs, contexts).sum())


def _without_empty(piece: Int32) -> Int32:
    """Return a piece without its empty baskets, except for the first: an end that follows another end is dropped."""
    ends = piece < 0
    return piece[~(ends & np.roll(ends, 1) & (np.arange(len(piece)) > 0))]


def _incidence(pieces: Iterable[Int32], vocabulary_size: int) -> tuple[sparse.csr_array, npt.NDArray[np.int64]]:
    """Return (X, the number of items of each basket)."""
    ids = np.concatenate([np.empty(0, dtype=np.int32), *map(_without_empty, pieces)])
    ends = np.flatnonzero(ids < 0)
    starts = np.concatenate(([0], ends - np.arange(len(ends))))
    sizes = np.diff(starts)
    if sizes.max(initial=0) > MAX_BASKET_ITEMS:
        number = int(np.argmax(sizes > MAX_BASKET_ITEMS))
        most = f"a basket, of which all pairs count, has at most {MAX_BASKET_ITEMS:,} items"
        raise ValueError(f"{most}, but basket {number + 1} has {sizes[number]:,}; for long sequences use windows")
    items = ids[ids >= 0]
    x = sparse.csr_array((np.ones(len(items)), items, starts), shape=(len(sizes), vocabulary_size))
    x.sum_duplicates()
    return x, sizes
