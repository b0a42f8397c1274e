"""Documents with labels, in memory, in fields of structured files, or in fastText's format: checks and numbers."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Float64, Int64
from fastembed._base.progress import FitProgress
from fastembed._base.threads import Pool
from fastembed._base.validation import check_amounts, listed, shown, unmasked, warn_user
from fastembed._kernels.features import separate_labels, unit_rows
from fastembed._kernels.tokens import TokenTable
from fastembed.classifier.features import (
    Features,
    LabelGains,
    document_frequencies,
    document_tokens,
    documents_by_words,
    line_blocks,
    placed,
    read_features,
    shares,
)
from fastembed.corpus.blocks import valid_text
from fastembed.corpus.corpus import REPORT_EVERY, DocumentCorpus, FileCorpus, Progress
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.memory import BadRow, DocumentBlock, Records, column_names, is_missing
from fastembed.corpus.reading import Reading, token_list
from fastembed.corpus.sources import TextFile, path_list
from fastembed.corpus.tables import (
    FORMATS,
    LEAVE_OUT,
    Structure,
    field_rows,
    place_of,
    suffix_of,
)
from fastembed.corpus.tokens import number_tokens

if TYPE_CHECKING:
    from fastembed.classifier.classifier import ClassifierOptions
    from fastembed.classifier.model import FittedClassifier


MOST_LABEL = 1 << 63
FIRST_ONES = 1000  # documents that are searched for the prefix of labels
MANY_LABELS = 100  # from this number on, labels of one or two documents each are a warning
LABEL_TYPES = (str, int, np.integer)
SEVERAL = (list, tuple, set, frozenset, np.ndarray)  # what holds the labels of a document


# ---------------------------------------------------------------- labels


@dataclass(frozen=True)
class Labels:
    """The labels of documents.

    Attributes
    ----------
    classes : ndarray (L,)
        The sorted distinct labels: int64, or str objects.
    matrix : csr_array (N, L), float64
        1 where a document has a label; canonical.
    several : bool
        Whether a document has several labels, or may have: they were given as an indicator matrix.
    indicator : list or None
        If they were given as a matrix of 0 and 1, whose columns are the labels: the names of its columns, none for
        those of an array.
    """

    classes: npt.NDArray[Any]
    matrix: Any
    several: bool
    indicator: list[Any] | None = None

    def over(self, classes: npt.NDArray[Any]) -> Any:
        """Return the labels as a matrix (N, L) over given classes; other labels are left out."""
        places = {label: k for k, label in enumerate(classes.tolist())}
        columns = np.array([places.get(label, -1) for label in self.classes.tolist()], np.int32)
        return placed(self.matrix, self.matrix.data, columns, len(classes))


def check_fit(labels: Labels, known: FittedClassifier) -> None:
    """Raise if labels cannot be those of a classifier: of another type, or the columns of another indicator matrix.

    Raises
    ------
    TypeError, ValueError
    """
    names, own = labels.indicator, known.indicator
    if names is not None and own is None:
        raise TypeError(
            "the columns of an indicator matrix have no names: fit to such a matrix, or pass lists of labels"
        )
    if len(labels.classes) and labels.classes.dtype != known.classes.dtype:
        found, one = labels.classes.tolist()[0], known.classes.tolist()[0]
        hint = "in CSV and TSV they are always str" if isinstance(found, str) else "write them as str, as CSV does"
        hint = hint if own is None else "fit was to an indicator matrix: pass one here, too"
        raise TypeError(f"labels must be of the type of the classes, such as {one!r}, got {shown(found)}; {hint}")
    if names is not None and (len(labels.classes) != len(known.classes) or (names and own and names != own)):
        of_fit, these = (shown(each.indicator or each.classes.tolist()) for each in (known, labels))
        raise ValueError(
            f"the columns of the indicator matrix must be the {len(known.classes)} of fit, in their order, {of_fit}"
            f"; got {len(labels.classes)}, {these}: one MultiLabelBinarizer makes both, by transform"
        )


def wrong_label(label: Any) -> BadRow | None:
    """Return why a value is no label, or None."""
    if isinstance(label, str):
        return None if label.strip() else BadRow("empty label", f"an empty string is no label, got {label!r}")
    if isinstance(label, LABEL_TYPES) and not isinstance(label, bool):
        return None
    reason, remedy = "no label", "write it as one of these"
    if is_missing(label):
        reason, remedy = "null label", "a document without a label has an empty list"
    elif isinstance(label, bool | np.bool_):
        remedy = "write it as 1 or 0, such as by astype(int), or as a name"
    elif isinstance(label, float | np.floating):
        remedy = "write it as an int, such as by astype(int), or as a str"
    elif isinstance(label, Mapping | list | tuple | set | frozenset | np.ndarray):
        remedy = "the labels of a document are one list of these"
    return BadRow(reason, f"a label must be a str or an int, got {shown(label)}: {remedy}", TypeError)


def wrong_labels(item: Any) -> BadRow | None:
    """Return why a value is neither a label nor a list of labels, or None."""
    if isinstance(item, BadRow):
        return item
    if isinstance(item, SEVERAL):
        return next((bad for bad in map(wrong_label, item) if bad is not None), None)
    return wrong_label(item)


def refusal(row: str, bad: BadRow) -> Exception:
    """Return the error that names a bad row, and how to leave it out."""
    return bad.kind(f"{row}: {bad.message}; {LEAVE_OUT}")


def warn_of_alike(classes: Sequence[Any]) -> None:
    """Warn of two labels that differ in white space, case or the form of a number alone, and of one that seems none.

    Examples
    --------
    >>> warn_of_alike([1, 2]), warn_of_alike(["one", "1", "2"])
    (None, None)
    """
    known: dict[Any, Any] = {}
    for label in classes:
        form: Any = label
        if isinstance(label, str):
            form = label.strip().casefold()
            with suppress(ValueError):
                form = float(label)
        if known.setdefault(form, label) != label:
            what = "differ in white space, case or the form of a number alone, and count as two: write them alike"
            warn_user(f"the labels {shown(known[form])} and {shown(label)} {what}")
            break
    for label in classes:
        parts = re.split(" *[;,|] *", label.casefold()) if isinstance(label, str) else [""]
        several, written = len(parts) > 1 and known.keys() >= set(parts), parts[0].startswith(("['", '["'))
        if several or written or "__label__" in parts[-1]:
            remedy = "ast.literal_eval makes it a list" if written else "leave it out, or name the label_separator"
            remedy = "take the prefix off" if label.rfind("__label__") == 0 else remedy
            warn_user(f"the label {shown(label)} does not look like one label: {remedy}")
            break


def column_values(column: Iterable[Any]) -> list[Any]:
    """Return the values of a list, an array, or a column of a table, as a list of Python's values."""
    for name in ("to_pylist", "to_list", "tolist"):  # of Arrow; of pandas and Polars; of NumPy
        if hasattr(column, name):
            values: list[Any] = getattr(column, name)()
            return values
    return list(column)


