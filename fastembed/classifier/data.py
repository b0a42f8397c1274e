"""Documents with labels: in memory, in fields of structured files, or in text files in fastText's format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Float64, Int64, canonical_csr
from fastembed._base.validation import LARGEST, check_amounts, listed, number_of, shown, unmasked, warn_user
from fastembed._kernels.features import separate_labels, unit_rows
from fastembed._kernels.tokens import TokenTable
from fastembed.classifier.features import (
    Features,
    LabelGains,
    checked_tokens,
    documents_by_words,
    label_shares,
    line_chunks,
    read_features,
    renumber_columns,
)
from fastembed.classifier.model import FittedClassifier
from fastembed.classifier.options import ClassifierOptions
from fastembed.corpus.chunks import valid_text
from fastembed.corpus.corpus import REPORT_EVERY, FileCorpus, Progress
from fastembed.corpus.documents import BadRow, DocumentChunk, Records, column_values, is_missing
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.reading import Reading
from fastembed.corpus.sources import Structure, check_texts, column_names, form_of, path_list
from fastembed.corpus.tables import LEAVE_OUT, field_rows, row_place
from fastembed.corpus.tokens import number_tokens
from fastembed.trainer.run import Run

SEVERAL = (list, tuple, set, frozenset, np.ndarray)  # the types of a collection of labels
LABELS = {str: str, bool: bool | np.bool_, int: int | np.integer}  # in order: True is an int, too
DTYPES = {str: object, bool: np.bool_, int: np.int64}


# ---------------------------------------------------------------- labels


@dataclass(frozen=True)
class Labels:
    """The labels of documents.

    Attributes
    ----------
    classes : ndarray (L,)
        The sorted distinct labels: int64, bool, or str objects.
    matrix : csr_array (N, L), float64
        1 where a document has a label; canonical.
    several : bool
        Whether a document has several labels, or may have several, as in an indicator matrix.
    indicator : bool
        Whether the labels were given as a matrix of 0 and 1, whose columns are the labels.
    """

    classes: npt.NDArray[Any]
    matrix: Any
    several: bool
    indicator: bool = False

    def over(self, classes: npt.NDArray[Any]) -> Any:
        """Return the labels as a matrix (N, L) over given classes; other labels are left out."""
        places = {label: k for k, label in enumerate(classes.tolist())}
        columns = np.array([places.get(label, -1) for label in self.classes.tolist()], np.int32)
        return renumber_columns(self.matrix, self.matrix.data, columns, len(classes))


def check_kind(labels: Labels, known: FittedClassifier) -> None:
    """Raise TypeError or ValueError unless labels have the form and the type of the labels of a classifier."""
    if labels.indicator and not known.indicator:
        raise TypeError("labels must be labels or lists of labels, as in fit, got an indicator matrix")
    if len(labels.classes) and labels.classes.dtype != known.classes.dtype:
        label, right = labels.classes.tolist()[0], known.classes.tolist()[0]
        kinds = f"{type(right).__name__}, such as {right!r}, got the {type(label).__name__} {shown(label)}"
        raise TypeError(f"labels must be of the type that fit learned: {kinds}")
    columns, width = len(known.classes), len(labels.classes)
    if known.indicator and (not set(labels.classes) <= set(known.classes) or (labels.indicator and width != columns)):
        raise ValueError(f"an indicator matrix must have the {columns} columns of fit, got {width}")


def wrong_label(label: Any) -> BadRow | None:
    """Return why a value is no label, or None."""
    if isinstance(label, str):
        return None if label.strip() else BadRow("empty label", "a label must not be an empty str")
    if isinstance(label, LABELS[int] | np.bool_):
        return None
    reason = "null label" if is_missing(label) else "no label"
    return BadRow(reason, f"a label must be a str, an int or a bool, got {shown(label)}", TypeError)


def wrong_labels(item: Any) -> BadRow | None:
    """Return why a value is neither a label nor a list of labels, or None."""
    labels = item if isinstance(item, SEVERAL) else [item]
    return next((bad for bad in map(wrong_label, labels) if bad is not None), None)


def check_labels(labels: Any, documents: int) -> Labels:
    """Check the labels given for documents and return them.

    Parameters
    ----------
    labels : array_like of str, int or bool (N,), list of lists of these, or indicator matrix (N, L)
    documents : int
        N.

    Raises
    ------
    TypeError
        If a label is neither a str nor an int nor a bool, or several kinds occur.
    ValueError
        If there is not one item per document, or a label is an empty string.
    """
    if labels is None:
        raise ValueError("requires y to be passed, but the target y is None: only files have labels in their lines")
    if getattr(labels, "shape", ())[1:] == (1,) and not sparse.issparse(labels):  # a column of labels
        labels = np.ravel(labels)
    form = form_of(labels)
    if form not in ("items", "matrix", "table") or (isinstance(labels, Mapping | set | frozenset) and form != "matrix"):
        raise TypeError(f"labels must be one per document, got {shown(labels)}")
    several = form != "items" or getattr(labels, "ndim", 1) != 1
    checked = _indicated(labels) if several else number_labels(column_values(labels))
    if checked.matrix.shape[0] != documents:
        raise ValueError(f"labels must be one per document: got {checked.matrix.shape[0]} for {documents} documents")
    return checked


def number_labels(items: Sequence[Any]) -> Labels:
    """Return the labels of documents; each item is a label or a list of labels."""
    several = any(issubclass(kind, SEVERAL) for kind in set(map(type, items)))
    lists = [item if isinstance(item, SEVERAL) else [item] for item in items] if several else []
    flat = list(chain.from_iterable(lists)) if several else items
    types = set(map(type, flat))
    kinds = {next((kind for kind in LABELS if issubclass(label_type, LABELS[kind])), None) for label_type in types}
    kind = kinds.pop() if len(kinds) == 1 else None
    distinct = set(flat) if kind else set()
    if (len(flat) and not distinct) or any(isinstance(label, str) and not label.strip() for label in distinct):
        for row, item in enumerate(items):
            if bad := wrong_labels(item):
                raise bad.kind(f"document {row}: {bad.message}")
        raise TypeError(f"labels must be all str, all int or all bool, got {shown(sorted(set(flat), key=str))}")
    kind = kind or str
    classes: list[Any] = sorted(set(map(kind, distinct)))
    if kind is int and (wide := [label for label in classes if not -LARGEST <= label <= LARGEST]):
        raise ValueError(f"labels of int must be at most 2^63 - 1, got {shown(wide[0])}: pass them as str")
    ids = {label: number for number, label in enumerate(classes)}
    indptr = np.cumsum([0, *map(len, lists)]) if several else np.arange(len(items) + 1)
    indices = np.fromiter(map(ids.__getitem__, flat), np.int32, len(flat))
    matrix = sparse.csr_array((np.ones(len(indices)), indices, indptr), shape=(len(items), len(classes)))
    return _labels(np.array(classes, DTYPES[kind]), matrix)


def _labels(classes: npt.NDArray[Any], matrix: Any) -> Labels:
    """Return labels from a matrix (N, L) with an entry per label; equal labels of a document count once."""
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return Labels(classes, matrix, bool((np.diff(matrix.indptr) > 1).any()))


def _indicated(labels: Any) -> Labels:
    """Return the labels of an indicator matrix (N, L), dense or sparse, whose columns are the labels 0 to L - 1."""
    array: Any = labels if sparse.issparse(labels) else np.asarray(labels)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise ValueError(f"labels must have one dimension, or be a matrix of 0 and 1, got {shown(labels)}")
    matrix = canonical_csr("labels", array, signed=True)
    if (wrong := matrix.data[matrix.data != 1]).size:
        raise ValueError(f"an indicator matrix of labels holds 0 and 1, got {wrong[0]:g}")
    return Labels(np.arange(array.shape[1]), matrix, several=True, indicator=True)


# ---------------------------------------------------------------- labelled documents


@dataclass(frozen=True)
class LabelledSource:
    """The documents and labels that a `Classifier` learns from or is tested on, before they are read.

    Attributes
    ----------
    documents, labels, sample_weight, field, label, header, skip_bad
        As for `Classifier.fit`.

    Raises
    ------
    TypeError, ValueError
        If only one of `field` and `label` is named, or a name is not as documented.
    """

    documents: Any
    labels: Any
    sample_weight: Any = None
    field: str | int | None = None
    label: str | int | None = None
    header: bool = True
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if (self.field is None) != (self.label is None):
            raise ValueError("give both field and label, or neither")
        if self.field is not None:
            for name in (self.field, self.label):
                Structure(name, self.header, self.skip_bad)  # raises for a wrong name or header

    def read(
        self, reading: Reading, prefix: str, ledger: Ledger, *, every: bool = False, progress: Progress | None = None
    ) -> tuple[Sequence[Any], Labels, Float64]:
        """Return the labelled documents, their labels, and their weights (n,).

        Documents without a label are left out and counted in the ledger.

        Parameters
        ----------
        every : bool
            Whether documents without a label stay if the labels are an indicator matrix.
        progress : callable, optional
            Called with (done, total): bytes of text files, or rows of structured files, with None for the total.

        Raises
        ------
        TypeError, ValueError, OSError
            As `Classifier.fit`.
        """
        documents: Sequence[Any]
        if self.field is not None:
            documents, labels, kept = self._read_fields(reading.errors, ledger, progress)
        else:
            if self.labels is None and form_of(self.documents) == "files":
                documents, labels = read_lines(self.documents, reading.errors, prefix, ledger, progress)
            else:
                documents = check_documents(self.documents)
                labels = check_labels(self.labels, len(documents))
            kept = np.ones(len(documents), np.bool_)
        labelled = (np.diff(labels.matrix.indptr) > 0) | (every and labels.indicator)
        if not labelled.all():
            ledger.skipped["without a label"] = int((~labelled).sum())
            documents = [documents[k] for k in np.flatnonzero(labelled).tolist()]
            labels = replace(labels, matrix=labels.matrix[labelled])
        kept[kept] = labelled
        weights = np.ones(len(kept)) if self.sample_weight is None else checked_weights(self.sample_weight, kept)
        return documents, labels, weights[kept]

    def _read_fields(
        self, errors: str, ledger: Ledger, progress: Progress | None
    ) -> tuple[list[Any], Labels, npt.NDArray[np.bool_]]:
        """Return the documents and labels in fields, and for each row of the source (N,) whether it has both."""
        if self.labels is not None:
            raise ValueError(f"labels cannot be given beside label={self.label!r}, which names the field of the labels")
        documents, labels, kept = [], [], []
        for place, row in _labelled_rows(self.documents, (self.field, self.label), self.header, errors):
            bad = next((value for value in row if isinstance(value, BadRow)), None)
            bad = bad or wrong_document(row[0]) or wrong_labels(row[1])
            kept.append(bad is None)
            if bad is None:
                documents.append(row[0])
                labels.append(row[1])
                if progress and len(documents) % REPORT_EVERY == 0:
                    progress(len(documents), None)
            elif self.skip_bad:
                ledger.skipped[bad.reason] = ledger.skipped.get(bad.reason, 0) + 1
            else:
                raise ValueError(f"{place}: {bad.message}; {LEAVE_OUT}")
        if kept and bad and not documents:
            raise ValueError(f"all {len(kept):,} rows are left out, such as {place}: {bad.message}")
        return documents, number_labels(labels), np.array(kept, np.bool_)


def check_documents(documents: Any) -> Sequence[Any]:
    """Check documents in memory, and return them as a sequence.

    Raises
    ------
    TypeError
        If `documents` is a single string, a table, a set, or cannot be iterated.
    ValueError
        If it is an array of several dimensions.
    """
    form = form_of(documents)
    if form == "table":
        fields = listed(column_names(documents) or ())
        raise TypeError(f"documents are a table: name its fields, {fields}, by field and label, or pass one column")
    if form not in ("items", "matrix") or isinstance(documents, set | frozenset):
        raise TypeError(f"documents must be a list of texts or of tokens, or files with labels, got {shown(documents)}")
    if (dimensions := getattr(documents, "ndim", 1)) != 1:
        raise ValueError(f"documents must be texts, without a vectorizer, got an array of {dimensions} dimensions")
    return documents if isinstance(documents, list | tuple) else column_values(documents)


def checked_weights(sample_weight: Any, labelled: npt.NDArray[np.bool_]) -> Float64:
    """Return the weights of documents (N,); ValueError unless their sum over `labelled` is finite and above 0."""
    weights = unmasked("sample_weight", sample_weight)
    if weights.shape != (shape := labelled.shape):
        raise ValueError(f"sample_weight must have one number per document, shape {shape}, got shape {weights.shape}")
    check_amounts("sample_weight", weights)
    with np.errstate(over="ignore"):
        total = weights[labelled].sum(dtype=np.float64)
    if labelled.any() and not 0 < total < np.inf:
        raise ValueError(f"sample_weight must have a finite sum above 0 over documents with a label, got {total:g}")
    return weights.astype(np.float64)


def _labelled_rows(
    source: Any, names: tuple[Any, ...], header: bool, errors: str
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the place and the fields of each row of files, a table or records; a `BadRow` is a row without fields."""
    if form_of(source, texts=False) != "files":
        columns = [Records(source, name) for name in names]
        yield from ((f"document {number}", row) for number, row in enumerate(zip(*columns, strict=True)))
        return
    for file in Structure(names[0], header).find(source):
        with closing(field_rows(file, names, header=header, errors=errors)) as rows:
            for number, row in rows:
                yield row_place(file, number), (row,) if isinstance(row, BadRow) else row


