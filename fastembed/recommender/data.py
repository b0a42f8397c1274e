"""Who took what, as a sparse matrix of users and items: from a matrix, from pairs in tables and files, from baskets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.arrays import Int32, canonical_csr, csr
from fastembed._base.threads import cached_property
from fastembed._base.validation import UnknownToken, check_flag, check_number, listed, shown, unhashable, warn_user
from fastembed.corpus.corpus import DocumentCorpus, FileCorpus
from fastembed.corpus.guesses import look_weighted, warn_of_lines
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.memory import BadRow, check_field, column_names, warn_of_names
from fastembed.corpus.sources import TextFile, find_files, is_url, path_list
from fastembed.corpus.tables import FORMATS, field_rows, place_of, suffix_of

ROWS_AT_ONCE = 1 << 18  # pairs or items that are Python objects at a time
MOST_ENTRIES = 2**31 - 1  # of a matrix whose indices are int32
SMALLEST, LARGEST = 1e-15, 1e20  # weight of a user and an item: the ratio of two is finite in float32
LOOKED_AT = 1000  # baskets that are looked at for signs of another form
MANY_BASKETS = 10  # from this number on it is a warning if they look like something else
TABLE = 'pass a table, such as {"user": [...], "item": [...]}, with user="user" and item="item"'
USUAL = {"matrix": 1.0, "pairs": 1.0, "baskets": 1.0}  # the weight of an item for which none is given, by the form
Place = Callable[[int], str]


class Names:
    """Different names of users or items, all str or all int, and their numbers, in the order in which they came.

    Parameters
    ----------
    what : str
        "user" or "item".
    names : ndarray (N,) of int64 or of str objects
    """

    def __init__(self, what: str, names: NDArray[Any] | None = None) -> None:
        self._what = what
        self._names = np.empty(0, object) if names is None else names

    def __getstate__(self) -> dict[str, Any]:
        return {"_what": self._what, "_names": self.names}

    @cached_property
    def _numbers(self) -> dict[Any, int]:
        return {name: number for number, name in enumerate(self._names.tolist())}

    @property
    def names(self) -> NDArray[Any]:
        """The names (N,): int64, or str objects."""
        if len(self._names) < len(self._numbers):
            new = list(self._numbers)
            self._names = np.array(new, object if isinstance(new[0], str) else np.int64)
        return self._names

    def __len__(self) -> int:
        return len(self._numbers)

    def are_places(self) -> bool:
        """Return whether the names are 0 to N - 1, in this order."""
        return np.array_equal(self.names, np.arange(len(self)))

    def add(self, names: list[Any] | NDArray[Any], place: Place) -> Int32:
        """Return the number of each name (n,); a new name gets the next number.

        Parameters
        ----------
        names : list or ndarray of int (n,)
        place : callable
            Returns in words where a name is.

        Raises
        ------
        TypeError, ValueError
            If a name is neither a str nor an int of 64 bits, or some are str and others int.
        """
        if isinstance(names, np.ndarray):  # the different ones, as they come: there are far fewer
            different, first, inverse = np.unique(names, return_index=True, return_inverse=True)
            order = np.argsort(first)
            numbers = np.empty(len(order), np.int32)
            numbers[order] = self.add(different[order].tolist(), lambda k: place(int(first[order[k]])))
            return numbers[inverse]
        numbered, known = self._numbers, len(self._numbers)
        try:
            found = np.fromiter((numbered.setdefault(name, len(numbered)) for name in names), np.int32, len(names))
        except TypeError:  # it cannot be hashed
            self._refuse(names, place, unhashable(names))
        new = list(islice(reversed(numbered), len(numbered) - known))
        kind = str if isinstance(next(iter(numbered), None), str) else int
        for name in reversed(new):
            if not self._may_be(name, kind):
                self._refuse(names, place, name)
        return found

    @staticmethod
    def _may_be(name: Any, kind: type) -> bool:
        if kind is str:
            return isinstance(name, str) and name != ""
        return isinstance(name, int | np.integer) and not isinstance(name, bool) and -(2**63) <= int(name) < 2**63

    def _refuse(self, names: list[Any], place: Place, wrong: Any) -> NoReturn:
        where = place(next(k for k, name in enumerate(names) if name is wrong))
        if self._may_be(wrong, str) or self._may_be(wrong, int):
            raise TypeError(
                f"{where}: {self._what}s must be all str or all int, got {shown(wrong)} after {self._like()}"
            )
        hint = ": leave it out" if isinstance(wrong, str) else ""
        if isinstance(wrong, Iterable) and not isinstance(wrong, str):
            hint = ": a table has a row per item, as by explode(); lists of items are baskets, without user= and item="
        if isinstance(wrong, float):
            hint = ": leave out rows that miss it, and make the column int, as by dropna().astype(int)"
            missing = [k for k, name in enumerate(names) if isinstance(name, float) and name != name]
            if missing:  # it has made floats of all others
                where, wrong = place(missing[0]), names[missing[0]]
        raise TypeError(f"{where}: {self._what} must be a str or an int of 64 bits, got {shown(wrong)}{hint}")

    def _like(self) -> str:
        return shown(next(iter(self._numbers), None))

    def find(self, names: Iterable[Any], skip_unknown: bool = False) -> NDArray[np.intp]:
        """Return the number of each name (n,), -1 for an unknown one if these are skipped.

        Raises
        ------
        KeyError
            If a name is unknown, unless they are skipped; it names similar ones.
        TypeError
            If a name is neither a str nor an int.
        """
        listed: list[Any] = names.tolist() if isinstance(names, np.ndarray) else list(names)
        try:
            found = np.fromiter((self._numbers.get(name, -1) for name in listed), np.intp, len(listed))
        except TypeError:
            found = np.full(len(listed), -1)
        if (found < 0).any() or not {int, str}.issuperset(map(type, listed)):  # 1.0 is equal to 1
            for name in listed:
                if not (isinstance(name, str) or self._may_be(name, int)):
                    hint = "; a basket of an item with a weight is [(item, weight)]" if isinstance(name, float) else ""
                    raise TypeError(f"{self._what} must be a str or an int of 64 bits, got {shown(name)}{hint}")
            if not skip_unknown and (found < 0).any():
                raise KeyError(self.unknown(listed[int(np.argmax(found < 0))]))
        return found

    def unknown(self, name: Any) -> str | UnknownToken:
        """Return the message for an unknown name."""
        text = f"{name!r} is not among the {len(self):,} {self._what}s"
        if not len(self):
            return text
        if isinstance(name, str) != isinstance(self.names[0], str):
            return f"{text}, which are {'str' if isinstance(self.names[0], str) else 'int'}, such as {self._like()}"
        if isinstance(name, str):
            return UnknownToken(name, self._numbers, self.names, f"{self._what}s")
        return f"{text}, which are numbered from 0" if self._what == "user" and self.are_places() else text


@dataclass(frozen=True)
class Interactions:
    """Who took what.

    Attributes
    ----------
    matrix : csr_array (U, V), float32
        The weight of each item of each user; canonical, above 0.
    users, items : Names
        Of the rows and columns.
    unweighted : str
        The form of the first fit, "pairs" or "baskets", if neither it nor what was added later had weights; or "".
    """

    matrix: Any
    users: Names
    items: Names
    unweighted: str = ""


def read_interactions(
    source: Any,
    user: str | int | None = None,
    item: str | int | None = None,
    weight: str | int | None = None,
    *,
    header: bool = True,
    known: Interactions | None = None,
    usual: Mapping[str, float] = USUAL,
    report: Callable[[int, int | None], object] | None = None,
) -> Interactions:
    """Read interactions; see `Recommender.fit`.

    Parameters
    ----------
    source : object
    user, item, weight : str or int, optional
        The fields of pairs.
    header : bool
        Whether the first row of CSV holds their names.
    known : Interactions, optional
        To which those that are read are added.
    usual : mapping of str to float
        The weights of items without one; see `FittedRecommender.usual`.
    report : callable, optional
        Called with the bytes of files that have been read, and all.

    Raises
    ------
    TypeError, ValueError, OSError
        As `Recommender.fit`.
    """
    users, items, unweighted = Names("user"), Names("item"), ""
    if known is not None:
        users, items = Names("user", known.users.names), Names("item", known.items.names)
    header, fields = check_flag("header", header), (user, item, weight)
    names = fields_of_table(source)
    files = _files(source)
    given = any(field is not None for field in fields)
    if names is not None or (files and (given or any(suffix_of(file.name) in FORMATS for file in files))):
        if user is None or item is None:
            what = (
                f"{listed(names)} (a matrix is .to_numpy())"
                if names
                else ", ".join(repr(file.name) for file in files or ())
            )
            raise ValueError(
                f"pairs have a user and an item: name their fields, user=... and item=..., of {what}; baskets are lists"
                " of items, as csv.reader gives, or a text file with a basket per line, its items between spaces:"
                " tr ' ,' '_ ' < FILE makes that of commas"
            )
        chosen = [field for field in fields if field is not None]
        if len(set(map(str, chosen))) < len(chosen):
            raise ValueError(f"user, item and weight must be different fields, got {', '.join(map(repr, chosen))}")
        if names is None:
            parts = _pairs_of_files(files or [], chosen, header, report)
        else:
            parts = _pairs_of_table(source, chosen, names)
        matrix = _matrix_of_pairs(parts, users, items, usual["pairs"])
        unweighted = "" if weight is not None else "pairs"
        if names is None and header and all(str(field).isdecimal() for field in chosen):
            _advise_of_header((files or [])[0], chosen[:2], users, items)
        if known is not None:
            _warn_of_exchange(users.names[np.diff(matrix.indptr) > 0], items.names[np.unique(matrix.indices)], known)
    elif given:
        raise ValueError(
            "user=, item= and weight= name the fields of a table; a matrix and baskets have none. Of pairs in a list"
            ' make a table, such as {"user": [...], "item": [...]}'
        )
    elif is_matrix(source):
        matrix = _matrix_of_matrix(source, users, items, usual["matrix"])
    else:
        if files is not None:
            source = FileCorpus(source)
        baskets = source.sequences(Ledger()) if isinstance(source, FileCorpus | DocumentCorpus) else source
        matrix, weighted = _matrix_of_baskets(baskets, users, items, usual["baskets"], of_file=files is not None)
        unweighted = "" if weighted else "baskets"
        if files is not None and items.find(["#"], skip_unknown=True)[0] >= 0:
            warn_user("lines that begin with # are baskets, too, and # is an item: a file of baskets has no comments")
    if known is None or known.items.are_places():
        items, matrix = _by_place(items, matrix)
    for each in (users, items):
        strange = each.names.dtype == object or each.names.min(initial=0) == -1
        warn_of_names(each.names.tolist() if strange else ())
    if known is not None:
        unweighted = known.unweighted if unweighted or (matrix.data == 1).all() else ""
        old = known.matrix.copy()
        old.resize(matrix.shape)
        matrix = narrow(old + matrix)
    if not matrix.nnz:
        raise ValueError(f"there is nothing to learn from: no user of {matrix.shape[0]:,} has an item")
    if len(users) >= MANY_BASKETS and np.diff(matrix.indptr).max() == 1:
        example = next((name for name in items.names.tolist() if isinstance(name, str) and " " in name), "")
        hint = f"; {example!r} is one item, {example!r}.split() a basket" if example else ""
        warn_user(f"no user has two items, so that nothing but their popularity can be learned{hint}")
    return Interactions(matrix, users, items, unweighted)


def _by_place(items: Names, matrix: Any) -> tuple[Names, Any]:
    """Return items and matrix, both in the order of the items if these are 0 to N - 1: rows of others are so, too."""
    places = np.arange(len(items))
    if items.names.dtype == object and not all(map(str.isdecimal, items.names)):
        return items, matrix
    numbers = items.names.astype(np.float64)
    order = np.argsort(numbers)
    if np.array_equal(numbers, places) or not np.array_equal(numbers[order], places):
        return items, matrix
    return Names("item", items.names[order]), narrow(matrix[:, order].sorted_indices())


def as_matrix(given: Any) -> Any:
    """Return a matrix; a row of a sparse array, which SciPy makes flat, as one."""
    return given.reshape((1, -1)) if given.ndim == 1 else given


def is_matrix(source: Any) -> bool:
    """Return whether something is a sparse matrix, or an array of two dimensions."""
    return sparse.issparse(source) or (isinstance(source, np.ndarray) and source.ndim == 2)


def fields_of_table(source: Any) -> list[Any] | None:
    """Return the names of the columns of a table in memory; None if it is none."""
    if sparse.issparse(source):  # SciPy's dok_array is a Mapping, too
        return None
    return list(source) if isinstance(source, Mapping) else column_names(source)


def _is_file(path: Any) -> bool:
    """Return whether an item of a list, which may be a basket, is the name of a file."""
    return isinstance(path, os.PathLike) or is_url(path) or (isinstance(path, str) and suffix_of(path) in FORMATS)


def _files(source: Any) -> list[Any] | None:
    """Return the files that a path or a list of paths stands for; None if it is neither."""
    several = isinstance(source, list | tuple) and bool(source) and all(map(_is_file, source))
    if not several and not isinstance(source, str | os.PathLike):
        return None
    return [file for path in path_list(source) for file in find_files(path)]


# ---------------------------------------------------------------- pairs

Pairs = Iterator[tuple[list[Any], Place]]  # the values of two or three fields of many rows, and where a row is


def _pairs_of_table(table: Any, fields: list[Any], names: list[Any]) -> Pairs:
    """Yield the columns of a table in memory."""
    for field in fields:
        check_field(type(table).__name__, field, names)
    columns = [table[field] for field in fields]
    labels = getattr(table, "index", None)  # of pandas
    arrays = [column.to_numpy() if hasattr(column, "to_numpy") else column for column in columns]
    values = [
        array if isinstance(array, np.ndarray) and array.dtype.kind in "iu" else _listed(array) for array in arrays
    ]
    for field, array in zip(fields, values, strict=True):
        if len(array) != len(values[0]):
            raise ValueError(
                f"the fields must have one value per pair, {len(values[0])}, but {field!r} has {len(array)}"
            )
    yield values, lambda k: f"row {k if labels is None or callable(labels) else labels[k : k + 1].tolist()[0]!r}"


def _listed(column: Any) -> list[Any]:
    return list(column.tolist() if isinstance(column, np.ndarray) else column)


def _pairs_of_files(
    files: list[Any], fields: list[Any], header: bool, report: Callable[[int, int | None], object] | None
) -> Pairs:
    """Yield the fields of the rows of structured files."""
    done, total = 0, sum(file.size() for file in files)
    for file in files:
        read = None if report is None else lambda size, before=done: report(before + size, total)
        rows = field_rows(file, fields, header=header, report=read)
        while part := list(islice(rows, ROWS_AT_ONCE)):
            for number, row in part:
                if isinstance(row, BadRow):
                    raise ValueError(f"{place_of(file, number)}: {row.message}")
            columns = list(zip(*(row for _, row in part), strict=True))
            yield list(map(list, columns)), partial(_place_in, file, part)
        done += file.size()


def _advise_of_header(file: TextFile, fields: list[Any], users: Names, items: Names) -> None:
    """Warn if the first row of a file, which is taken for names of fields, looks like a user and an item."""
    if suffix_of(file.name) in (".csv", ".tsv"):
        _, row = next(field_rows(file, fields, header=False))
        if not isinstance(row, BadRow) and all(
            names.find([name], skip_unknown=True)[0] >= 0 for names, name in zip((users, items), row, strict=True)
        ):
            warn_user(
                f"{file.name!r}: the first row, {', '.join(row)}, is taken for the names of the fields;"
                " header=False (--no-header) takes it for a user and an item"
            )


def _warn_of_exchange(users: NDArray[Any], items: NDArray[Any], known: Interactions) -> None:
    """Warn if more of the users are known as items than as users, and more of the items as users than as items."""

    def found(names: NDArray[Any], among: Names) -> int:
        return int(np.count_nonzero(among.find(names, skip_unknown=True) >= 0))

    if found(users, known.items) > found(users, known.users) and found(items, known.users) > found(items, known.items):
        warn_user("most users are known as items, and items as users: are the fields user and item exchanged?")


def _place_in(file: TextFile, part: list[Any], k: int) -> str:
    return place_of(file, part[k][0])


def _matrix_of_pairs(parts: Pairs, users: Names, items: Names, usual: float) -> Any:
    rows, columns, weights = [], [], []
    for values, place in parts:
        rows.append(users.add(values[0], place))
        columns.append(items.add(values[1], place))
        weights.append(_weights(values[2], place) if len(values) > 2 else np.full(len(rows[-1]), usual, np.float32))
    if not rows:
        raise ValueError("there is nothing to learn from: no pair of a user and an item")
    entries = tuple(map(np.concatenate, (rows, columns)))
    return matrix_of(np.concatenate(weights), entries, (len(users), len(items)))


def _weights(values: Any, place: Place) -> NDArray[np.float32]:
    """Return the weights of pairs, which may be digits of CSV."""
    try:
        weights = np.array(values, np.float64)
    except (TypeError, ValueError):
        weights = np.array([_number(value) for value in values])
    wrong = ~((weights >= 0) & (weights <= LARGEST))
    if wrong.any():
        k = int(np.argmax(wrong))
        raise ValueError(f"{place(k)}: weight must be a number from 0 to {LARGEST:g}, got {shown(_listed(values)[k])}")
    return weights.astype(np.float32)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def matrix_of(weights: NDArray[Any], entries: Any, shape: tuple[int, int]) -> Any:
    """Return the matrix with these entries; those of the same user and item are added up."""
    matrix = sparse.coo_array((weights, entries), shape=shape).tocsr()
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return narrow(matrix)


# ---------------------------------------------------------------- matrices and baskets


def _matrix_of_matrix(source: Any, users: Names, items: Names, usual: float) -> Any:
    if not sparse.issparse(source) and source.dtype.kind not in "biuf":
        raise TypeError(f"X must be a matrix of numbers, got dtype {source.dtype}")
    matrix = weights_of(source, usual)
    if matrix.shape[1] in (2, 3) and matrix.shape[0] >= MANY_BASKETS:
        warn_user(
            f"a column of X is an item, which makes {matrix.shape[1]}; if the columns are users and items, {TABLE}"
        )
    if not sparse.issparse(source) and matrix.nnz == matrix.shape[0] * matrix.shape[1] > matrix.shape[1] > 1:
        warn_user("every user of X has every item: if the rows are baskets of items, pass X.tolist()")
    add_places(users, matrix.shape[0])
    if matrix.shape[1] < len(items) or not items.are_places():
        if matrix.shape[1] != len(items):
            raise ValueError(f"X must have a column for each of the {len(items):,} items, got shape {matrix.shape}")
    else:
        items.add(np.arange(len(items), matrix.shape[1]), str)
    starts = np.pad(matrix.indptr, (len(users) - matrix.shape[0], 0))  # after the users that are known
    return sparse.csr_array((matrix.data, matrix.indices, starts), shape=(len(users), len(items)))


def narrow(matrix: Any) -> Any:
    """Return a matrix in CSR form with numbers of float32 and indices of int32.

    SciPy multiplies matrices of other indices with those of training only after it has converted these.

    Raises
    ------
    ValueError
        If a weight is too small or too large, or there are too many.
    """
    _check_entries(matrix.nnz)
    for wrong in (matrix.data.min(initial=1), matrix.data.max(initial=1)):
        if not SMALLEST <= wrong <= LARGEST:
            raise ValueError(f"weights above 0 must be from {SMALLEST:g} to {LARGEST:g}, got {wrong:g}")
    return csr(matrix.data.astype(np.float32), matrix.indices.astype(np.int32), matrix.indptr, matrix.shape)


def _check_entries(count: int) -> None:
    if count > MOST_ENTRIES:
        part = "fit to a part of the users; the others get recommendations from their items, without a fit"
        raise ValueError(f"{count:,} items of users are too many, at most {MOST_ENTRIES:,}: {part}")


def add_places(users: Names, count: int) -> None:
    """Add users without names, whose names are their numbers.

    Raises
    ------
    TypeError
        If the users so far have names.
    """
    if not users.are_places():
        like = users.names.tolist()[0]
        raise TypeError(f"users are known by their names, such as {like!r}: give pairs, with user=... and item=...")
    users.add(np.arange(len(users), len(users) + count), str)


def weights_of(given: Any, median: float) -> Any:
    """Return a matrix as csr of float32; warn if it looks as if it had no weights, but training had, with a median."""
    given = as_matrix(given)
    given = given if sparse.issparse(given) else sparse.csr_array(given)
    _check_entries(given.nnz)
    matrix = narrow(canonical_csr("X", given))
    many = matrix.nnz > 1 and (median >= 5 or (median > 2 and matrix.nnz >= MANY_BASKETS))
    if many and (matrix.data == 1).all():  # else it may be so
        warn_user(
            f"all weights are 1, and the median weight of training is {median:g}: multiply rows without weights by it"
        )
    return matrix


def _matrix_of_baskets(baskets: Any, users: Names, items: Names, usual: float, *, of_file: bool) -> tuple[Any, bool]:
    """Return the matrix, and whether an item has a weight."""
    if isinstance(baskets, str | bytes) or not isinstance(baskets, Iterable):
        raise TypeError(f"X must be a sparse matrix, pairs, or baskets, got {shown(baskets)}")
    remaining, index = iter(baskets), getattr(baskets, "index", None)  # of a pandas Series
    rows, columns, weights = [], [], []
    count, weighted = 0, False
    while part := list(islice(remaining, ROWS_AT_ONCE // 16)):
        names, given, sizes, some = flat_baskets(part, count, usual)
        weighted = weighted or some
        if not count:
            _warn_of_table(names, sizes[:LOOKED_AT], of_file, all(isinstance(basket, tuple) for basket in part))
            if of_file:
                warn_of_lines(list(filter(None, part[:LOOKED_AT])))
        owners = np.repeat(np.arange(count, count + len(part), dtype=np.int32), sizes)
        count += len(part)
        rows.append(owners)
        columns.append(items.add(names, lambda k: f"basket {owners[k]}"))  # noqa: B023 - called at once
        weights.append(given)
    if not rows:
        raise ValueError("there is nothing to learn from: no basket")
    if index is None or callable(index) or np.array_equal(index, np.arange(count)):
        numbers: Any = np.arange(len(users), len(users) + count)
        add_places(users, count)
    else:
        numbers = users.add(index.tolist(), "basket {}".format)
    entries = numbers[np.concatenate(rows)], np.concatenate(columns)
    return matrix_of(np.concatenate(weights), entries, (len(users), len(items))), weighted


def _warn_of_table(names: list[Any], sizes: NDArray[np.int64], of_file: bool, tuples: bool) -> None:
    """Warn if the first baskets look like the rows of a table, a user, an item and perhaps a number, or its columns."""
    count, width = len(sizes), int(sizes[0])
    if len(set(sizes.tolist())) > 1:
        return
    if count in (2, 3) and width >= MANY_BASKETS:
        warn_user(f"{count} baskets have {width:,} items each: if they are users and items, {TABLE}")
    if width < 2 or (count < MANY_BASKETS and not (tuples and count > 1)):
        return
    rows = [tuple(map(str, names[k : k + min(width, 3)])) for k in range(0, count * width, width)]
    if (width == 2 and (of_file or tuples or len(set(rows)) == count)) or (width > 2 and look_weighted(rows)):
        of_lines = "write them to a CSV or TSV file and name its fields: user= and item=, or --user and --item"
        what, advice = ("lines", of_lines) if of_file else ("baskets", TABLE)
        third = " and a number" * (width > 2)
        warn_user(f"{what} have {width} items each, as {rows[0]}: if they are a user and an item{third}, {advice}")


def flat_baskets(
    baskets: Iterable[Any], first: int, usual: float
) -> tuple[list[Any], NDArray[np.float32], NDArray[np.int64], bool]:
    """Return all items of baskets (n,), their weights (n,), the sizes of the baskets (N,), and if a weight is given.

    Parameters
    ----------
    baskets : iterable of iterables of items, or of tuples (item, weight)
    first : int
        The number of the first basket, for errors.
    usual : float
        The weight of an item without one.

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
            hint = f": {basket!r}.split()" if isinstance(basket, str) and len(basket) < 40 else ""
            raise TypeError(f"basket {number} must be a list of items, got {shown(basket)}{hint}; of pairs, {TABLE}")
        items = basket.tolist() if isinstance(basket, np.ndarray) else list(basket)
        if isinstance(basket, set | frozenset):  # whose order differs from process to process
            items.sort(key=repr)
        if tuple in set(map(type, items)):
            for place, item in enumerate(items):
                if isinstance(item, tuple):
                    if len(item) != 2:
                        raise TypeError(f"basket {number}: an item with a weight is a tuple of both, got {shown(item)}")
                    items[place] = item[0]
                    weighted[len(names) + place] = check_number(
                        f"basket {number}: the weight of {item[0]!r}", item[1], high=LARGEST
                    )
        names += items
        sizes.append(len(items))
    weights = np.full(len(names), usual, np.float32)
    weights[list(weighted)] = list(weighted.values())
    return names, weights, np.array(sizes, np.int64), bool(weighted)


def is_name(value: Any) -> bool:
    """Return whether a value may be the name of a user or an item."""
    return isinstance(value, str | int | np.integer) and not isinstance(value, bool)