def row_names(column: Any) -> Callable[[int], str]:
    """Return the function from the number of a row to what an error calls it: pandas has a name of its own for it."""

    def name(row: int) -> str:
        own = column.index.tolist()[row] if hasattr(column, "iloc") else row
        return f"document {row}" if own == row else f"document {row} at index {own!r}"

    return name


def separated(item: Any, separator: str | None) -> Any:
    """Return the labels in a string as a list, if there is a separator.

    Examples
    --------
    >>> separated("big, red,", ","), separated("big, red", None), separated(["big"], ",")
    (['big', 'red'], 'big, red', ['big'])
    """
    if separator is None or not isinstance(item, str):
        return item
    return [label for part in item.split(separator) if (label := part.strip())]


def read_labels(labels: Any, documents: int, separator: str | None = None) -> Labels:
    """Check the labels given for documents and return them.

    Parameters
    ----------
    labels : array_like of str or int (N,), list of lists of these, or indicator matrix (N, L)
    documents : int
        N.
    separator : str, optional
        What stands between the labels in a string.

    Raises
    ------
    TypeError
        If a label is neither a str nor an int, or both kinds occur.
    ValueError
        If there is not one item per document, or a label is an empty string.
    """
    if labels is None:
        raise ValueError(
            "labels are needed, got None: requires y to be passed, but the target y is None. A file that has them is"
            " given by its path; in a list of files all are pathlib.Path"
        )
    if isinstance(labels, str | bytes | Mapping | set | frozenset) or not isinstance(labels, Iterable):
        raise TypeError(f"labels must be one per document, got {shown(labels)}")
    if sparse.issparse(labels) or getattr(labels, "ndim", 1) != 1 or column_names(labels) is not None:
        return _indicated(labels, documents)
    items = column_values(labels)
    if len(items) != documents:
        raise ValueError(f"labels must have one item per document: got {len(items)} for {documents} documents")
    if separator is not None:
        items = [separated(item, separator) for item in items]
    return _numbered(items, row_names(labels))


