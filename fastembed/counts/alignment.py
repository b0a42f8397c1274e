"""Counts with the rows and columns of another vocabulary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import canonical_csr
from fastembed.counts.counts import Counts
from fastembed.counts.store import CountsStore
from fastembed.counts.stored_csr import StoredCSR
from fastembed.vocabulary import Vocabulary


def align_counts(counts: Counts | CountsStore, vocabulary: Vocabulary, contexts: int) -> Counts | CountsStore:
    """Return the expected counts with the rows and columns of a vocabulary; other tokens are dropped.

    A store that already has these rows and columns is not read.

    Parameters
    ----------
    counts : Counts or CountsStore
        Counts with tokens.
    vocabulary : Vocabulary
        The tokens of the rows.
    contexts : int
        K: the columns are the first K tokens, on both sides if the counts are directed.

    Examples
    --------
    >>> counts = Counts.from_baskets([["b", "a"], ["b", "c"]], Vocabulary(["a", "b", "c"], [1, 2, 1]))
    >>> align_counts(counts, Vocabulary(["b", "a", "d"], [2, 1, 1]), 2).to_scipy().toarray()
    array([[0., 1.],
           [1., 0.],
           [0., 0.]])
    """
    assert counts.vocabulary is not None
    sides = 2 if counts.directed else 1
    shape = (len(vocabulary), sides * contexts)
    alike = counts.vocabulary.tokens == vocabulary.tokens and counts.shape == shape
    if alike and isinstance(counts, CountsStore):
        return counts._of_vocabulary(vocabulary)
    matrix = counts.to_scipy()
    if not alike:
        places = _places(counts.vocabulary, vocabulary)
        theirs = counts.shape[1] // sides
        columns = np.where(places < contexts, places, -1)[:theirs]
        entries = matrix.tocoo()
        side, column = np.divmod(entries.col, theirs)
        rows, columns = places[entries.row], columns[column]
        known = (rows >= 0) & (columns >= 0)
        columns = columns + side * contexts
        triples = (entries.data[known], (rows[known], columns[known]))
        matrix = canonical_csr("counts", sparse.coo_array(triples, shape=shape))
    if not matrix.nnz:
        raise ValueError("none of the pairs of these counts is of tokens and contexts that the model knows")
    stored = StoredCSR.of(matrix)
    return Counts(stored.data, stored.indices, stored.indptr, stored.shape, ledger=counts.ledger, vocabulary=vocabulary)


def _places(theirs: Vocabulary, ours: Vocabulary) -> npt.NDArray[np.int64]:
    """Return the id of each of their tokens in our vocabulary, or -1."""
    places = {token: place for place, token in enumerate(ours.tokens)}
    return np.array([places.get(token, -1) for token in theirs.tokens], np.int64)
