"""Documents as vectors that predict their words: exact PV-DBOW with the linear layer fixed.

A document is the vector d that minimises

    f(d) = sum_c n_c (logsumexp(d W + b) - (d W + b)_c) + ridge / 2 |d|^2

where n_c is how often word c is in it: PV-DBOW of Le and Mikolov (2014), with the whole softmax in place of samples of
it. f is strictly convex, so there is one answer, whatever the start and the order of the words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.blas import single_threaded_blas
from fastembed._base.threads import Pool
from fastembed._base.validation import check_choice
from fastembed.corpus.documents import Documents
from fastembed.corpus.reading import Reading
from fastembed.skipgram.fitted import FittedModel
from fastembed.skipgram.means import mean_vectors, sif_vectors, token_bags

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

METHODS = ("mean", "sif", "fit")
RIDGE = 1.0
BLOCK_LOGITS = 1 << 22  # numbers in memory at a time for each thread
MOST_BLOCK = 256  # documents
MOST_STEPS = 50
MOST_HALVINGS = 30
TOLERANCE = 1e-3  # of the length of the gradient, as a share of the number of words


@dataclass(frozen=True)
class SoftmaxLayer:
    """A linear layer and its bias, which stay.

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

    def covariance(self) -> Float64:
        """Return the covariance (D, D) of the output vectors under softmax(b): the Hessian of f at 0, for one word."""
        w = self.linear.astype(np.float64)
        x = self.logits(np.zeros((1, len(w))))[0].astype(np.float64)
        p = np.exp(x - x.max())
        p /= p.sum()
        mean = w @ p
        covariance: Float64 = (w * p) @ w.T - np.outer(mean, mean)
        return covariance


def fit_vectors(counts: Any, layer: SoftmaxLayer, ridge: float, pool: Pool) -> Float32:
    """Return the vectors of documents, (N, D).

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
    found = np.empty((counts.shape[0], len(layer.linear)), np.float32)

    def task(k: int) -> None:
        part = slice(cuts[k], min(cuts[k] + size, counts.shape[0]))
        found[part] = _block(counts[part], layer, ridge, np.maximum(values, 0), basis)

    with single_threaded_blas():  # so that the bits do not depend on the number of its threads
        values, basis = np.linalg.eigh(layer.covariance())
        pool.run(task, len(cuts))
    return found


def _block(n: Any, layer: SoftmaxLayer, ridge: float, values: Float64, basis: Float64) -> Float64:
    """Return the vectors of a block: steps by the curvature at 0, each halved until f falls enough (Armijo)."""
    totals = np.asarray(n.sum(axis=1), np.float64).ravel()
    observed = np.asarray(n @ layer.linear.T.astype(np.float64))  # sum_c n_c w_c
    constant = np.zeros(len(totals)) if layer.bias is None else np.asarray(n @ layer.bias.astype(np.float64)).ravel()
    d = np.zeros((len(totals), len(layer.linear)))
    inverse = 1 / (totals[:, None] * values + ridge)  # of the Hessian at 0, in the basis of its eigenvectors
    f, gradient = _objective(d, totals, observed, constant, layer, ridge)
    active = np.flatnonzero(totals > 0)
    for _ in range(MOST_STEPS):
        lengths = np.linalg.norm(gradient[active], axis=1)
        active = active[lengths > TOLERANCE * totals[active]]
        if not len(active):
            break
        direction = -((gradient[active] @ basis) * inverse[active]) @ basis.T
        slope = np.einsum("ij,ij->i", direction, gradient[active])
        step, waiting = np.ones(len(active)), np.arange(len(active))
        for _ in range(MOST_HALVINGS):
            rows = active[waiting]
            tried = d[rows] + step[waiting, None] * direction[waiting]
            value, slopes = _objective(tried, totals[rows], observed[rows], constant[rows], layer, ridge)
            good = value <= f[rows] + 0.1 * step[waiting] * slope[waiting]
            d[rows[good]], f[rows[good]], gradient[rows[good]] = tried[good], value[good], slopes[good]
            waiting = waiting[~good]
            step[waiting] /= 2
            if not len(waiting):
                break
        active = np.delete(active, waiting)  # no step lowers f: what is left is rounding
    return d


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


def document_vectors(
    model: FittedModel,
    documents: Documents,
    reading: Reading | None,
    drops: Callable[[str], bool],
    method: str,
    pool: Pool,
) -> npt.NDArray[Any]:
    """Return vectors of documents, (N, D), float32, by one of `METHODS`; see `SkipGram.transform`.

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
    if model.directed:  # a word of the document is as often before as behind
        contexts = sparse.hstack([contexts, contexts], format="csr") * 0.5
    return fit_vectors(contexts, SoftmaxLayer(model.trainer.linear, model.trainer.bias), RIDGE, pool)
