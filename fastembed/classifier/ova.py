"""Training of each label against all others, of full rank: dual coordinate ascent on tiles of labels.

Labels do not meet. docs/derivation.md, section 8, has the objectives, of sigmoids ("ova") and of squares ("squared").
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import CACHE_LINE, aligned_zeros
from fastembed._base.threads import Pool
from fastembed._base.validation import is_true
from fastembed._kernels import kernels_for
from fastembed.classifier.calibration import Calibration, calibrated
from fastembed.classifier.likelihood import Likelihood
from fastembed.classifier.options import ClassifierOptions

Float32 = npt.NDArray[np.float32]

LANES = CACHE_LINE // np.dtype(np.float32).itemsize  # labels of a tile
NEVER = -1e4  # the logit of what only fills a tile of sigmoids
MOST_LEFT_OUT = 1000  # documents; at most a tenth
EPOCHS_OF_ALL = 5  # at least, if the first ones do not end earlier


@dataclass(frozen=True)
class Documents:
    """Documents as the kernel takes them.

    Attributes
    ----------
    bags : csr_array (N, F)
    labels : csr_array (N, L)
        1 where a document has a label.
    weights : ndarray of float64 (N,)
        What the losses are multiplied by.
    """

    bags: Any
    labels: Any
    weights: npt.NDArray[np.float64]


@dataclass(frozen=True)
class SplitFeatures:
    """Features of several documents, which have a row of weights each, and those of one, which need none.

    Attributes
    ----------
    shared : ndarray of int64 (S,)
        Features that have a row.
    places : ndarray of int32 (F,)
        The row of each feature, or -1.
    owners : csr_array (F, N)
        The weights in the bags, of the other features alone.
    """

    shared: npt.NDArray[np.int64]
    places: npt.NDArray[np.int32]
    owners: Any

    @classmethod
    def of(cls, bags: Any, every: bool) -> SplitFeatures:
        """Return the features of bags (N, F), of which all get a row if `every` does."""
        frequencies = np.bincount(bags.indices, minlength=bags.shape[1])
        some = np.ones(bags.shape[1], bool) if every else frequencies > 1
        shared = np.flatnonzero(some)
        places = np.full(bags.shape[1], -1, np.int32)
        places[shared] = np.arange(len(shared))
        alone = ~some[bags.indices]
        rows = np.repeat(np.arange(bags.shape[0]), np.diff(bags.indptr))
        owners = sparse.csr_array(
            (bags.data[alone].astype(np.float32), (bags.indices[alone], rows[alone])), shape=bags.shape[::-1]
        )
        return cls(shared, places, owners)

    def rows_of(self, bags: Any) -> Any:
        """Return bags (n, S) of the features that have a row, float32."""
        places = self.places[bags.indices]
        kept = places >= 0
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])[bags.indptr]
        data = bags.data[kept].astype(np.float32)
        return sparse.csr_array((data, places[kept], ends), shape=(bags.shape[0], max(1, len(self.shared))))


def squared_lengths(bags: Any) -> npt.NDArray[np.float64]:
    """Return |x|^2 of each bag (N,)."""
    rows = np.repeat(np.arange(bags.shape[0]), np.diff(bags.indptr))
    squares: npt.NDArray[np.float64] = np.bincount(
        rows, bags.data.astype(np.float64) ** 2, minlength=bags.shape[0]
    ).astype(np.float64, copy=False)
    return squares


def clipped_shares(sums: npt.NDArray[np.float64], total: float) -> npt.NDArray[np.float64]:
    """Return the share sums / total of the documents that have each label (L,), above 0 and below 1.

    A label that no document has, or every one, counts as if half of the rarest label's documents did, or did not.

    Examples
    --------
    >>> clipped_shares(np.array([1.0, 3.0, 4.0, 0.0]), 4.0)
    array([0.25 , 0.75 , 0.875, 0.125])
    """
    half = min(float(sums[sums > 0].min(initial=total)), total / 2) / 2
    shares: npt.NDArray[np.float64] = np.clip(sums, half, total - half) / total
    return shares


def first_scores(shares: npt.NDArray[np.float64], loss: str) -> Float32:
    """Return the bias (L,): the score that minimises the loss of a label by its share alone."""
    bias: Float32 = (shares if loss == "squared" else np.log(shares / (1 - shares))).astype(np.float32)
    return bias


class Ascent:
    """The weights of the labels, and the epochs that find them.

    Parameters
    ----------
    documents : Documents
    bias : ndarray of float32 (L,)
    loss : {"squared", "ova"}
    l2 : float
    pool : Pool
    start : ndarray of float32 (F, L), optional
        The weights that the squared distance is from; by default 0.
    """

    def __init__(
        self, documents: Documents, bias: Float32, loss: str, l2: float, pool: Pool, start: Float32 | None = None
    ) -> None:
        count, labels = documents.bags.shape[0], len(bias)
        tiles = -(-labels // LANES)
        self._split = SplitFeatures.of(documents.bags, start is not None)
        bags = self._split.rows_of(documents.bags)
        squares = squared_lengths(documents.bags)
        self._arrays = (
            bags.indptr.astype(np.int64),
            bags.indices.astype(np.int32) if bags.nnz else np.zeros(1, np.int32),  # whose address is taken
            bags.data if bags.nnz else np.zeros(1, np.float32),
            squares.astype(np.float32),
            (squares - squared_lengths(bags)).astype(np.float32),
            documents.labels.indptr.astype(np.int64),
            documents.labels.indices.astype(np.int32, copy=False),
            (documents.weights / l2).astype(np.float32),
        )
        self._pool, self._l2 = pool, l2
        self._bias = np.full((tiles, LANES), 0 if loss == "squared" else NEVER, np.float32)
        self._bias.ravel()[:labels] = bias
        self._rows = aligned_zeros((tiles, bags.shape[1], LANES), "float32")
        if start is not None:
            for tile in range(tiles):
                part = start[:, tile * LANES : (tile + 1) * LANES]
                self._rows[tile, : len(part), : part.shape[1]] = part
        self._dual = aligned_zeros((tiles, count, LANES), "float32")
        self._labels = labels
        self._squared = loss == "squared"
        self._kernel = kernels_for("float32").ova_epoch
        self._total = float(documents.weights.sum())

    def epoch(self, order: npt.NDArray[np.int64]) -> tuple[float, float]:
        """Make one step for each document; return the mean loss before the steps, and the mean |d| of the duals."""
        sums = np.empty((len(self._rows), 2))
        state = self._bias, self._rows, self._dual

        def run(tile: int) -> None:
            self._kernel(*self._arrays, order, *state, tile, self._squared, sums)

        self._pool.run(run, len(self._rows))
        loss, distance = sums.sum(axis=0) * self._l2 / self._total
        return float(loss), float(distance)

    def weights(self) -> Float32:
        """Return the weights (F, L)."""
        owners, shared = self._split.owners, self._split.shared
        found = np.zeros((owners.shape[0], self._labels), np.float32)
        alone = np.flatnonzero(np.diff(owners.indptr))

        def run(tile: int) -> None:
            part = found[:, tile * LANES : (tile + 1) * LANES]
            part[shared] = self._rows[tile][: len(shared), : part.shape[1]]
            part[alone] = owners.data[:, None] * self._dual[tile][owners.indices, : part.shape[1]]

        self._pool.run(run, len(self._rows))
        return found

    def scores(self, bags: Any) -> Float32:
        """Return the scores (N, L) of bags (N, F)."""
        found = np.empty((bags.shape[0], self._labels), np.float32)
        shared, alone = self._split.rows_of(bags), bags.astype(np.float32) @ self._split.owners

        def run(tile: int) -> None:
            part = found[:, tile * LANES : (tile + 1) * LANES]
            scores = shared @ self._rows[tile] + alone @ self._dual[tile] + self._bias[tile]
            part[:] = scores[:, : part.shape[1]]

        self._pool.run(run, len(self._rows))
        return found


def of_known_features(bags: Any, others: Any) -> Any:
    """Return bags of the features that are in others, scaled to the unit length that such documents have."""
    known = np.bincount(others.indices, minlength=bags.shape[1]) > 0
    found = bags.copy()
    found.data *= known[found.indices]
    lengths = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
    found.data /= np.repeat(np.where(lengths > 0, lengths, 1), np.diff(found.indptr))
    return found


def train_ova(
    documents: Documents,
    bias: Float32,
    likelihood: Likelihood,
    options: ClassifierOptions,
    pool: Pool,
    validation: tuple[Any, Any] | None,
    on_epoch_end: Callable[[dict[str, float]], object],
    start: Float32 | None = None,
    known: Calibration | None = None,
) -> tuple[Float32, Calibration, list[dict[str, float]]]:
    """Return the weights (F, L), the calibration of the scores, and the records of the epochs.

    Parameters
    ----------
    documents : Documents
    bias : ndarray of float32 (L,)
        It stays.
    likelihood : Likelihood
    options : ClassifierOptions
    pool : Pool
    validation : (csr_array, csr_array) or None
        Bags and labels of held-out documents, for early stopping.
    on_epoch_end : callable
        Ends training by returning True.
    start : ndarray of float32 (F, L), optional
        Where the weights start, and what L2 is the distance from; by default 0.
    known : Calibration, optional
        Of these.

    Notes
    -----
    Without `validation` the first epochs leave documents out, by which the scores are calibrated. The last ones take
    all; the minimum does not depend on what came first. Both end when an epoch has changed little.
    """
    ascent = Ascent(documents, bias, options.loss, options.strength, pool, start)
    rng, count = np.random.default_rng(options.seed), len(documents.weights)
    without = 0 if validation is not None else max(0, options.most_epochs - EPOCHS_OF_ALL)
    left_out = rng.permutation(count)[: min(MOST_LEFT_OUT, count // 10) if without else 0]
    bags, labels = (documents.bags[left_out], documents.labels[left_out]) if validation is None else validation
    others = documents.bags if validation is not None else documents.bags[np.delete(np.arange(count), left_out)]
    bags = of_known_features(bags, others)
    weights = documents.weights[left_out] if validation is None else np.ones(bags.shape[0])

    def calibrate() -> Calibration:
        return calibrated(ascent.scores(bags), labels, weights, likelihood, known)

    history: list[dict[str, float]] = []
    calibration, best, best_epoch, lowest = None, None, 0, math.inf
    for epoch in range(1, options.most_epochs + 1):
        began = time.perf_counter()
        order = rng.permutation(count)
        loss, change = ascent.epoch(order[~np.isin(order, left_out)] if epoch <= without else order)
        record = {"epoch": epoch, "loss": loss, "change": change}
        still = change <= options.tol * history[0]["change"] if history else change == 0
        stop = still and epoch > without
        if epoch <= without and (still or epoch == without):
            without = epoch
            calibration = calibrate()
        if validation is not None:
            calibration = calibrate()
            logits = calibration.logits(ascent.scores(bags))
            record["validation_nll"] = float(likelihood.nll(logits, labels).mean())
            if record["validation_nll"] < lowest:
                best, best_epoch, lowest = (ascent.weights(), calibration), epoch, record["validation_nll"]
            stop = stop or epoch - best_epoch >= options.n_iter_no_change
        history.append(record | {"seconds": time.perf_counter() - began})
        if is_true(on_epoch_end(dict(history[-1]))) or stop:
            break
    if best is not None:
        return *best, [record | {"kept": record["epoch"] == best_epoch} for record in history]
    return ascent.weights(), calibration or calibrate(), history
