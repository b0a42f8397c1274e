"""Documents with labels, in memory and in files in fastText's format: their checks, numbering, and weights."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.threads import Pool
from fastembed._base.validation import check_amounts, shown, unmasked
from fastembed._kernels.features import separate_labels
from fastembed._kernels.tokens import TokenTable
from fastembed.classifier.features import (
    Features,
    document_frequencies,
    documents_by_words,
    line_blocks,
    read_features,
)
from fastembed.corpus.blocks import valid_text
from fastembed.corpus.corpus import FileCorpus
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.memory import DocumentBlock
from fastembed.corpus.reading import Reading, token_list
from fastembed.corpus.sources import path_list
from fastembed.corpus.tables import FORMATS, suffix_of
from fastembed.corpus.tokens import number_tokens

if TYPE_CHECKING:
    from fastembed.classifier.classifier import ClassifierOptions
    from fastembed.classifier.model import FittedClassifier

Float64 = npt.NDArray[np.float64]

MOST_LABEL = 1 << 63
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
        Whether a document may have several labels.
    """

    classes: npt.NDArray[Any]
    matrix: Any
    several: bool

    def over(self, classes: npt.NDArray[Any]) -> Any:
        """Return the labels as a matrix (N, L) over given classes; other labels are left out.

        Raises
        ------
        TypeError
            If the labels are int and the classes str, or vice versa.
        """
        check_same_type(self, classes)
        ids = {label: k for k, label in enumerate(classes.tolist())}
        known = [k for k, label in enumerate(self.classes.tolist()) if label in ids]
        columns = [ids[self.classes[k]] for k in known]
        moved = sparse.csr_array((np.ones(len(known)), (known, columns)), shape=(len(self.classes), len(classes)))
        matrix = sparse.csr_array(self.matrix @ moved)
        matrix.sort_indices()
        return matrix


def check_same_type(labels: Labels, classes: npt.NDArray[Any]) -> None:
    """Raise TypeError if the labels are int and the classes str, or vice versa."""
    if len(labels.classes) and labels.classes.dtype != classes.dtype:
        found, known = labels.classes.tolist()[0], classes.tolist()[0]
        raise TypeError(f"labels must be of the type of the classes, such as {known!r}, got {shown(found)}")


def shares(matrix: Any) -> Any:
    """Return the share of each label in its document, (N, L), from a matrix with 1 for each label."""
    sizes = np.diff(matrix.indptr)
    found = matrix.copy()
    found.data = 1 / np.repeat(np.maximum(sizes, 1), sizes)
    return found


def read_labels(labels: Any, documents: int) -> Labels:
    """Check the labels given for documents and return them.

    Parameters
    ----------
    labels : array_like of str or int (N,), or list of lists of these
    documents : int
        N.

    Raises
    ------
    TypeError
        If a label is neither a str nor an int, or both kinds occur.
    ValueError
        If there is not one item per document.
    """
    if labels is None:
        raise ValueError("labels are needed, got None: requires y to be passed, but the target y is None")
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise TypeError(f"labels must be one per document, got {shown(labels)}")
    if sparse.issparse(labels) or getattr(labels, "ndim", 1) != 1:
        raise ValueError(f"labels must be a list, or an array of one dimension, got {shown(labels)}")
    items = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    if len(items) != documents:
        raise ValueError(f"labels must have one item per document: got {len(items)} for {documents} documents")
    several = any(issubclass(kind, SEVERAL) for kind in set(map(type, items)))
    if several and (single := [item for item in items if not isinstance(item, SEVERAL)]):
        raise TypeError(f"the labels of some documents are lists, but one is {shown(single[0])}: write [{single[0]!r}]")
    flat = [label for item in items for label in item] if several else items
    examples = dict(zip(map(type, reversed(flat)), reversed(flat), strict=True))  # the first label of each type
    if wrong := [label for kind, label in examples.items() if not issubclass(kind, LABEL_TYPES) or kind is bool]:
        raise TypeError(f"a label must be a str or an int, got {shown(wrong[0])}")
    texts = [label for label in examples.values() if isinstance(label, str)]
    if 0 < len(texts) < len(examples):
        number = next(label for label in examples.values() if not isinstance(label, str))
        raise TypeError(f"labels must be all str or all int, got {shown(texts[0])} and {shown(number)}")
    kind = str if texts or not flat else int
    plain: list[Any] = list(map(kind, flat))
    if kind is int and (far := [label for label in plain if not -MOST_LABEL <= label < MOST_LABEL]):
        raise ValueError(f"a label must be an int of 64 bits, got {far[0]}")
    classes = sorted(set(plain))
    ids = {label: k for k, label in enumerate(classes)}
    indptr = np.cumsum([0, *map(len, items)]) if several else np.arange(len(items) + 1)
    indices = np.fromiter(map(ids.__getitem__, plain), np.int32, len(plain))
    matrix = sparse.csr_array((np.ones(len(indices)), indices, indptr), shape=(len(items), len(classes)))
    return Labels(np.array(classes, np.int64 if kind is int else object), _binary(matrix), several)


