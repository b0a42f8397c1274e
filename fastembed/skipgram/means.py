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
    """Return how often each known token is in each document, and the vectors of these tokens.

    Parameters
    ----------
    documents
        As for :func:`split_documents`; they may have one token each.
    vocabulary : Vocabulary
    matrix : ndarray (V, D)
        The vectors of the vocabulary's tokens.
    reading : Reading, optional
        How text is read.
    composer : Composer, optional
        Of the vectors of tokens outside the vocabulary.
    drops : callable, optional
        Says of a token outside the vocabulary whether it was dropped on purpose, so that it is not composed either.

    Returns
    -------
    counts : csr_array (n_documents, M), of the dtype of `matrix`
        The first V columns are those of the vocabulary, the others those of tokens that are composed. Other tokens are
        skipped; documents of no other tokens are warned of.
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
    """Return the mean vector of each document's tokens, (N, D); zero for a document without any.

    Examples
    --------
    >>> mean_vectors(sparse.csr_array([[1.0, 3.0], [0.0, 0.0]]), np.eye(2))
    array([[0.25, 0.75],
           [0.  , 0.  ]])
    """
    return _weighted_means(counts, np.ones(len(matrix), matrix.dtype), matrix)


def sif_vectors(counts: Any, matrix: NDArray[Any], shares: NDArray[np.float64]) -> NDArray[Any]:
    """Return means in which frequent tokens count less, without what is common to all (Arora et al. 2017).

    A token of the share p of a text has the weight a / (a + p), a = 0.001. The direction that is taken away is the
    first principal one of the tokens themselves, each with p times its weight, so that it does not depend on which
    documents are given together.

    Parameters
    ----------
    counts : csr_array (N, M)
    matrix : ndarray (M, D)
    shares : ndarray of float64 (V,)
        p of the first V tokens; that of the others, which are rare, is taken as 0.

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
    """Return the sums of weighted vectors over the number of tokens."""
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
    """Return the rows of the known tokens of each sequence, and the matrix with those that are composed below it."""
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