def field_documents(source: Any, field: str | int, header: bool, errors: str) -> Iterator[Any]:
    """Yield the documents in a field of files, a table or records; raise ValueError, with the place, for a bad row."""
    for place, (document,) in _labelled_rows(source, (field,), header, errors):
        if bad := document if isinstance(document, BadRow) else wrong_document(document):
            raise ValueError(f"{place}: {bad.message}")
        yield document


def wrong_document(value: Any) -> BadRow | None:
    """Return why a value is neither a text nor a list of tokens, or None."""
    try:
        if not isinstance(value, str):
            checked_tokens(value, "the document")
    except TypeError as error:
        return BadRow("null" if is_missing(value) else "no text", str(error), TypeError)
    return None


def read_documents(source: Any, field: str | int | None, header: bool, errors: str, prefix: str) -> Sequence[Any]:
    """Return the documents in memory, in a field, or in the lines of text files, whose labels are left out."""
    if field is not None:
        return list(field_documents(source, field, header, errors))
    return list(chain(*file_lines(source, errors, prefix))) if form_of(source) == "files" else check_documents(source)


def file_lines(paths: Any, errors: str, prefix: str) -> Iterator[list[str]]:
    """Yield the documents in text files, many at a time, without their labels."""
    for _, texts in labelled_lines(paths, errors, prefix, Ledger(unit="document")):
        yield texts.decode().split("\n")[:-1]