def _numbered(items: list[Any], name: Callable[[int], str]) -> Labels:
    """Return the labels of documents, each of which has one or a list of them."""
    several = any(issubclass(kind, SEVERAL) for kind in set(map(type, items)))
    if several and not all(isinstance(item, SEVERAL) for item in items):
        row, single = next((row, item) for row, item in enumerate(items) if not isinstance(item, SEVERAL))
        if bad := wrong_label(single):
            raise refusal(name(row), bad)
        raise TypeError(f"{name(row)}: labels of other documents are lists, got {shown(single)}: write [{single!r}]")
    flat = [label for item in items for label in item] if several else items
    kinds = set(map(type, flat))
    if any(not issubclass(kind, LABEL_TYPES) or kind is bool for kind in kinds) or any(
        isinstance(label, str) and not label.strip() for label in set(flat)
    ):
        found = [(row, bad) for row, item in enumerate(items) if (bad := wrong_labels(item)) is not None]
        row, bad = min(found, key=lambda each: each[1].reason != "null label")  # which made floats of ints in pandas
        raise refusal(name(row), bad)
    strings = sum(issubclass(kind, str) for kind in kinds)
    if 0 < strings < len(kinds):
        first, rows = isinstance(flat[0], str), np.repeat(range(len(items)), list(map(len, items)) if several else 1)
        other = next(k for k, label in enumerate(flat) if isinstance(label, str) is not first)
        both = f"{shown(flat[0])} and {shown(flat[other])}"
        raise TypeError(f"{name(int(rows[other]))}: labels must be all str or all int, got {both}")
    kind = str if strings or not flat else int
    plain: list[Any] = list(map(kind, flat))
    if kind is int and (far := [label for label in plain if not -MOST_LABEL <= label < MOST_LABEL]):
        raise ValueError(f"a label must be an int of 64 bits, got {far[0]}")
    classes = sorted(set(plain))
    widths = set(map(len, items)) if several else set()
    if classes == [0, 1] and len(widths) == 1 and max(widths) > 1:  # else one is there twice, or both are everywhere
        raise ValueError(
            f"{name(0)}: {shown(items[0])} looks like a row of an indicator matrix, not a list of labels: pass the"
            " matrix as an array, np.array(labels)"
        )
    ids = dict(zip(classes, range(len(classes)), strict=True))
    indptr = np.cumsum([0, *map(len, items)]) if several else np.arange(len(items) + 1)
    indices = np.fromiter(map(ids.__getitem__, plain), np.int32, len(plain))
    matrix = sparse.csr_array((np.ones(len(indices)), indices, indptr), shape=(len(items), len(classes)))
    matrix = _binary(matrix)
    several = bool((np.diff(matrix.indptr) > 1).any())
    return Labels(np.array(classes, np.int64 if kind is int else object), matrix, several)


def _indicated(labels: Any, documents: int) -> Labels:
    """Return the labels of an indicator matrix (N, L), dense or sparse, whose columns are the labels 0 to L - 1."""
    given: Any = labels if sparse.issparse(labels) else np.asarray(labels)
    if given.dtype == object:  # of a table whose columns may miss values
        with suppress(TypeError, ValueError):
            given = given.astype(np.float64)
    if given.ndim == 2 and given.shape[1] == 1:
        names = column_names(labels)
        one = "labels.ravel()" if names is None else f"labels[{names[0]!r}]"
        raise ValueError(f"labels of shape {given.shape} are one column: pass it as one dimension, {one}")
    if given.ndim != 2 or given.dtype.kind not in "biuf":
        raise ValueError(
            "labels must be a list, an array of one dimension, or an indicator matrix of 0 and 1, got"
            f" {'a table' if column_names(labels) is not None else 'an array'} of shape {given.shape}: {shown(labels)}"
        )
    if given.shape[0] != documents:
        raise ValueError(f"labels must have one row per document: got {given.shape[0]} for {documents} documents")
    matrix = sparse.csr_array(given).astype(np.float64)
    if (wrong := matrix.data[(matrix.data != 0) & (matrix.data != 1)]).size:
        raise ValueError(f"an indicator matrix of labels has 1 for each label of a document, else 0; got {wrong[0]:g}")
    matrix.eliminate_zeros()
    names = list(map(str, column_names(labels) or ()))
    return Labels(np.arange(given.shape[1]), _binary(matrix), several=True, indicator=names)


