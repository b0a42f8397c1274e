"""Who took what, as a sparse matrix of users and items: from a matrix, from pairs in tables and files, from baskets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Float32, Int32, Int64, canonical_csr, csr
from fastembed._base.estimator import fields_alone
from fastembed._base.threads import cached_property
from fastembed._base.validation import UnknownToken, check_flag, check_number, float_or_nan, shown
from fastembed.corpus.corpus import FileCorpus
from fastembed.corpus.documents import BadRow, check_field, is_missing
from fastembed.corpus.sources import Structure, TextFile, find_files, form_of, path_list
from fastembed.corpus.tables import field_rows, row_place

ROWS_AT_ONCE = 1 << 18  # pairs that are Python objects at a time
BASKETS_AT_ONCE = 1 << 14
MOST_ENTRIES = 2**31 - 1  # of a matrix whose indices are int32
SMALLEST, LARGEST = 1e-15, 1e20  # weight of a user and an item: the ratio of two is finite in float32
NO_PART = np.empty(0, np.float32), np.empty(0, np.int32), np.empty(0, np.int32)  # weights, rows and columns
Place = Callable[[int], str]


def is_name(value: Any) -> bool:
    """Return whether a value may be the name of a user or an item."""
    return isinstance(value, str | int | np.integer) and not isinstance(value, bool)


@dataclass(frozen=True, eq=False)
class Names:
    """Different names of users or items, all str or all int.

    Attributes
    ----------
    what : str
        "user" or "item".
    names : ndarray (N,) of int64 or of str objects
    """

    what: str
    names: NDArray[Any]

    __getstate__ = fields_alone

    @cached_property
    def _numbers(self) -> dict[Any, int]:
        return {name: number for number, name in enumerate(self.names.tolist())}

    def __len__(self) -> int:
        return len(self.names)

    def find(self, names: Iterable[Any], skip_unknown: bool = False) -> NDArray[np.intp]:
        """Return the number of each name (n,), -1 for an unknown name if `skip_unknown`.

        Raises
        ------
        KeyError
            If a name is unknown and not skipped.
        TypeError
            If `names` is no iterable of names, or a name is neither a str nor an int.
        """
        if isinstance(names, str | bytes) or not isinstance(names, Iterable):
            raise TypeError(f"{self.what}s must be several names, got {shown(names)}")
        listed = list(names)
        for name in listed:
            if not is_name(name):
                raise TypeError(f"{self.what} must be a str or an int, got {shown(name)}")
        numbers = np.array([self._numbers.get(name, -1) for name in listed], np.intp)
        if not skip_unknown and (numbers < 0).any():
            name = listed[int(np.argmax(numbers < 0))]
            if isinstance(name, str) and self.names.dtype == object:
                raise KeyError(UnknownToken(name, self.names, f"{self.what}s"))
            kind, example = ("str" if self.names.dtype == object else "int"), self.names.tolist()[0]
            raise KeyError(f"{name!r} is not among the {len(self):,} {self.what}s, such as the {kind} {example!r}")
        return numbers


class _NameNumbers:
    """The numbers of names: 0 is the first name that comes, 1 the next new name.

    Parameters
    ----------
    what : str
        "user" or "item".
    field : str or int, optional
        The field of the names, for errors.
    """

    def __init__(self, what: str, field: str | int | None = None) -> None:
        self._what = what
        self._source = f"the {what}" if field is None else f"the field {field!r}"
        self._numbers: dict[Any, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def names(self) -> Names:
        """Return the names in the order of their numbers."""
        listed = list(self._numbers)
        is_text = bool(listed) and isinstance(listed[0], str)
        return Names(self._what, np.array(listed, object if is_text else np.int64))

    def add(self, names: list[Any] | NDArray[Any], place: Place) -> Int32:
        """Return the number of each name (n,); a new name gets the next number.

        Parameters
        ----------
        names : list of str or int, or ndarray of int (n,)
        place : callable
            Returns in words where a name is.

        Raises
        ------
        TypeError
            If a name is missing, is neither a str nor an int of 64 bits, or some are str and others int.
        """
        return self._add_array(names, place) if isinstance(names, np.ndarray) else self._add_list(names, place)

    def _add_array(self, names: NDArray[Any], place: Place) -> Int32:
        """Return the numbers of an array; each different name is looked up once."""
        if names.dtype.kind not in "iu":
            if (missing := np.isnan(names)).any():
                raise self._missing_error(place(int(np.argmax(missing))), math.nan)
            raise TypeError(f"{self._what}s must be str or int, got {self._source} of {names.dtype}: convert to int")
        different, firsts, inverse = np.unique(names, return_index=True, return_inverse=True)
        order = np.argsort(firsts)  # of the sorted names: the order in which they come
        numbers = self._add_list(different[order].tolist(), lambda k: place(int(firsts[order[k]])))
        return numbers[np.argsort(order)[inverse]]

    def _add_list(self, names: list[Any], place: Place) -> Int32:
        numbered, known = self._numbers, len(self._numbers)
        try:
            numbers = np.fromiter((numbered.setdefault(name, len(numbered)) for name in names), np.int32, len(names))
        except TypeError as error:
            raise TypeError(f"{self._what} must be a str or an int: {error}") from None
        is_text = isinstance(next(iter(numbered), None), str)
        for name in list(numbered)[known:]:
            if not (isinstance(name, str) and name if is_text else _is_int64(name)):
                where = place(next(k for k, item in enumerate(names) if item is name))
                if is_missing(name) or name == "":
                    raise self._missing_error(where, name)
                kinds = "all str and not empty, or all int of 64 bits"
                raise TypeError(f"{where}: {self._what}s must be {kinds}, got {shown(name)}")
        return numbers

    def _missing_error(self, where: str, name: Any) -> TypeError:
        return TypeError(f"{where}: {self._source} is {shown(name)}: drop missing {self._what}s")


def _is_int64(name: Any) -> bool:
    return is_name(name) and not isinstance(name, str) and -(2**63) <= int(name) < 2**63


@dataclass(frozen=True)
class Interactions:
    """Who took what.

    Attributes
    ----------
    matrix : csr_array (U, V), float32
        The weight of each item of each user; canonical, above 0.
    users, items : Names
        The names of the rows and of the columns.
    form_without_weights : str
        "pairs" or "baskets", the form of the source, if the source has no weights; otherwise "".
    """

    matrix: Any
    users: Names
    items: Names
    form_without_weights: str = ""


def read_interactions(
    source: Any,
    user: str | int | None = None,
    item: str | int | None = None,
    weight: str | int | None = None,
    *,
    header: bool = True,
    default_weight: Callable[[str], float] = lambda _: 1.0,
) -> Interactions:
    """Read interactions; see `Recommender.fit`.

    Parameters
    ----------
    source : object
    user, item, weight : str or int, optional
        The fields of pairs.
    header : bool
        Whether the first row of CSV holds the names of the fields.
    default_weight : callable
        Returns the weight of an item without a weight, in "pairs" or in "baskets": 1 for a fit, and for an evaluation
        `FittedRecommender.default_weight`.

    Raises
    ------
    TypeError, ValueError, OSError
        As `Recommender.fit`.
    """
    fields = [field for field in (user, item, weight) if field is not None]
    form, header = form_of(source, texts=False), check_flag("header", header)
    if isinstance(source, np.ndarray) and len(source) and source.shape[1:] in ((2,), (3,)):
        raise ValueError(f"{shown(source[0])} may be a user and an item: pass a table, a csr_array or baskets as lists")
    paths, hint = path_list(source) if form == "files" else [], "baskets are lists, as [['milk', 'bread']]"
    files: list[Any] = [file for path in paths for file in find_files(path, hint)]
    if form == "table" or (files and fields) or (header and any(map(Structure().applies, files))):
        if user is None or item is None:
            baskets = "CSV of baskets needs header=False or --no-header"
            raise ValueError(f"a table of pairs needs user and item, or --user and --item; {baskets}")
        parts = _table_pairs(source, fields) if form == "table" else _file_pairs(files, fields, header)
        data = _from_pairs(parts, fields, default_weight("pairs"))
    elif fields:
        raise ValueError(f"user=, item= and weight= name the fields of a table or a file, got {shown(source)}")
    elif form == "matrix":
        matrix = narrow(canonical_csr("X", source))
        users, items = map(np.arange, matrix.shape)
        data = Interactions(matrix, Names("user", users), Names("item", items))
    elif form in ("files", "items"):
        data = _from_baskets(FileCorpus(files, header=header) if files else source, default_weight("baskets"))
        joined = [name for name in data.items.names if files and "," in name]
        if 2 * len(joined) > len(data.items):
            raise ValueError(f"got the item {shown(joined[0])}; commas need a .csv and header=False or --no-header")
    else:
        raise TypeError(f"X must be a sparse matrix, pairs, or baskets, got {shown(source)}")
    return _in_order(data)


def _in_order(data: Interactions) -> Interactions:
    """Return interactions with sorted items if these are 0 to V - 1, so that column i is item i; else as they are."""
    names = data.items.names
    if names.dtype == object or not np.array_equal(np.sort(names), np.arange(len(names))):
        return data
    order = np.argsort(names)
    return replace(data, matrix=narrow(data.matrix[:, order].sorted_indices()), items=Names("item", names[order]))


# ---------------------------------------------------------------- pairs

Pairs = Iterator[tuple[list[Any], Place]]  # the values of two or three fields of many rows, and where a row is


def _table_pairs(table: Any, fields: list[Any]) -> Pairs:
    """Yield the columns of a table in memory."""
    for field in fields:
        check_field(table, field)
    columns = [_numbers_or_names(table[field]) for field in fields]
    if len(set(map(len, columns))) > 1:
        raise ValueError(f"the fields must have one value per pair, got {list(map(len, columns))}")
    yield columns, "row {}".format


def _numbers_or_names(column: Any) -> Any:
    """Return the values of a column: an array of numbers, or a list."""
    array = column.to_numpy() if hasattr(column, "to_numpy") else column
    if not isinstance(array, np.ndarray):
        return list(array)
    return array if array.dtype.kind in "biuf" else array.tolist()


def _file_pairs(files: list[TextFile], fields: list[Any], header: bool) -> Pairs:
    """Yield the fields of the rows of structured files."""
    for file in files:
        rows = field_rows(file, fields, header=header)
        while part := list(islice(rows, ROWS_AT_ONCE)):
            for number, row in part:
                if isinstance(row, BadRow):
                    raise ValueError(f"{row_place(file, number)}: {row.message}")
            numbers, values = zip(*part, strict=True)
            place = lambda k, file=file, numbers=numbers: row_place(file, numbers[k])  # noqa: E731
            yield list(map(list, zip(*values, strict=True))), place


def _from_pairs(parts: Pairs, fields: list[Any], default_weight: float) -> Interactions:
    users, items, weighted = _NameNumbers("user", fields[0]), _NameNumbers("item", fields[1]), len(fields) > 2
    entries = []
    for values, place in parts:
        rows, columns = users.add(values[0], place), items.add(values[1], place)
        weights = _weights(values[2], fields[2], place) if weighted else np.full(len(rows), default_weight, np.float32)
        entries.append((weights, rows, columns))
    return _interactions(entries, users, items, "" if weighted else "pairs")


def _weights(values: Any, field: Any, place: Place) -> Float32:
    """Return the weights of pairs, as numbers; CSV has text in place of numbers."""
    try:
        weights = np.array(values, np.float64)
    except (TypeError, ValueError):
        weights = np.array(list(map(float_or_nan, values)))
    if (wrong := ~(weights >= 0)).any():
        k = int(np.argmax(wrong))
        value = values[k].item() if isinstance(values[k], np.generic) else values[k]
        raise ValueError(f"{place(k)}: the weight {field!r} must be a number of at least 0, got {shown(value)}")
    return weights.astype(np.float32)


def _interactions(parts: list[Any], users: _NameNumbers, items: _NameNumbers, form: str) -> Interactions:
    """Return the interactions with the weights, rows and columns of the parts; `form` is "" if there are weights."""
    weights, rows, columns = map(np.concatenate, zip(NO_PART, *parts, strict=True))
    matrix = matrix_of(weights, (rows, columns), (len(users), len(items)))
    return Interactions(matrix, users.names(), items.names(), form)


def matrix_of(weights: NDArray[Any], entries: Any, shape: tuple[int, int]) -> Any:
    """Return the matrix with these entries; entries of the same user and item are added up."""
    matrix = sparse.coo_array((weights, entries), shape=shape).tocsr()
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return narrow(matrix)


# ---------------------------------------------------------------- matrices and baskets


def narrow(matrix: Any) -> Any:
    """Return a matrix in CSR form with numbers of float32 and indices of int32.

    SciPy converts the indices of a factor of a product, unless both factors have int32.

    Raises
    ------
    ValueError
        If a weight is too small or too large, or the matrix has too many weights.
    """
    if matrix.nnz > MOST_ENTRIES:
        raise ValueError(f"{matrix.nnz:,} items of users are too many: fit to a part of the users")
    for extreme in (matrix.data.min(initial=1), matrix.data.max(initial=1)):
        if not SMALLEST <= extreme <= LARGEST:
            raise ValueError(f"weights above 0 must be from {SMALLEST:g} to {LARGEST:g}, got {extreme:g}")
    return csr(matrix.data.astype(np.float32), matrix.indices.astype(np.int32), matrix.indptr, matrix.shape)


def _from_baskets(baskets: Any, default_weight: float) -> Interactions:
    index: Any = getattr(baskets, "index", None)  # of a pandas Series
    items, parts, weighted, count, remaining = _NameNumbers("item"), [], False, 0, iter(baskets)
    while part := list(islice(remaining, BASKETS_AT_ONCE)):
        if not count and all(isinstance(basket, tuple) and len(basket) == 2 for basket in part):
            raise ValueError(f"{shown(part[0])} may be a user and an item: pass a table, or baskets as lists")
        names, weights, sizes, any_weight = flat_baskets(part, count, default_weight)
        weighted = weighted or any_weight
        owners = np.repeat(np.arange(count, count + len(part), dtype=np.int32), sizes)
        count += len(part)
        parts.append((weights, owners, items.add(names, lambda k: f"basket {owners[k]}")))  # noqa: B023 - called at once
    users = _NameNumbers("user")
    numbers = users.add(index.tolist() if hasattr(index, "tolist") else np.arange(count), "basket {}".format)
    parts = [(weights, numbers[owners], columns) for weights, owners, columns in parts]
    return _interactions(parts, users, items, "" if weighted else "baskets")


def flat_baskets(baskets: Iterable[Any], first: int, default_weight: float) -> tuple[list[Any], Float32, Int64, bool]:
    """Return all items of baskets (n,), their weights (n,), the sizes of the baskets (N,), and whether any has weights.

    Parameters
    ----------
    baskets : iterable of iterables of items, or of tuples (item, weight)
    first : int
        The number of the first basket, for errors.
    default_weight : float
        The weight of an item without a weight.

    Raises
    ------
    TypeError, ValueError
        If a basket or a weight is not as above.
    """
    names: list[Any] = []
    weighted: dict[int, float] = {}
    sizes = []
    for number, basket in enumerate(baskets, first):
        if isinstance(basket, str | bytes | Mapping) or not isinstance(basket, Iterable):
            hint = f"; split it: {shown(str(basket).split())}" if isinstance(basket, str) else ""
            raise TypeError(f"basket {number} must be a list of items, got {shown(basket)}{hint}")
        items = basket.tolist() if isinstance(basket, np.ndarray) else list(basket)
        if isinstance(basket, set | frozenset):  # a set has another order in each process
            items.sort(key=repr)
        if tuple in set(map(type, items)):
            for place, item in enumerate(items):
                if isinstance(item, tuple):
                    if len(item) != 2:
                        raise TypeError(f"basket {number}: an item with a weight is a tuple of both, got {shown(item)}")
                    items[place] = item[0]
                    name = f"basket {number}: the weight of {item[0]!r}"
                    weighted[len(names) + place] = check_number(name, item[1])
        names += items
        sizes.append(len(items))
    weights = np.full(len(names), default_weight, np.float32)
    weights[list(weighted)] = list(weighted.values())
    return names, weights, np.array(sizes, np.int64), bool(weighted)
