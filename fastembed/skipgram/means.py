"""Documents as bags of their tokens, and as means of the tokens' vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.lookup import token_of
from fastembed._base.memory import check_free
from fastembed._base.warning import warn_user
from fastembed.corpus.documents import Documents, split_documents
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.readers import as_corpus
from fastembed.corpus.reading import Reading
from fastembed.vectors.subwords import Composer
from fastembed.vocabulary import Vocabulary

SIF = 1e-3  # a


def token_bags(
    documents: Documents,
    vocabulary: Vocabulary,
    matrix: NDArray[Any],
    reading: Reading | None = None,
    composer: Composer | None = None,
    drops: Callable[[str], bool] = lambda token: False,
) -> tuple[Any, NDArray[Any]]:
    """Return the counts of each known token in each document, and the vectors of these tokens.

    Parameters
    ----------
    documents
        As for :func:`split_documents`; each may have a single token.
    vocabulary : Vocabulary
    matrix : ndarray (V, D)
        The vectors of the vocabulary's tokens.
    reading : Reading, optional
        How text is read.
    composer : Composer, optional
        The composer of vectors for tokens outside the vocabulary.
    drops : callable, optional
        Returns whether a token outside the vocabulary was dropped on purpose, and thus must not be composed.

    Returns
    -------
    counts : csr_array (n_documents, M), of the dtype of `matrix`
        The first V columns are those of the vocabulary, the others those of composed tokens. Other tokens are skipped;
        a warning gives the number of documents without a known token.
    vectors : ndarray (M, D)

    Examples
    --------
    >>> token_bags(["a b b b", "c a"], Vocabulary(["a", "b"], [1, 1]), np.eye(2))[0].toarray()
    array([[1., 3.],
           [1., 0.]])
    """
    corpus = as_corpus(split_documents(documents, reading, whole=True, single=True))
    if composer is None:
        rows = [vocabulary.ids(tokens) for tokens in corpus.sequences(Ledger())]
    else:
        rows, matrix = _with_composed(corpus.sequences(Ledger()), vocabulary, matrix, composer, drops)
    check_free(len(rows) * matrix.shape[1] * matrix.itemsize, f"the vectors of {len(rows):,} documents", "give fewer")
    if unknown := sum(not row for row in rows):
        warn_user(f"{unknown:,} of {len(rows):,} documents have no known word: their vectors are 0")
    indptr = np.cumsum([0, *map(len, rows)])
    ids = np.fromiter(chain.from_iterable(rows), np.int64, indptr[-1])
    counts = sparse.csr_array((np.ones(len(ids), matrix.dtype), ids, indptr), shape=(len(rows), len(matrix)))
    return counts, matrix


def mean_vectors(counts: Any, matrix: NDArray[Any]) -> NDArray[Any]:
    """Return the mean vector of the tokens of each document, (N, D); zero for a document without tokens.

    Examples
    --------
    >>> mean_vectors(sparse.csr_array([[1.0, 3.0], [0.0, 0.0]]), np.eye(2))
    array([[0.25, 0.75],
           [0.  , 0.  ]])
    """
    return _weighted_means(counts, np.ones(len(matrix), matrix.dtype), matrix)


def sif_vectors(counts: Any, matrix: NDArray[Any], shares: NDArray[np.float64]) -> NDArray[Any]:
    """Return means with less weight for frequent tokens, without their common direction (Arora et al. 2017).

    A token with the share p of the text has the weight a / (a + p), a = 0.001. The removed direction is the first
    principal component of the tokens, weighted by p times this weight, so that it does not depend on the documents.

    Parameters
    ----------
    counts : csr_array (N, M)
    matrix : ndarray (M, D)
    shares : ndarray of float64 (V,)
        p of the first V tokens; the others are rare, and their p is taken as 0.

    Examples
    --------
    >>> sif_vectors(sparse.csr_array([[1.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 0.001]]), np.array([0.999, 0.001]))
    array([[0.     , 0.00025]])
    """
    weights = np.ones(len(matrix))
    weights[: len(shares)] = SIF / (SIF + shares)
    amounts = shares * weights[: len(shares)]
    known = matrix[: len(shares)].astype(np.float64)
    direction = np.linalg.eigh((known.T * amounts) @ known)[1][:, -1].astype(matrix.dtype)
    means = _weighted_means(counts, weights.astype(matrix.dtype), matrix)
    return means - np.outer(means @ direction, direction)


def _weighted_means(counts: Any, weights: NDArray[Any], matrix: NDArray[Any]) -> NDArray[Any]:
    """Return the sums of weighted vectors divided by the number of tokens."""
    totals = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
    shares = counts.copy()
    shares.data *= weights[counts.indices] / np.repeat(totals, np.diff(counts.indptr)).astype(matrix.dtype)
    means: NDArray[Any] = shares @ matrix
    return means


def _with_composed(
    sequences: Iterable[Sequence[str]],
    vocabulary: Vocabulary,
    matrix: NDArray[Any],
    composer: Composer,
    drops: Callable[[str], bool],
) -> tuple[list[list[int]], NDArray[Any]]:
    """Return the rows of the known tokens of each sequence, and the matrix with composed vectors appended."""
    others: dict[str, int] = {}
    rows = [
        [
            vocabulary[token] if token in vocabulary else len(matrix) + others.setdefault(token, len(others))
            for token in map(token_of, tokens)
        ]
        for tokens in sequences
    ]
    composed, known = composer.compose_all(list(others))
    left = np.array([drops(token) for token in others], bool)
    unknown = set((len(matrix) + np.flatnonzero(~known | left)).tolist())
    return [[row for row in each if row not in unknown] for each in rows], np.concatenate([matrix, composed])