def labelled_lines(
    paths: Any, errors: str, prefix: str, ledger: Ledger, progress: Progress | None = None
) -> Iterator[tuple[bytes, bytes]]:
    """Yield pairs of texts in UTF-8 with a line per document: its labels without the prefix, and its other tokens."""
    begun: list[bytes] = []
    for chunk in FileCorpus(path_list(paths), reading=Reading(errors=errors)).chunks(ledger, progress):
        if isinstance(chunk, DocumentChunk):
            raise ValueError(f"{_names(paths)} has fields: name them by field and label")
        begun.append(valid_text(chunk, errors)[0])
        if begun[-1].endswith(b"\n"):
            yield separate_labels(b"".join(begun), prefix.encode())
            begun.clear()


def _names(paths: Any) -> str:
    return ", ".join(repr(str(path)) for path in path_list(paths))


def read_lines(
    paths: Any, errors: str, prefix: str, ledger: Ledger, progress: Progress | None = None
) -> tuple[Sequence[Any], Labels]:
    """Return the documents in files, without their labels, and the labels of each."""
    texts: list[str] = []
    lines: list[bytes] = []
    for names, rest in labelled_lines(paths, errors, prefix, ledger, progress):
        texts += rest.decode().split("\n")[:-1]
        lines.append(names)
    table, text = TokenTable(), b"".join(lines)  # a list of labels per document would take much longer
    ids = np.empty(len(text), np.int32)
    ids = ids[: table.number(text, False, ids)[0]]
    classes = [token.decode() for token in table.frequent(0)[0]]
    if not classes:
        raise ValueError(f"no line of {_names(paths)} has a label, which begins with {prefix}")
    order = sorted(range(len(classes)), key=classes.__getitem__)
    return texts, _labels(np.array(sorted(classes), object), documents_by_words(ids, len(classes))[:, order])


