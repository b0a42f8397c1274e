"""Where the training of a classifier starts: from nothing, or from a fitted classifier."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import Float32, Float64
from fastembed._base.memory import check_free
from fastembed.classifier.calibration import Calibration, label_probabilities
from fastembed.classifier.data import Examples
from fastembed.classifier.features import Features
from fastembed.classifier.model import FittedClassifier
from fastembed.classifier.options import ClassifierOptions

POWER_STEPS = 2  # subspace iterations of `label_vectors`: each is two products with all bags, and more are more exact


class Earlier(NamedTuple):
    """What training goes on from: a fitted classifier, or by default nothing.

    Attributes
    ----------
    with_label : ndarray of float64 (L,)
        The number of earlier documents with each label.
    documents : int
        The number of earlier documents.
    places : ndarray of int64 (K,)
        The columns of the labels that the classifier knows.
    bias : ndarray of float32 (K,)
    calibration : Calibration or None
        Where the search for a calibration begins.
    parameters : (ndarray (F, D), ndarray (D, L) or None) or None
        E and W, with rows and columns for what is new.
    """

    with_label: Float64
    documents: int = 0
    places: npt.NDArray[np.intp] = np.arange(0)
    bias: Float32 = np.zeros(0, np.float32)
    calibration: Calibration | None = None
    parameters: tuple[Float32, Float32 | None] | None = None


def earlier_from(known: FittedClassifier, examples: Examples) -> Earlier:
    """Return what a classifier brings along to further examples."""
    labels = examples.labels
    places = np.searchsorted(labels.classes, known.classes)
    with_label = np.zeros(len(labels.classes))
    with_label[places] = (
        label_probabilities(known.prior.astype(np.float64)[None], known.independent)[0] * known.documents
    )
    calibration = known.calibration if known.several == labels.several else None  # a softmax has other numbers
    parameters = _grown_parameters(known, examples.features, places, len(labels.classes))
    return Earlier(with_label, known.documents, places, known.bias, calibration, parameters)


def _grown_parameters(
    known: FittedClassifier, features: Features, places: npt.NDArray[np.intp], labels: int
) -> tuple[Float32, Float32 | None]:
    """Return E and W of a fitted classifier for more features and labels; what is new is zero.

    `places` are the columns of its labels.
    """
    old = known.features.numbers_in(features)
    if known.linear is None:
        embedding = np.zeros((len(features), labels), np.float32)
        embedding[np.ix_(old, places)] = known.embedding
        return embedding, None
    embedding = np.zeros((len(features), known.embedding.shape[1]), np.float32)
    embedding[old] = known.embedding
    linear = np.zeros((len(known.linear), labels), np.float32)
    linear[:, places] = known.linear
    return embedding, linear


def first_parameters(
    features: Features, bags: Any, targets: Any, options: ClassifierOptions
) -> tuple[Float32, Float32 | None]:
    """Return E and W of a new classifier: E is zero.

    With dim=None, or at least as many dimensions as labels, W is the identity and fixed: the model has full rank.
    Otherwise W gives similar labels similar vectors.
    """
    labels = targets.shape[1]
    dim = labels if options.dim is None else min(options.dim, labels)
    check_memory(features, dim, labels)
    embedding = np.zeros((len(features), dim), np.float32)
    if dim == labels:
        return embedding, None
    return embedding, label_vectors(bags, targets, dim, np.random.default_rng(options.seed))


def label_vectors(bags: Any, targets: Any, dim: int, rng: np.random.Generator) -> Float32:
    """Return unit vectors (D, L) whose cosines approximate those of the mean bags of the labels.

    Let C (L, F) be the mean bags, scaled to unit length. The vectors are the leading left singular vectors of C times
    the singular values, scaled to unit length, from subspace iteration with a random start (Halko et al. 2011).
    """
    means = sparse.csr_array(targets.T @ bags)
    lengths = np.sqrt(np.asarray(means.multiply(means).sum(axis=1)).ravel())
    means = sparse.csr_array(sparse.diags_array(1 / np.maximum(lengths, 1e-30)) @ means).astype(np.float32)
    transposed = sparse.csr_array(means.T)
    basis = np.linalg.qr(rng.standard_normal((means.shape[0], dim)).astype(np.float32))[0]
    for _ in range(POWER_STEPS):
        basis = np.linalg.qr(means @ (transposed @ basis))[0]
    half = transposed @ basis  # (F, D): C^T Q, so that C C^T is about Q (half^T half) Q^T
    values, vectors = np.linalg.eigh(half.T @ half)
    rows = basis @ (vectors * np.sqrt(np.maximum(values, 0)))
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.ascontiguousarray(rows.T, np.float32)


def check_memory(features: Features, dim: int, labels: int, documents: int = 0) -> None:
    """Raise MemoryError if E (F, D) and dual variables of documents, and a copy of both, do not fit in memory."""
    size = (len(features) + documents) * dim * np.dtype(np.float32).itemsize
    what = f"training {labels:,} labels on {len(features):,} features"
    check_free(2 * size, what, "give loss='softmax' and a small dim, or a larger min_count")