# ---------------------------------------------------------------- labelled files


@dataclass(frozen=True)
class Columns:
    """Which fields of structured files, tables and records hold texts and labels, as `Classifier.fit` takes them.

    Raises
    ------
    TypeError, ValueError
        If only one is named, or a value is not as documented.
    """

    field: str | int | None = None
    label: str | int | None = None
    label_separator: str | None = None
    header: bool = True
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if (self.field is None) != (self.label is None):
            raise ValueError(f"give both field and label, or neither, got {self.field!r} and {self.label!r}")
        if self.label_separator is not None and (not isinstance(self.label_separator, str) or not self.label_separator):
            raise ValueError(f"label_separator must be a str such as ';', got {shown(self.label_separator)}")
        if self.field is not None:
            if self.field == self.label:
                raise ValueError(f"field and label are both {self.field!r}: one names the text, the other its labels")
            _ = [Structure(name, self.header, self.skip_bad) for name in (self.field, self.label)]  # checks them

    def rows(
        self, paths: Any, errors: str, ledger: Ledger, progress: Progress | None = None
    ) -> tuple[list[Any], Labels]:
        """Return the documents and labels of structured files."""
        assert self.field is not None
        assert self.label is not None
        documents: list[Any] = []
        labels: list[Any] = []
        places: list[tuple[TextFile, int]] = []
        structure = Structure(self.field)
        for file in (file for path in path_list(paths) for file in structure.find(path)):
            with closing(field_rows(file, (self.field, self.label), header=self.header, errors=errors)) as rows:
                for number, row in rows:
                    document, label = (row, row) if isinstance(row, BadRow) else row
                    label = separated(label, self.label_separator)
                    bad = wrong_document(document) or wrong_labels(label)
                    if bad is None:
                        documents.append(document)
                        labels.append(label)
                        places.append((file, number))
                        if progress and len(documents) % REPORT_EVERY == 0:
                            progress(len(documents), None)
                    elif self.skip_bad:
                        ledger.skipped[bad.reason] = ledger.skipped.get(bad.reason, 0) + 1
                    else:
                        raise refusal(place_of(file, number), bad._replace(kind=ValueError))
        if not documents:
            where = ", ".join(repr(os.fspath(path)) for path in path_list(paths))
            left_out = ", ".join(f"{count:,} {reason}" for reason, count in ledger.skipped.items())
            raise ValueError(f"no row with a text and a label in {where}{left_out and f'; left out: {left_out}'}")
        return documents, _numbered(labels, lambda row: place_of(*places[row]))

    def columns(self, source: Any) -> tuple[Any, Any]:
        """Return the texts and the labels of a table or of records in memory."""
        if isinstance(self.field, int) or isinstance(self.label, int):
            given = f"{self.field!r} and {self.label!r}"
            raise TypeError(f"fields in memory have names, got {given}: pass columns, as data[1] and data[2]")
        if column_names(source) is not None and hasattr(source, "__len__"):
            for name in (self.field, self.label):
                _ = Records(source, name)  # raises ValueError without such a column
            return source[self.field], source[self.label]
        found = [list(Records(source, name)) for name in (self.field, self.label)]
        for row, values in enumerate(zip(*found, strict=True)):
            bad = next((value for value in values if isinstance(value, BadRow)), None)
            if bad is not None and not self.skip_bad:
                raise refusal(f"document {row}", bad)
        return found[0], found[1]


def wrong_document(value: Any) -> BadRow | None:
    """Return why a value is neither a text nor a list of tokens, or None."""
    if isinstance(value, str):
        return None
    if isinstance(value, BadRow):
        return value
    if is_missing(value):
        return BadRow("null", f"{shown(value)}, where a text or a list of tokens is expected", TypeError)
    try:
        token_list(value, "the document")
    except TypeError as error:
        return BadRow("no text", str(error), TypeError)
    return None