# ---------------------------------------------------------------- examples


@dataclass
class Examples:
    """Documents to learn from.

    Attributes
    ----------
    features : Features
    bags : csr_array (N, F)
        Training sorts a copy of the bags. It then sets `bags`, `frequencies` and `gains` to None to free their memory.
    frequencies : ndarray of int64 (F,)
        The number of documents with each feature, plus 1 for a feature of earlier documents. So 1, for a feature
        of these documents, means that one document alone has it.
    labels : Labels
    label_counts : ndarray of int64 (L,)
        The number of documents with each label, earlier ones too.
    weights : ndarray of float64 (N,)
        The weights of the losses.
    gains : LabelGains or None
        None unless the weighting is "supervised".
    """

    features: Features
    bags: Any
    frequencies: Any
    labels: Labels
    label_counts: Int64
    weights: Float64
    gains: LabelGains | None

    def left_out(self, parts: Sequence[Int64]) -> list[tuple[Any, Any, Float64]]:
        """Return the bags, labels and weights of each part of the documents as if it were new.

        A feature that only the part has is unknown. The other features are scaled to unit length. A document without
        known features, or with a label that only the part has, has the weight 0.
        """
        numbers = np.concatenate(parts)
        bags, examples = self.bags[numbers], []
        if self.gains is not None:
            self.gains.make_as_new(bags, numbers)
        for part, end in zip(parts, np.cumsum(list(map(len, parts))).tolist(), strict=True):
            rows = bags[end - len(part) : end]
            labels = self.labels.matrix[part]
            known = self.frequencies > np.bincount(rows.indices, minlength=rows.shape[1])
            indptr, indices = rows.indptr.astype(np.int64), rows.indices.astype(np.int32, copy=False)
            unit_rows(indptr, indices, rows.data, known.astype(np.float64), False)
            rows.eliminate_zeros()
            unknown = self.label_counts == np.bincount(labels.indices, minlength=labels.shape[1])
            used = (np.diff(rows.indptr) > 0) & ~(labels @ unknown > 0)
            examples.append((rows, labels, np.where(used, self.weights[part], 0)))
        return examples