# ---------------------------------------------------------------- labelled files


def text_files(paths: Any, errors: str) -> FileCorpus:
    """Return files of lines of text.

    Raises
    ------
    OSError
        If there is no such file.
    TypeError
        If `paths` is neither a path nor several.
    ValueError
        If a file is structured.
    """
    given = path_list(paths)
    try:
        files = FileCorpus(given, reading=Reading(errors=errors))
        structured = any(suffix_of(name) in FORMATS for name in files.names)
    except ValueError:  # it has fields
        structured = True
    if structured:
        names = ", ".join(repr(os.fspath(path)) for path in given)
        raise ValueError(
            f"documents with labels are lines of text, not of a structured file such as CSV or JSON lines: {names}"
        )
    return files


def labelled_lines(files: FileCorpus, prefix: str, ledger: Ledger) -> Iterator[tuple[bytes, bytes]]:
    """Yield texts of as many lines, in UTF-8: the labels of documents, which have a prefix in files, and the rest."""
    begun: list[bytes] = []
    for block in files.blocks(ledger):
        assert not isinstance(block, DocumentBlock)  # no file is structured
        begun.append(valid_text(block, files.reading.errors)[0])
        if begun[-1].endswith(b"\n"):
            yield separate_labels(b"".join(begun), prefix.encode())
            begun.clear()


def read_files(paths: Any, errors: str, prefix: str, ledger: Ledger) -> tuple[Sequence[Any], Labels]:
    """Return the documents in files, without their labels, and the labels of each; ValueError if there is none."""
    files = text_files(paths, errors)
    texts: list[str] = []
    lines: list[bytes] = []
    for names, rest in labelled_lines(files, prefix, ledger):
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


def names_files(documents: Any) -> bool:
    """Return whether `documents` is a path, or a list of paths."""
    if isinstance(documents, str | os.PathLike):
        return True
    return (
        isinstance(documents, list | tuple) and bool(documents) and all(isinstance(d, os.PathLike) for d in documents)
    )


# ---------------------------------------------------------------- labelled documents


def read_labelled(
    documents: Any, labels: Any, reading: Reading, prefix: str, ledger: Ledger
) -> tuple[Sequence[Any], Labels, npt.NDArray[np.bool_]]:
    """Return the documents with labels, their labels, and which of the given documents they are (N,).

    Documents without a label are counted in the ledger.

    Parameters
    ----------
    documents, labels
        As for `Classifier.fit`.
    reading : Reading
    prefix : str
    ledger : Ledger

    Raises
    ------
    TypeError, ValueError, OSError
        As `Classifier.fit`.
    """
    if labels is None and names_files(documents):
        items, found = read_files(documents, reading.errors, prefix, ledger)
    else:
        items = check_documents(documents)
        found = read_labels(labels, len(items))
    some = np.diff(found.matrix.indptr) > 0
    if not some.all():
        for number, item in enumerate(items):  # checked here, while the numbers are those of the caller
            if not isinstance(item, str):
                token_list(item, f"document {number}")
        ledger.skipped["without a label"] = int((~some).sum())
        items = [items[k] for k in np.flatnonzero(some).tolist()]
        found = replace(found, matrix=found.matrix[some])
    return items, found, some


def check_documents(documents: Any) -> Sequence[Any]:
    """Check documents and return them as a sequence.

    Raises
    ------
    TypeError
        If `documents` is a single string, or cannot be iterated.
    """
    if isinstance(documents, str | bytes):
        raise TypeError(f"documents must be several, got one {shown(documents)}: pass [document]")
    if hasattr(documents, "tolist"):  # an array or a column of a table
        if getattr(documents, "ndim", 1) != 1:
            raise ValueError(
                f"documents must be one column of texts, got an array of shape {documents.shape}: Reshape your data"
            )
        documents = documents.tolist()
    if isinstance(documents, list | tuple):
        return documents
    if not isinstance(documents, Iterable):
        raise TypeError(f"documents must be texts or lists of tokens, got {shown(documents)}")
    return list(documents)