def text_files(paths: Any, errors: str, *, labelled: bool = True) -> FileCorpus:
    """Return files of lines of text; the message of an error says whether these have labels.

    Raises
    ------
    OSError
        If there is no such file.
    TypeError
        If `paths` is neither a path nor several.
    ValueError
        If a file is structured.
    """
    files = FileCorpus(path_list(paths), reading=Reading(errors=errors))
    if structured := [name for name in files.names if suffix_of(name) in FORMATS]:
        raise ValueError(
            f"{structured[0]!r} is not text with a document per line, but structured: its field must be named, as"
            f" --field{' and --label' * labelled}"
        )
    return files


def labelled_lines(
    files: FileCorpus, prefix: str, ledger: Ledger, progress: Progress | None = None
) -> Iterator[tuple[bytes, bytes]]:
    """Yield texts of as many lines, in UTF-8: the labels of documents, which have a prefix in files, and the rest."""
    begun: list[bytes] = []
    for block in files.blocks(ledger, progress):
        assert not isinstance(block, DocumentBlock)  # no file is structured
        begun.append(valid_text(block, files.reading.errors)[0])
        if begun[-1].endswith(b"\n"):
            yield separate_labels(b"".join(begun), prefix.encode())
            begun.clear()


def read_files(
    paths: Any, errors: str, prefix: str, ledger: Ledger, progress: Progress | None = None
) -> tuple[Sequence[Any], Labels]:
    """Return the documents in files, without their labels, and the labels of each; ValueError if there is none."""
    files = text_files(paths, errors)
    texts: list[str] = []
    lines: list[bytes] = []
    for names, rest in labelled_lines(files, prefix, ledger, progress):
        texts += rest.decode().split("\n")[:-1]
        lines.append(names)
    table, text = TokenTable(), b"".join(lines)  # a list of labels per document would take much longer
    ids = np.empty(len(text), np.int32)
    ids = ids[: table.number(text, False, ids)[0]]
    classes = [token.decode() for token in table.frequent(0)[0]]
    if not classes:
        of = f"none of {len(texts):,} lines has" if texts else "it is empty: no line has"
        where = ", ".join(map(repr, files.names))
        raise ValueError(f"no document with a label in {where}: {of} a token that begins with {prefix}")
    order = sorted(range(len(classes)), key=classes.__getitem__)
    matrix = _binary(documents_by_words(ids, len(classes))[:, order])
    return texts, Labels(np.array(sorted(classes), object), matrix, bool((np.diff(matrix.indptr) > 1).any()))


def _binary(matrix: Any) -> Any:
    """Return the canonical matrix with 1 for each entry, in place."""
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def names_files(documents: Any, *, fields: bool = False) -> bool:
    """Return whether `documents` is a path, or a list of paths: where these have fields, a str is no document."""
    if isinstance(documents, str | os.PathLike):
        return True
    kinds = str | os.PathLike if fields else os.PathLike
    return isinstance(documents, list | tuple) and bool(documents) and all(isinstance(d, kinds) for d in documents)


# ---------------------------------------------------------------- labelled documents


def read_labelled(
    documents: Any,
    labels: Any,
    columns: Columns,
    reading: Reading,
    prefix: str,
    ledger: Ledger,
    *,
    every: bool = False,
    progress: Progress | None = None,
) -> tuple[Sequence[Any], Labels, npt.NDArray[np.bool_]]:
    """Return the documents with labels, their labels, and which of the given documents they are (N,).

    Documents without a label are left out and counted in the ledger.

    Parameters
    ----------
    documents, labels
        As for `Classifier.fit`.
    every : bool
        Whether the documents without a label of an indicator matrix stay, as examples of what has none.
    progress : callable, optional
        Called with (done, total): bytes of files, or rows of structured ones, whose total is None.

    Raises
    ------
    TypeError, ValueError, OSError
        As `Classifier.fit`.
    """
    used = np.ones(0, np.bool_)
    if columns.field is not None and labels is not None:
        raise ValueError("field and label name the labels, so that labels cannot be given as well")
    if labels is None and names_files(documents, fields=columns.field is not None):
        if columns.field is None:
            items, found = read_files(documents, reading.errors, prefix, ledger, progress)
        else:
            items, found = columns.rows(documents, reading.errors, ledger, progress)
    else:
        if columns.field is not None:
            documents, labels = columns.columns(documents)
        items = check_documents(documents, skip_bad=columns.skip_bad)
        if columns.skip_bad and labels is not None and getattr(labels, "ndim", 1) == 1 and len(labels) == len(items):
            values = [separated(value, columns.label_separator) for value in column_values(labels)]
            bad = [wrong_document(item) or wrong_labels(value) for item, value in zip(items, values, strict=True)]
            for each in filter(None, bad):
                ledger.skipped[each.reason] = ledger.skipped.get(each.reason, 0) + 1
            used = np.array([each is None for each in bad], np.bool_)
            items, labels = ([all_[k] for k in np.flatnonzero(used).tolist()] for all_ in (items, values))
        found = read_labels(labels, len(items), columns.label_separator)
        check_same_order(documents, labels)
    some = (np.diff(found.matrix.indptr) > 0) | (every and found.indicator is not None)
    if not some.all():
        for number, item in enumerate(items):  # checked here, while the numbers are those of the caller
            if not isinstance(item, str):
                document_tokens(item, f"document {number}")
        ledger.skipped["without a label"] = int((~some).sum())
        items = [items[k] for k in np.flatnonzero(some).tolist()]
        found = replace(found, matrix=found.matrix[some])
    if len(used):
        used[used] = some
        some = used
    return items, found, some