def read_examples(
    source: LabelledSource, options: ClassifierOptions, ledger: Ledger, run: Run, known: FittedClassifier | None = None
) -> Examples:
    """Read documents and labels. Documents without a label are left out and counted in the ledger.

    Parameters
    ----------
    known : FittedClassifier, optional
        The classifier that the examples continue. Its features and labels are among those of the examples.

    Raises
    ------
    TypeError, ValueError, OSError
        As `Classifier.fit`.
    """
    if source.labels is not None:
        check_texts(source.documents)
    report = run.progress
    reading, counting = (None, None) if report is None else (report.reading, report.counting)
    every = options.loss != "softmax"  # "softmax" learns nothing from a document without a label
    items, labels, weights = source.read(options.reading, options.label_prefix, ledger, every=every, progress=reading)
    seen = labels.classes[np.unique(labels.matrix.indices)].tolist()
    if len(seen) < (least := 2 if known is None else 1):
        raise ValueError(f"documents must have at least {number_of(least, 'label')}, got {len(seen)} class: {seen}")
    if not every and labels.indicator and (np.diff(labels.matrix.indptr) > 1).any():
        warn_user("with loss='softmax' at most one label of a document has a probability of one half: use 'squared'")
    if known is not None:
        check_kind(labels, known)
        classes = np.array(sorted({*known.classes.tolist(), *labels.classes.tolist()}), known.classes.dtype)
        labels = Labels(classes, labels.over(classes), labels.several or known.several, known.indicator)
    weights *= label_weights(labels, options.class_weight)
    label_counts, learned = np.bincount(labels.matrix.indices, minlength=len(labels.classes)), None
    if known is not None:
        label_counts[np.searchsorted(labels.classes, known.classes)] += known.label_counts
        learned = known.features, known.documents
    chunks = line_chunks(items, options.reading.errors, options.label_prefix, progress=counting)
    tokens = number_tokens(chunks, options.reading, ledger, run.pool)
    features, bags, frequencies, gains = read_features(tokens, labels.matrix, options, ledger, run.pool, learned)
    return Examples(features, bags, frequencies, labels, label_counts, weights, gains)


def label_weights(labels: Labels, class_weight: Any) -> Float64:
    """Return the weight of each document (N,): the mean of the weights of its labels, or 1 without a label.

    With "balanced", the weight of a label is the mean count of the labels divided by the count of the label.

    Raises
    ------
    ValueError
        If the mapping has an unknown label.
    """
    if class_weight is None:
        return np.ones(labels.matrix.shape[0])
    names = labels.classes.tolist()
    if class_weight == "balanced":
        weights = balanced(np.bincount(labels.matrix.indices, minlength=len(names)))
    else:
        possible = set(names)
        if unknown := [label for label in class_weight if label not in possible]:
            raise ValueError(f"class_weight has the label {unknown[0]!r}, which no document has")
        weights = np.array([class_weight.get(label, 1.0) for label in names], np.float64)
    return mean_weights(labels.matrix, weights)


def balanced(counts: Int64) -> Float64:
    """Return the mean count of the labels that occur, divided by the count of each label (L,)."""
    return counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))


def mean_weights(matrix: Any, weights: Float64) -> Float64:
    """Return the mean weight of the labels of each document (N,), 1 without a label, from a matrix (N, L)."""
    return np.where(np.diff(matrix.indptr) > 0, label_shares(matrix) @ weights, 1.0)
