"""The labels of documents: checks, numbering, and targets of training."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.validation import shown
from fastembed._kernels.tokens import TokenTable
from fastembed.classifier.characters import documents_by_words
from fastembed.classifier.documents import check_documents
from fastembed.corpus.reading import token_from_bytes, token_list

MOST_LABEL = 1 << 63


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
    items = _items(labels)
    if len(items) != documents:
        raise ValueError(f"labels must have one item per document: got {len(items)} for {documents} documents")
    several = any(issubclass(kind, list | tuple | set | frozenset | np.ndarray) for kind in set(map(type, items)))
    lists = [_listed(item) for item in items] if several else []
    flat = [label for item in lists for label in item] if several else items
    types = set(map(type, flat))
    kinds = types if types <= {str, int} else set(map(_kind, flat))
    if len(kinds) > 1:
        first, second = (next(label for label in flat if _kind(label) is kind) for kind in (str, int))
        raise TypeError(f"labels must be all str or all int, got {shown(first)} and {shown(second)}")
    if kinds == {int} and (far := [label for label in flat if not -MOST_LABEL <= label < MOST_LABEL]):
        raise ValueError(f"a label must be an int of 64 bits, got {far[0]}")
    plain: list[Any] = flat if types == kinds else list(map(int if kinds == {int} else str, flat))
    classes = sorted(set(plain))
    ids = {label: k for k, label in enumerate(classes)}
    indptr = np.cumsum([0, *map(len, lists)]) if several else np.arange(len(items) + 1)
    indices = np.fromiter(map(ids.__getitem__, plain), np.int32, len(plain))
    array = np.array(classes, np.int64 if kinds == {int} else object)
    return Labels(array, _binary(indices, indptr, len(classes)), several)


def read_labelled(documents: Any, labels: Any) -> tuple[Sequence[Any], Labels, npt.NDArray[np.bool_]]:
    """Return the documents with labels, their labels, and a mask of the documents with labels (N,).

    Raises
    ------
    TypeError, ValueError
        As `check_documents` and `read_labels`.
    """
    items = check_documents(documents)
    found = read_labels(labels, len(items))
    some = np.diff(found.matrix.indptr) > 0
    if some.all():
        return items, found, some
    for number, item in enumerate(items):  # checked here, while the numbers are those of the caller
        if not isinstance(item, str):
            token_list(item, f"document {number}")
    return [items[k] for k in np.flatnonzero(some).tolist()], replace(found, matrix=found.matrix[some]), some


def labels_of_lines(lines: list[bytes]) -> Labels:
    """Return the labels that `LabelledFiles` separated from the documents.

    Parameters
    ----------
    lines : list of bytes
        Text in which each line has the labels of a document.
    """
    text = b"".join(lines)
    table = TokenTable()
    table.count(text, False)
    names = [token_from_bytes(token) for token in table.frequent(0)[0]]
    order = np.array(sorted(range(len(names)), key=names.__getitem__), np.intp)
    ids = np.empty(len(text), np.int32)
    found = documents_by_words(ids[: table.encode(text, False, ids)[0]], len(names))
    place = np.empty(len(names), np.int32)
    place[order] = np.arange(len(names), dtype=np.int32)
    matrix = _binary(place[found.indices], found.indptr, len(names))
    several = bool((np.diff(matrix.indptr) > 1).any())
    return Labels(np.array([names[k] for k in order], object), matrix, several)


def aligned(labels: Labels, classes: npt.NDArray[Any]) -> Any:
    """Return labels as a matrix (N, L) over given classes; other labels are left out.

    Raises
    ------
    TypeError
        If the labels are int and the classes str, or vice versa.
    """
    if len(labels.classes) and labels.classes.dtype != classes.dtype:
        found, known = labels.classes.tolist()[0], classes.tolist()[0]
        raise TypeError(f"labels must be of the type of the classes, such as {known!r}, got {shown(found)}")
    ids = {label: k for k, label in enumerate(classes.tolist())}
    columns = np.array([ids.get(label, -1) for label in labels.classes.tolist()], np.int64)
    coo = labels.matrix.tocoo()
    known = columns[coo.col] >= 0
    shape = (labels.matrix.shape[0], len(classes))
    matrix = sparse.csr_array((coo.data[known], (coo.row[known], columns[coo.col[known]])), shape=shape)
    matrix.sort_indices()
    return matrix


def shares(matrix: Any) -> Any:
    """Return the share of each label in its document, (N, L), from a matrix with 1 for each label."""
    sizes = np.diff(matrix.indptr)
    found = matrix.copy()
    found.data = 1 / np.repeat(np.maximum(sizes, 1), sizes)
    return found


def _items(labels: Any) -> list[Any]:
    if labels is None:
        raise ValueError("labels are needed, got None: requires y to be passed, but the target y is None")
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise TypeError(f"labels must be one per document, got {shown(labels)}")
    if sparse.issparse(labels) or getattr(labels, "ndim", 1) != 1:
        raise ValueError(f"labels must be a list, or an array of one dimension, got {shown(labels)}")
    return labels.tolist() if hasattr(labels, "tolist") else list(labels)


def _listed(item: Any) -> list[Any]:
    """Return the distinct labels of a document, in order."""
    if not isinstance(item, list | tuple | set | frozenset | np.ndarray):
        raise TypeError(f"the labels of some documents are lists, but one is {shown(item)}: write [{item!r}]")
    labels = item.tolist() if isinstance(item, np.ndarray) else list(item)
    for label in labels if isinstance(labels, list) else [labels]:
        _kind(label)
    return list(dict.fromkeys(labels))


def _kind(label: Any) -> type:
    if isinstance(label, str):
        return str
    if isinstance(label, numbers.Integral) and not isinstance(label, bool | np.bool_):
        return int
    raise TypeError(f"a label must be a str or an int, got {shown(label)}")


def _binary(indices: npt.NDArray[np.int32], indptr: Any, columns: int) -> Any:
    """Return the canonical matrix with 1 for each entry."""
    matrix = sparse.csr_array((np.ones(len(indices)), indices, indptr), shape=(len(indptr) - 1, columns))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
