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

    def arrays(self, l2: float) -> tuple[Any, ...]:
        """Return the arrays of the kernel, with costs C = weight / l2."""
        data = self.bags.data.astype(np.float32)
        starts = self.bags.indptr.astype(np.int64)
        squares = np.zeros(len(self.weights), np.float32)
        some = np.diff(starts) > 0
        squares[some] = np.add.reduceat(data.astype(np.float64) ** 2, starts[:-1][some])
        return (
            starts,
            self.bags.indices.astype(np.int32, copy=False),
            data,
            squares,
            self.labels.indptr.astype(np.int64),
            self.labels.indices.astype(np.int32, copy=False),
            (self.weights / l2).astype(np.float32),
        )


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
        (count, features), labels = documents.bags.shape, len(bias)
        tiles = -(-labels // LANES)
        self._arrays, self._pool, self._l2 = documents.arrays(l2), pool, l2
        self._bias = np.full((tiles, LANES), 0 if loss == "squared" else NEVER, np.float32)
        self._bias.ravel()[:labels] = bias
        self._rows = aligned_zeros((tiles, features, LANES), "float32")
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
        starts, ids, weights, squares, label_starts, label_ids, costs = self._arrays

        def run(tile: int) -> None:
            self._kernel(
                starts, ids, weights, squares, label_starts, label_ids, costs, order, self._bias, self._rows,
                self._dual, tile, self._squared, sums,
            )  # fmt: skip

        self._pool.run(run, len(self._rows))
        loss, distance = sums.sum(axis=0) * self._l2 / self._total
        return float(loss), float(distance)

    def weights(self) -> Float32:
        """Return the weights (F, L)."""
        found = np.empty((self._rows.shape[1], self._labels), np.float32)
        for tile, rows in enumerate(self._rows):
            part = found[:, tile * LANES : (tile + 1) * LANES]
            part[:] = rows[:, : part.shape[1]]
        return found

    def scores(self, bags: Any) -> Float32:
        """Return the scores (N, L) of bags (N, F)."""
        found = np.empty((bags.shape[0], self._labels), np.float32)
        bags = bags.astype(np.float32)

        def run(tile: int) -> None:
            part = found[:, tile * LANES : (tile + 1) * LANES]
            part[:] = (bags @ self._rows[tile] + self._bias[tile])[:, : part.shape[1]]

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
