"""Vectors of documents: means of the vectors of their words, or the vector that predicts the words best.

The latter is exact PV-DBOW with the linear layer fixed: `trainer/folding.py` has the objective and its minimum.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.threads import Pool
from fastembed._base.validation import check_choice, token_of, warn_user
from fastembed.corpus.corpus import Source, as_corpus, document_tokens
from fastembed.corpus.reading import Reading
from fastembed.skipgram.model import FittedModel
from fastembed.trainer import folding

METHODS = ("mean", "sif", "fit")
SIF = 1e-3  # a
RIDGE = 30.0  # chosen by the classification of held-out documents


def document_vectors(
    model: FittedModel,
    documents: Source,
    reading: Reading | None,
    drops: Callable[[str], bool],
    method: str,
    pool: Pool,
) -> NDArray[Any]:
    """Return the vectors of documents, (N, D), float32, by one of `METHODS`; see `SkipGram.transform`.

    `drops` returns whether a token outside the vocabulary was dropped on purpose, and thus must not be composed.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    check_choice("method", method, METHODS)
    counts, matrix = _token_bags(model, documents, reading, drops)
    if method != "fit":
        return _mean_vectors(counts, matrix, model.vocabulary.counts if method == "sif" else None)
    contexts = counts[:, : model.max_contexts]
    if model.directed:  # each word of the document counts equally as a context before and after
        contexts = sparse.hstack([contexts, contexts], format="csr") * 0.5
    vectors, missed = folding.optimal_rows(contexts, model.trainer.linear, model.trainer.bias, RIDGE, pool)
    if missed:
        of_all = f"{missed:,} of {len(vectors):,} documents"
        warn_user(f"{of_all} did not converge in {folding.MOST_STEPS} steps: their vectors are approximate")
    return vectors


def _token_bags(
    model: FittedModel, documents: Source, reading: Reading | None, drops: Callable[[str], bool]
) -> tuple[Any, NDArray[Any]]:
    """Return the counts (N, M) of each known token in each document, and the vectors (M, D) of these tokens.

    The first V columns are those of the vocabulary, the others those of composed tokens. Other tokens are skipped.
    """
    vocabulary, matrix, composer = model.vocabulary, model.vectors.matrix, model.composer
    corpus = as_corpus(documents, reading, single=True)
    tokens = document_tokens(corpus)
    if composer is None:
        rows = list(map(vocabulary.ids, tokens))
    else:
        others: dict[str, int] = {}
        rows = [
            [
                vocabulary[token] if token in vocabulary else len(vocabulary) + others.setdefault(token, len(others))
                for token in map(token_of, document)
            ]
            for document in tokens
        ]
        composed, known = composer.compose_all(list(others))
        known &= ~np.array([drops(token) for token in others], bool)
        unknown = set((len(vocabulary) + np.flatnonzero(~known)).tolist())
        rows = [[row for row in each if row not in unknown] for each in rows]
        matrix = np.concatenate([matrix, composed])
    indptr = np.cumsum([0, *map(len, rows)])
    ids = np.fromiter(chain.from_iterable(rows), np.int64, indptr[-1])
    return sparse.csr_array((np.ones(len(ids), matrix.dtype), ids, indptr), shape=(len(rows), len(matrix))), matrix


def _mean_vectors(counts: Any, matrix: NDArray[Any], occurrences: NDArray[Any] | None) -> NDArray[Any]:
    """Return the mean vector of the tokens of each document, (N, D); zero for a document without tokens.

    With the `occurrences` of the first V tokens in the text of the model, it is a mean with less weight for frequent
    tokens, without their common direction (Arora et al. 2017). A token with the share p of the text has the weight
    a / (a + p), a = 0.001; p of the other tokens, which are rare, is taken as 0. The removed direction is the first
    principal component of the tokens, weighted by p times this weight, so that it does not depend on the documents.
    """
    weights = np.ones(len(matrix))
    if occurrences is not None:
        shares = occurrences / occurrences.sum()
        weights[: len(shares)] = SIF / (SIF + shares)
    totals = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
    per_document = counts.copy()
    of_entries = np.repeat(totals, np.diff(counts.indptr)).astype(matrix.dtype)
    per_document.data *= weights.astype(matrix.dtype)[counts.indices] / of_entries
    means: NDArray[Any] = per_document @ matrix
    if occurrences is None:
        return means
    known = matrix[: len(shares)].astype(np.float64)
    moments = (known.T * (shares * weights[: len(shares)])) @ known
    direction = np.linalg.eigh(moments)[1][:, -1].astype(matrix.dtype)
    return means - np.outer(means @ direction, direction)