def check_same_order(documents: Any, labels: Any, name: str = "labels") -> None:
    """Raise ValueError if both are columns of pandas whose rows have the same names, but in another order."""
    if not (hasattr(documents, "iloc") and hasattr(labels, "iloc")) or documents.index.equals(labels.index):
        return
    hint = f"pass {name}.loc[documents.index], or {name}.to_numpy() if the order is right"
    if documents.index.sort_values().equals(labels.index.sort_values()):
        raise ValueError(f"the index of the {name} is that of the documents in another order: {hint}")
    if documents.index.isin(labels.index).any():
        warn_user(f"the index of the {name} has some of the documents' rows, but in other places: {hint}")


def check_documents(documents: Any, *, skip_bad: bool = False) -> Sequence[Any]:
    """Check documents and return them as a sequence.

    Raises
    ------
    TypeError
        If `documents` is a single string, a table, or cannot be iterated; if a column of pandas misses one, unless
        `skip_bad`.
    """
    if isinstance(documents, str | bytes):
        raise TypeError(f"documents must be several, got one {shown(documents)}: pass [document]")
    if (names := column_names(documents)) is not None:
        kind = type(documents).__name__
        raise TypeError(
            f"documents must be one column of texts, got a whole {kind} with the columns {listed(names)}:"
            f" pass one of them, or the table with field= and label="
        )
    if isinstance(documents, FileCorpus | DocumentCorpus):
        raise TypeError("a classifier takes texts, or the path of files with field= and label=, instead of a corpus")
    if isinstance(documents, Mapping | set | frozenset):
        raise TypeError(f"documents must be in an order, one per item, got a {type(documents).__name__}: pass a list")
    if getattr(documents, "ndim", 1) != 1:
        raise ValueError(
            f"documents must be one column of texts, got an array of shape {documents.shape}: Reshape your data."
            " A classifier makes the features itself, so that no vectorizer comes before it"
        )
    if isinstance(documents, list | tuple):
        return documents
    if not isinstance(documents, Iterable):
        raise TypeError(f"documents must be texts or lists of tokens, got {shown(documents)}")
    values, missing = column_values(documents), getattr(documents, "isna", None)
    if missing is not None and not skip_bad:
        for row in np.flatnonzero(missing()).tolist():
            document_tokens(values[row], row_names(documents)(row))
    return values


class LeftOut(NamedTuple):
    """Documents that are not trained on: their bags as those of new documents, labels, and weights."""

    bags: Any
    labels: Any
    weights: Float64


