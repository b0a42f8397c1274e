"""Vectors of documents: means of the vectors of their words, or the vector that predicts the words best.

The latter is exact PV-DBOW with the linear layer fixed. A document is the vector d that minimises

    f(d) = sum_c n_c (logsumexp(d W + b) - (d W + b)_c) + ridge / 2 |d|^2

where n_c is the number of occurrences of word c: PV-DBOW of Le and Mikolov (2014), with the full softmax instead of
negative sampling. f is strictly convex, so its minimum is unique and does not depend on the start or the word order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.memory import check_free
from fastembed._base.threads import Pool, single_threaded_blas
from fastembed._base.validation import check_choice, token_of, warn_user
from fastembed.corpus.corpus import Source, as_corpus, document_tokens
from fastembed.corpus.reading import Reading
from fastembed.skipgram.model import FittedModel
from fastembed.vectors.subwords import Composer
from fastembed.vocabulary import Vocabulary

SIF = 1e-3  # a
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

METHODS = ("mean", "sif", "fit")
RIDGE = 30.0  # chosen by the classification of held-out documents
BLOCK_LOGITS = 1 << 22  # logits per block, which are in memory for each thread
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
) -> npt.NDArray[Any]:
    """Return the vectors of documents, (N, D), float32, by one of `METHODS`; see `SkipGram.transform`.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    check_choice("method", method, METHODS)
    vocabulary = model.vocabulary
    counts, matrix = token_bags(documents, vocabulary, model.vectors.matrix, reading, model.composer, drops)
    if method == "mean":
        return mean_vectors(counts, matrix)
    if method == "sif":
        return sif_vectors(counts, matrix, vocabulary.counts / vocabulary.counts.sum())
    contexts = counts[:, : model.max_contexts]
    if model.directed:  # each word of the document counts equally as a context before and after
        contexts = sparse.hstack([contexts, contexts], format="csr") * 0.5
    vectors, missed = fit_vectors(contexts, SoftmaxLayer(model.trainer.linear, model.trainer.bias), RIDGE, pool)
    if missed:
        of_all = f"{missed:,} of {len(vectors):,} documents"
        warn_user(f"{of_all} did not converge in {MOST_STEPS} steps: their vectors are approximate")
    return vectors


def token_bags(
    documents: Source,
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
        As for :func:`as_corpus`; each may have a single token.
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
    tokens = document_tokens(as_corpus(documents, reading, single=True))
    if composer is None:
        rows = list(map(vocabulary.ids, tokens))
    else:
        rows, matrix = _with_composed(tokens, vocabulary, matrix, composer, drops)
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


@dataclass(frozen=True)
class SoftmaxLayer:
    """A fixed linear layer and its bias.

    Attributes
    ----------
    linear : ndarray (D, V)
    bias : ndarray (V,) or None
    """

    linear: npt.NDArray[Any]
    bias: npt.NDArray[Any] | None

    def logits(self, d: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return d W + b, (B, V)."""
        x: npt.NDArray[Any] = d.astype(self.linear.dtype) @ self.linear
        return x if self.bias is None else x + self.bias


def fit_vectors(counts: Any, layer: SoftmaxLayer, ridge: float, pool: Pool) -> tuple[Float32, int]:
    """Return the vectors of documents, (N, D), and the number that did not converge in `MOST_STEPS`.

    Parameters
    ----------
    counts : csr_array (N, V)
        n, the targets of each document.
    layer : SoftmaxLayer
    ridge : float
        Above 0.
    pool : Pool
        Blocks of documents are its tasks; they do not depend on the number of threads.
    """
    size = max(1, min(MOST_BLOCK, BLOCK_LOGITS // layer.linear.shape[1]))
    cuts = range(0, counts.shape[0], size)
    found, missed = np.empty((counts.shape[0], len(layer.linear)), np.float32), np.zeros(len(cuts), int)

    def task(k: int) -> None:
        part = slice(cuts[k], min(cuts[k] + size, counts.shape[0]))
        found[part], missed[k] = _block(counts[part], layer, ridge)

    with single_threaded_blas():  # the bits must not depend on the number of BLAS threads
        pool.run(task, len(cuts))
    return found, int(missed.sum())


def _block(n: Any, layer: SoftmaxLayer, ridge: float) -> tuple[Float64, int]:
    """Return the vectors of a block, each by L-BFGS (Liu, Nocedal 1989), and the number that did not converge.

    A step is as long as the pairs of the last ones say, 1 at most at first; a step that is too long is cut to where the
    slope along it would be 0 if it were linear. f is convex: where the slope has not turned, f has fallen, whatever the
    rounding of f says.
    """
    totals = np.asarray(n.sum(axis=1), np.float64).ravel()
    observed = np.asarray(n @ layer.linear.T.astype(np.float64))  # sum_c n_c w_c
    constant = np.zeros(len(totals)) if layer.bias is None else np.asarray(n @ layer.bias.astype(np.float64)).ravel()
    d = np.zeros((len(totals), len(layer.linear)))
    f, gradient = _objective(d, totals, observed, constant, layer, ridge)
    history = History(*d.shape)
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
            value, slopes = _objective(tried, totals[rows], observed[rows], constant[rows], layer, ridge)
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


class History:
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

    def add(self, steps: Float64, changes: Float64, rows: npt.NDArray[np.intp]) -> None:
        """Add the pairs (K, D) of the documents `rows` (K,); pairs with a zero step are ignored."""
        dots, k = _dots(steps, changes), self._count % PAIRS
        moved = dots > 0
        self._steps[k, rows], self._changes[k, rows] = steps, changes
        self._inverses[k, rows] = np.divide(1, dots, out=np.zeros(len(rows)), where=moved)
        self._scales[rows[moved]] = dots[moved] / _dots(changes[moved], changes[moved])
        self._count += 1

    def times_inverse_hessian(self, gradient: Float64, rows: npt.NDArray[np.intp]) -> Float64:
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


def _steep(gradient: Float64, totals: Float64, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Return whether each of the documents `rows` (K,) has not converged, by the norm of its gradient."""
    steep: npt.NDArray[np.bool_] = np.linalg.norm(gradient[rows], axis=1) > TOLERANCE * totals[rows]
    return steep


def _dots(left: Float64, right: Float64) -> Float64:
    """Return the scalar products of the rows of two matrices (K, D)."""
    products: Float64 = np.einsum("ij,ij->i", left, right)
    return products


def _objective(
    d: Float64, totals: Float64, observed: Float64, constant: Float64, layer: SoftmaxLayer, ridge: float
) -> tuple[Float64, Float64]:
    """Return f (B,) and its gradient (B, D)."""
    x = layer.logits(d)
    largest = x.max(axis=1, keepdims=True)
    x -= largest
    np.exp(x, out=x)
    sums = x.sum(axis=1, dtype=np.float64)
    normaliser = largest[:, 0].astype(np.float64) + np.log(sums)
    expected = (x @ layer.linear.T).astype(np.float64) / sums[:, None]
    f = totals * normaliser - np.einsum("ij,ij->i", observed, d) - constant + ridge / 2 * (d**2).sum(axis=1)
    return f, totals[:, None] * expected - observed + ridge * d