@dataclass
class Examples:
    """Documents to learn from.

    Attributes
    ----------
    features : Features
    bags : csr_array (N, F)
        None after they have been released, since they take much memory.
    frequencies : ndarray of int64 (F,)
        The number of documents with each feature.
    labels : Labels
    weights : ndarray of float64 (N,)
        The weights of the losses.
    """

    features: Features
    bags: Any
    frequencies: npt.NDArray[np.int64]
    labels: Labels
    weights: Float64

    def divided(self, held: npt.NDArray[np.bool_]) -> tuple[Examples, tuple[Any, Any]]:
        """Return the documents that are not held out, and the bags and labels of the held-out ones."""
        bags, matrix = self.bags[~held], self.labels.matrix
        labels = replace(self.labels, matrix=matrix[~held])
        rest = Examples(
            self.features, bags, document_frequencies(bags.indices, bags.shape[1]), labels, self.weights[~held]
        )
        return rest, (self.bags[held], matrix[held])


def read_examples(
    documents: Any,
    labels: Any,
    sample_weight: Any,
    options: ClassifierOptions,
    ledger: Ledger,
    pool: Pool,
    known: FittedClassifier | None = None,
) -> Examples:
    """Read documents and labels; documents without a label are left out and counted in the ledger.

    Parameters
    ----------
    documents, labels, sample_weight
        As for `Classifier.fit`.
    options : ClassifierOptions
    ledger : Ledger
    pool : Pool
    known : FittedClassifier, optional
        A classifier that will learn more: its features and labels are joined with those of the documents, of which one
        label is enough. By default there must be two labels.

    Raises
    ------
    TypeError, ValueError, OSError
        As `Classifier.fit`.
    """
    if sample_weight is not None and labels is None and names_files(documents):
        raise ValueError("sample_weight is for documents in memory: those of a file have no weights")
    items, found, some = read_labelled(documents, labels, options.reading, options.label_prefix, ledger)
    if not len(some):
        raise ValueError("there are no documents to learn from: 0 samples, while a minimum of 1 is required")
    weights = np.ones(len(some))
    if sample_weight is not None:
        weights = unmasked("sample_weight", sample_weight)
        if weights.shape != some.shape:
            raise ValueError(
                f"sample_weight must have one number per document, shape {some.shape}, got shape {weights.shape}"
            )
        check_amounts("sample_weight", weights)
        if not weights.any():
            raise ValueError("sample_weight must have a weight above zero, but all weights are zero")
    if len(found.classes) < (2 if known is None else 1):
        what = f"one class, {found.classes.tolist()[0]!r}" if len(found.classes) else "no label"
        raise ValueError(f"a classifier needs documents of at least two labels, got {what}")
    weights = weights[some] * label_weights(found, options.class_weight, None if known is None else known.classes)
    if known is not None:
        check_same_type(found, known.classes)
        classes = np.array(sorted({*known.classes.tolist(), *found.classes.tolist()}), known.classes.dtype)
        found = Labels(classes, found.over(classes), found.several or known.calibration.several)
    tokens = number_tokens(line_blocks(items, options.reading.errors), options.reading, ledger, pool)
    before = () if known is None else (known.features, known.documents)
    return Examples(*read_features(tokens, options, ledger, pool, *before), found, weights)


def label_weights(labels: Labels, class_weight: Any, known: npt.NDArray[Any] | None) -> Float64:
    """Return the weight of each document (N,): the mean of the weights of its labels.

    Parameters
    ----------
    labels : Labels
    class_weight : None, "balanced" or mapping of label to number
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
        counts = np.bincount(labels.matrix.indices, minlength=len(names))
        of_label = counts.sum() / (len(names) * np.maximum(counts, 1))
    else:
        possible = {*names, *([] if known is None else known.tolist())}
        if unknown := [label for label in class_weight if label not in possible]:
            raise ValueError(f"class_weight has the label {unknown[0]!r}, which no document has")
        of_label = np.array([class_weight.get(label, 1.0) for label in names], np.float64)
    found: Float64 = shares(labels.matrix) @ of_label
    return found