@dataclass
class Examples:
    """Documents to learn from.

    Attributes
    ----------
    features : Features
    bags : csr_array (N, F)
        None after they have been released, since they take much memory, like the frequencies and the gains.
    frequencies : ndarray of int64 (F,)
        The number of documents with each feature, plus 1 for a feature of earlier documents, so that it never counts as
        that of one document alone.
    labels : Labels
    label_counts : ndarray of int64 (L,)
        The number of documents with each label, earlier ones too.
    weights : ndarray of float64 (N,)
        The weights of the losses.
    gains : LabelGains or None
        By which the features are weighed, if they are.

    Raises
    ------
    ValueError
        If the shapes do not fit together: kernels take the labels of a document by its number.
    """

    features: Features
    bags: Any
    frequencies: Any
    labels: Labels
    label_counts: Int64
    weights: Float64
    gains: LabelGains | None

    def __post_init__(self) -> None:
        (documents, features), labels = self.bags.shape, self.labels.matrix.shape
        found = len(self.features), self.frequencies.shape, labels, self.weights.shape
        if found != (features, (features,), (documents, len(self.labels.classes)), (documents,)):
            raise ValueError(
                f"{documents:,} documents of {features:,} features do not fit to labels of shape {labels}, weights of"
                f" shape {self.weights.shape}: did the documents change while they were read?"
            )

    def left_out(self, parts: Sequence[Int64], weights: Float64) -> list[LeftOut]:
        """Return each part of the documents as if it were new, with these weights (N,).

        Features that no other document has are unknown, and the others are scaled to unit length. Documents of which
        none is left have the weight 0, and so have those of a label that only their part has: what does not know a
        label cannot predict it.
        """
        these = np.concatenate(parts)
        bags, found = self.bags[these], []
        if self.gains is not None:
            self.gains.make_as_new(bags, these)
        for part, end in zip(parts, np.cumsum(list(map(len, parts))).tolist(), strict=True):
            own = bags[end - len(part) : end]
            labels, known = self.labels.matrix[part], self.frequencies > document_frequencies(own.indices, own.shape[1])
            indptr, indices = own.indptr.astype(np.int64), own.indices.astype(np.int32, copy=False)
            unit_rows(indptr, indices, own.data, known.astype(np.float64), False)
            own.eliminate_zeros()
            unknown = self.label_counts == np.bincount(labels.indices, minlength=labels.shape[1])
            used = (np.diff(own.indptr) > 0) & ~(labels @ unknown > 0)
            found.append(LeftOut(own, labels, np.where(used, weights[part], 0)))
        return found


def read_examples(
    documents: Any,
    labels: Any,
    sample_weight: Any,
    columns: Columns,
    options: ClassifierOptions,
    ledger: Ledger,
    pool: Pool,
    known: FittedClassifier | None = None,
    report: FitProgress | None = None,
) -> Examples:
    """Read documents and labels; documents without a label are left out and counted in the ledger.

    Parameters
    ----------
    documents, labels, sample_weight
        As for `Classifier.fit`.
    known : FittedClassifier, optional
        A classifier that will learn more: its features and labels are joined with those of the documents, of which one
        label is enough. By default there must be two labels.
    report : FitProgress, optional
        Told how much of files has been read, and how many documents have been counted.

    Raises
    ------
    TypeError, ValueError, OSError
        As `Classifier.fit`.
    """
    if sample_weight is not None and labels is None and names_files(documents, fields=columns.field is not None):
        raise ValueError("sample_weight is for documents in memory: those of a file have no weights")
    every = options.loss != "softmax"  # which learns nothing from a document without a label
    reading, prefix = options.reading, options.label_prefix
    read = None if report is None else report.reading
    items, found, some = read_labelled(documents, labels, columns, reading, prefix, ledger, every=every, progress=read)
    if not len(some):
        raise ValueError("there are no documents to learn from: 0 samples, while a minimum of 1 is required")
    weights = np.ones(len(some)) if sample_weight is None else checked_weights(documents, sample_weight, some)
    seen = found.classes[np.unique(found.matrix.indices)].tolist()
    if len(seen) < (2 if known is None else 1):
        what = f"of at least two labels, got one class, {seen[0]!r}" if seen else "with labels, got none"
        left = "".join(f"; {count:,} rows are left out: {reason}" for reason, count in ledger.skipped.items())
        raise ValueError(f"a classifier needs documents {what}{left}")
    if len(seen) >= MANY_LABELS and 2 * len(seen) > found.matrix.nnz:  # few documents per label
        what = "are they classes" if columns.label is None else f"is the field {columns.label!r} that of classes"
        warn_user(f"{len(seen):,} labels for {len(items):,} documents: {what}, such as {shown(seen[0])}?")
    if not every and found.indicator is not None and (np.diff(found.matrix.indptr) > 1).any():
        warn_user("with loss='softmax' at most one label of a document has a probability of one half: use another loss")
    weights = weights[some] * label_weights(found, options.class_weight, None if known is None else known.classes)
    if known is not None:
        check_fit(found, known)
        warn_of_case(items, known.features)
        classes = np.array(sorted({*known.classes.tolist(), *found.classes.tolist()}), known.classes.dtype)
        if known.indicator is not None and len(classes) > len(known.classes):
            new = np.setdiff1d(classes, known.classes)[0]
            raise ValueError(
                f"the label {new} is no column of the indicator matrix of fit: call fit with one that has it"
            )
        several = found.several or known.calibration.several
        found = Labels(classes, found.over(classes), several, known.indicator)
    warn_of_alike(found.classes.tolist())
    if labels is not None:
        warn_of_prefix(items, prefix)
    label_counts = np.bincount(found.matrix.indices, minlength=len(found.classes))
    if known is not None:
        label_counts[np.searchsorted(found.classes, known.classes)] += known.label_counts
    blocks = line_blocks(items, options.reading.errors, progress=None if report is None else report.counting)
    tokens = number_tokens(blocks, options.reading, ledger, pool)
    before = () if known is None else (known.features, known.documents)
    features, bags, frequencies, gains = read_features(tokens, found.matrix, options, ledger, pool, *before)
    return Examples(features, bags, frequencies, found, label_counts, weights, gains)


