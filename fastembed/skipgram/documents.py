"""Vectors of documents: means of the vectors of their words, or the vector that predicts the words best.

The latter is exact PV-DBOW with the linear layer fixed. A document is the vector d that minimises

    f(d) = sum_c n_c (logsumexp(d W + b) - (d W + b)_c) + ridge / 2 |d|^2

where n_c is the number of occurrences of word c: PV-DBOW of Le and Mikolov (2014), with the full softmax instead of
negative sampling. f is strictly convex, so its minimum is unique and does not depend on the start or the word order.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.memory import check_free
from fastembed._base.sizes import SIZES
from fastembed._base.threads import Pool, single_threaded_blas
from fastembed._base.validation import check_choice, token_of, warn_user
from fastembed.corpus.corpus import Source, as_corpus, document_tokens
from fastembed.corpus.reading import Reading
from fastembed.skipgram.model import FittedModel

Float32: TypeAlias = NDArray[np.float32]
Float64: TypeAlias = NDArray[np.float64]

METHODS = ("mean", "sif", "fit")
SIF = 1e-3  # a
RIDGE = 30.0  # chosen by the classification of held-out documents
MOST_BLOCK = 256  # largest number of documents per block
MOST_STEPS = 500  # a safety limit: about 100 steps are needed where documents have as many words as dimensions
MOST_CUTS = 30
FALL = 1e-4  # smallest decrease of f, as a share of that predicted by its slope
PAIRS = 10
TOLERANCE = 1e-3  # largest norm of the gradient at convergence, as a share of the number of words


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
    vectors, missed = fit_vectors(contexts, model.trainer.linear, model.trainer.bias, RIDGE, pool)
    if missed:
        of_all = f"{missed:,} of {len(vectors):,} documents"
        warn_user(f"{of_all} did not converge in {MOST_STEPS} steps: their vectors are approximate")
    return vectors


def _token_bags(
    model: FittedModel, documents: Source, reading: Reading | None, drops: Callable[[str], bool]
) -> tuple[Any, NDArray[Any]]:
    """Return the counts (N, M) of each known token in each document, and the vectors (M, D) of these tokens.

    The first V columns are those of the vocabulary, the others those of composed tokens. Other tokens are skipped; a
    warning gives the number of documents without a known token.
    """
    vocabulary, matrix, composer = model.vocabulary, model.vectors.matrix, model.composer
    tokens = document_tokens(as_corpus(documents, reading, single=True))
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
    check_free(len(rows) * matrix.shape[1] * matrix.itemsize, f"the vectors of {len(rows):,} documents", "give fewer")
    if empty := sum(not row for row in rows):
        warn_user(f"{empty:,} of {len(rows):,} documents have no known word: their vectors are 0")
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


def fit_vectors(
    counts: Any, linear: NDArray[Any], bias: NDArray[Any] | None, ridge: float, pool: Pool
) -> tuple[Float32, int]:
    """Return the vectors of documents, (N, D), and the number that did not converge in `MOST_STEPS`.

    Parameters
    ----------
    counts : csr_array (N, V)
        n, the targets of each document.
    linear : ndarray (D, V)
    bias : ndarray (V,), optional
    ridge : float
        Above 0.
    pool : Pool
        Blocks of documents are its tasks; they do not depend on the number of threads.
    """
    size = max(1, min(MOST_BLOCK, SIZES.batch_logits // linear.shape[1]))
    cuts = range(0, counts.shape[0], size)
    found, missed = np.empty((counts.shape[0], len(linear)), np.float32), np.zeros(len(cuts), int)

    def task(k: int) -> None:
        part = slice(cuts[k], min(cuts[k] + size, counts.shape[0]))
        found[part], missed[k] = _minima(counts[part], linear, bias, ridge)

    with single_threaded_blas():  # the bits must not depend on the number of BLAS threads
        pool.run(task, len(cuts))
    return found, int(missed.sum())


def _minima(n: Any, linear: NDArray[Any], bias: NDArray[Any] | None, ridge: float) -> tuple[Float64, int]:
    """Return the vectors of a block, each by L-BFGS (Liu, Nocedal 1989), and the number that did not converge.

    A step is as long as the pairs of the last ones say, 1 at most at first; a step that is too long is cut to where the
    slope along it would be 0 if it were linear. f is convex: where the slope has not turned, f has fallen, whatever the
    rounding of f says.
    """
    totals = np.asarray(n.sum(axis=1), np.float64).ravel()
    observed = np.asarray(n @ linear.T.astype(np.float64))  # sum_c n_c w_c
    constant = np.zeros(len(totals)) if bias is None else np.asarray(n @ bias.astype(np.float64)).ravel()

    def objective(d: Float64, rows: Any) -> tuple[Float64, Float64]:  # f (B,) of some documents, and its gradient
        x: NDArray[Any] = d.astype(linear.dtype) @ linear
        if bias is not None:
            x = x + bias
        largest = x.max(axis=1, keepdims=True)
        x -= largest
        np.exp(x, out=x)
        sums = x.sum(axis=1, dtype=np.float64)
        normaliser = largest[:, 0].astype(np.float64) + np.log(sums)
        expected = (x @ linear.T).astype(np.float64) / sums[:, None]
        fit = totals[rows] * normaliser - np.einsum("ij,ij->i", observed[rows], d) - constant[rows]
        return fit + ridge / 2 * (d**2).sum(axis=1), totals[rows, None] * expected - observed[rows] + ridge * d

    d = np.zeros((len(totals), len(linear)))
    f, gradient = objective(d, slice(None))
    history = _History(*d.shape)
    active = np.flatnonzero(totals > 0)
    for _ in range(MOST_STEPS):
        active = active[_steep(gradient, totals, active)]
        if not len(active):
            break
        direction = -history.times_inverse_hessian(gradient[active], active)
        slope = _dots(direction, gradient[active])
        before = d[active], gradient[active]
        step, waiting = np.ones(len(active)), np.arange(len(active))
        for _ in range(MOST_CUTS):
            rows = active[waiting]
            tried = before[0][waiting] + step[waiting, None] * direction[waiting]
            value, slopes = objective(tried, rows)
            turned = _dots(slopes, direction[waiting])
            good = (turned <= 0) | (value <= f[rows] + FALL * step[waiting] * slope[waiting])
            d[rows[good]], f[rows[good]], gradient[rows[good]] = tried[good], value[good], slopes[good]
            root = slope[waiting] / (slope[waiting] - turned)
            waiting, root = waiting[~good], root[~good]
            if not len(waiting):
                break
            step[waiting] *= np.clip(root, 0.1, 0.5)
        history.add(d[active] - before[0], gradient[active] - before[1], active)
        active = np.delete(active, waiting)  # no step decreases f: the rest is rounding error
    return d, int(np.count_nonzero(_steep(gradient, totals, active)))


class _History:
    """The last steps of documents and the changes of their gradients, from which L-BFGS estimates the curvature.

    Parameters
    ----------
    documents, dim : int
        B and D.
    """

    def __init__(self, documents: int, dim: int) -> None:
        self._steps, self._changes = (np.zeros((PAIRS, documents, dim)) for _ in range(2))
        self._inverses = np.zeros((PAIRS, documents))  # 1 / (step . change); 0 where there is none
        self._scales = np.zeros(documents)  # scale of the initial inverse Hessian; 0 before the first step
        self._count = 0

    def add(self, steps: Float64, changes: Float64, rows: NDArray[np.intp]) -> None:
        """Add the pairs (K, D) of the documents `rows` (K,); pairs with a zero step are ignored."""
        dots, k = _dots(steps, changes), self._count % PAIRS
        moved = dots > 0
        self._steps[k, rows], self._changes[k, rows] = steps, changes
        self._inverses[k, rows] = np.divide(1, dots, out=np.zeros(len(rows)), where=moved)
        self._scales[rows[moved]] = dots[moved] / _dots(changes[moved], changes[moved])
        self._count += 1

    def times_inverse_hessian(self, gradient: Float64, rows: NDArray[np.intp]) -> Float64:
        """Return the products (K, D) of the approximate inverse Hessians and the gradients of the documents `rows`."""
        product, shares = gradient.copy(), {}
        places = [k % PAIRS for k in range(max(0, self._count - PAIRS), self._count)]
        for k in reversed(places):
            shares[k] = self._inverses[k, rows] * _dots(self._steps[k, rows], product)
            product -= shares[k][:, None] * self._changes[k, rows]
        first = 1 / np.maximum(1, np.linalg.norm(gradient, axis=1))
        product *= np.where(self._scales[rows] > 0, self._scales[rows], first)[:, None]
        for k in places:
            back = self._inverses[k, rows] * _dots(self._changes[k, rows], product)
            product += (shares[k] - back)[:, None] * self._steps[k, rows]
        return product


def _steep(gradient: Float64, totals: Float64, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return whether each of the documents `rows` (K,) has not converged, by the norm of its gradient."""
    steep: NDArray[np.bool_] = np.linalg.norm(gradient[rows], axis=1) > TOLERANCE * totals[rows]
    return steep


def _dots(left: Float64, right: Float64) -> Float64:
    """Return the scalar products of the rows of two matrices (K, D)."""
    products: Float64 = np.einsum("ij,ij->i", left, right)
    return products
