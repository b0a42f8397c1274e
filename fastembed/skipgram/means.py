"""Documents as the means of their tokens' vectors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.lookup import token_of
from fastembed._base.memory import check_free
from fastembed.corpus.documents import Documents, split_documents
from fastembed.corpus.ledger import Ledger
from fastembed.corpus.readers import as_corpus
from fastembed.corpus.reading import Reading
from fastembed.vectors.subwords import Composer
from fastembed.vocabulary import Vocabulary


def mean_vectors(
    documents: Documents,
    vocabulary: Vocabulary,
    matrix: NDArray[Any],
    reading: Reading | None = None,
    composer: Composer | None = None,
    drops: Callable[[str], bool] = lambda token: False,
) -> NDArray[Any]:
    """Return the mean of the vectors of each document's tokens.

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
    ndarray (n_documents, D), of the dtype of `matrix`
        Tokens outside the vocabulary that cannot be composed are skipped. A document of no other tokens has the mean
        zero, which is warned of.

    Examples
    --------
    >>> mean_vectors(["a b b b", "c a"], Vocabulary(["a", "b"], [1, 1]), np.eye(2))
    array([[0.25, 0.75],
           [1.  , 0.  ]])
    """
    corpus = as_corpus(split_documents(documents, reading, whole=True, single=True))
    if composer is None:
        rows = [vocabulary.ids(tokens) for tokens in corpus.sequences(Ledger())]
    else:
        rows, matrix = _with_composed(corpus.sequences(Ledger()), vocabulary, matrix, composer, drops)
    check_free(len(rows) * matrix.shape[1] * matrix.itemsize, f"the means of {len(rows):,} documents", "give fewer")
    if unknown := sum(not row for row in rows):
        warnings.warn(f"{unknown:,} of {len(rows):,} documents have no known word: their means are 0", stacklevel=3)
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.fromiter(chain.from_iterable(rows), np.int64, indptr[-1])
    shares = np.repeat(1 / np.maximum(lengths, 1), lengths).astype(matrix.dtype)
    means: NDArray[Any] = sparse.csr_array((shares, ids, indptr), shape=(len(rows), len(matrix))) @ matrix
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