def warn_of_prefix(documents: Sequence[Any], prefix: str) -> None:
    """Warn if the first documents hold labels as files of fastText do, which are read as words in memory."""
    if any(isinstance(item, str) and prefix in item for item in documents[:FIRST_ONES]):
        warn_user(f"documents hold {prefix}, as files of fastText do: pass fit or test the file, or leave it out")


def warn_of_case(documents: Sequence[Any], features: Features) -> None:
    """Warn if documents are lists of tokens with capitals and no feature has any, or the other way round."""
    first = documents[:FIRST_ONES]
    if features.capitals and any(isinstance(item, str) for item in first) and features.reading.token("A", ()) != "A":
        warn_user("features have capitals, but texts are read in lower case: pass lists of tokens, as in training")
    tokens = (str(token) for item in first if isinstance(item, SEVERAL) for token in item)
    if not features.capitals and any(token != token.lower() for token in tokens):
        warn_user("lists of tokens have capitals, but no feature has any: pass texts, or tokens in lower case")


def checked_weights(documents: Any, sample_weight: Any, some: npt.NDArray[np.bool_]) -> Any:
    """Return the weights of documents (N,), checked; they are for `some` of them."""
    weights = unmasked("sample_weight", sample_weight)
    if weights.shape != (shape := some.shape):
        raise ValueError(f"sample_weight must have one number per document, shape {shape}, got shape {weights.shape}")
    check_amounts("sample_weight", weights)
    check_same_order(documents, sample_weight, "sample_weight")
    if some.any() and not weights[some].any():
        raise ValueError("sample_weight must be above zero for a document with a label, but is zero for all of them")
    return weights


def label_weights(labels: Labels, class_weight: Any, known: npt.NDArray[Any] | None) -> Float64:
    """Return the weight of each document (N,): the mean of the weights of its labels, or 1 without any.

    The weight of a label is "balanced" if it is the mean number of documents per label over that of this label.

    Parameters
    ----------
    known : ndarray or None
        Further labels that the mapping may have.

    Raises
    ------
    ValueError
        If the mapping has a label that does not occur.
    """
    if class_weight is None:
        return np.ones(labels.matrix.shape[0])
    names = labels.classes.tolist()
    if class_weight == "balanced":
        of_label = balanced(np.bincount(labels.matrix.indices, minlength=len(names)))
    else:
        possible = {*names, *([] if known is None else known.tolist())}
        if unknown := [label for label in class_weight if label not in possible]:
            raise ValueError(f"class_weight has the label {unknown[0]!r}, which no document has")
        of_label = np.array([class_weight.get(label, 1.0) for label in names], np.float64)
    return mean_weights(labels.matrix, of_label)


def balanced(counts: Int64) -> Float64:
    """Return the mean number of documents per label that has any over that of each label (L,), from these."""
    return counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))


def mean_weights(matrix: Any, of_label: Float64) -> Float64:
    """Return the mean of the weights of the labels of each document (N,), or 1 without any, from a matrix (N, L)."""
    return np.where(np.diff(matrix.indptr) > 0, shares(matrix) @ of_label, 1.0)
