"""One-versus-all training with full rank: dual coordinate ascent on tiles of labels.

Labels are independent. docs/derivation.md, section 8, has the objectives of "ova" (sigmoids) and "squared".
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastembed._base.arrays import CACHE_LINE, aligned_zeros
from fastembed._base.threads import Pool
from fastembed._base.validation import is_true
from fastembed._kernels import features as kernels
from fastembed._kernels import kernels_for
from fastembed.classifier.calibration import Calibration, calibrated
from fastembed.classifier.features import PIECE_DOCUMENTS, document_frequencies
from fastembed.classifier.likelihood import Likelihood
from fastembed.classifier.options import ClassifierOptions

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

LANES = CACHE_LINE // np.dtype(np.float32).itemsize  # labels of a tile
NEVER = -1e4  # the logit of padding labels in a tile of sigmoids
MOST_LEFT_OUT = 1000  # largest number of documents left out for calibration; at most a tenth of all
EPOCHS_OF_ALL = 5  # smallest number of epochs on all documents, unless the first epochs end earlier
RUN = 16  # documents that are visited consecutively
PIECE_FEATURES = 1 << 14  # features whose weights one task writes
MOST_COST = 1e30  # products with larger costs may overflow float32


@dataclass
class Documents:
    """Documents to learn from.

    Attributes
    ----------
    bags : csr_array (N, F)
        None after they have been released, since they take much memory.
    labels : csr_array (N, L)
        1 where a document has a label.
    weights : ndarray of float64 (N,)
        The weights of the losses.
    """

    bags: Any
    labels: Any
    weights: npt.NDArray[np.float64]

    @cached_property
    def frequencies(self) -> Int64:
        """The document frequency of each feature (F,)."""
        return document_frequencies(self.bags)

    def give_up_bags(self) -> None:
        """Release the bags, which take much memory."""
        self.bags = None
        vars(self).pop("frequencies", None)

    def divided(self, held: npt.NDArray[np.bool_]) -> tuple[Documents, tuple[Any, Any]]:
        """Return the documents that are not held out, and the bags and labels of the held-out ones."""
        rest = Documents(self.bags[~held], self.labels[~held], self.weights[~held])
        return rest, (self.bags[held], self.labels[held])


@dataclass(frozen=True)
class SplitBags:
    """Bags, divided into features with a row of weights, and features of a single document, which need no row.

    Attributes
    ----------
    rows : ndarray of int32 (F,)
        The row of each feature, or -1.
    size : int
        The number of rows, at least one.
    owners : ndarray of int32 (F,)
        The document of each feature without a row; otherwise -1.
    amounts : ndarray of float32 (F,)
        The weight of each such feature in its bag.
    starts, ids, weights : ndarray of int64 (N + 1,), int32 and float32
        The bags of the features with a row, as CSR.
    squares, own : ndarray of float32 (N,)
        The squared lengths of the bags, of all features, and of those without a row.
    """

    rows: Int32
    size: int
    owners: Int32
    amounts: Float32
    starts: Int64
    ids: Int32
    weights: Float32
    squares: Float32
    own: Float32

    @classmethod
    def of(cls, documents: Documents, order: Int64, every: bool, pool: Pool) -> SplitBags:
        """Return the bags of documents in this order; if `every`, all features get a row."""
        bags, count = csr_parts(documents.bags), len(order)
        shared = np.full(documents.bags.shape[1], every) | (documents.frequencies > 1)
        rows = np.cumsum(shared, dtype=np.int32) - np.int32(1)
        size = int(rows.max(initial=-1)) + 1
        rows[~shared] = -1
        sizes = np.empty(documents.bags.shape[0], np.int64)
        pieces = [(first, min(first + PIECE_DOCUMENTS, count)) for first in range(0, count, PIECE_DOCUMENTS)]
        pool.run(lambda k: kernels.shared_entries(*bags[:2], rows, *pieces[k], sizes), len(pieces))
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes[order])])
        entries = max(1, int(starts[-1]))  # at least one, since the kernels take the address
        split = cls(
            rows=rows,
            size=max(1, size),
            owners=np.full(len(rows), -1, np.int32),
            amounts=np.zeros(len(rows), np.float32),
            starts=starts,
            ids=np.empty(entries, np.int32),
            weights=np.empty(entries, np.float32),
            squares=np.empty(count, np.float32),
            own=np.empty(count, np.float32),
        )

        def write(k: int) -> None:
            kernels.split_bags(
                *bags, order, rows, *pieces[k], starts, split.ids, split.weights, split.squares, split.own,
                split.owners, split.amounts,
            )  # fmt: skip

        pool.run(write, len(pieces))
        return split

    def parts_of(self, bags: Any) -> tuple[Any, Any]:
        """Return bags (n, F) over the rows, (n, S), and over the documents of the other features, (n, N); float32."""
        data = bags.data.astype(np.float32)
        amounts = data * self.amounts[bags.indices]
        return _placed(bags, data, self.rows, self.size), _placed(bags, amounts, self.owners, len(self.own))


def _placed(bags: Any, data: Float32, places: Int32, columns: int) -> Any:
    """Return bags (n, F) with these data and feature f in column places[f]; it is left out if that is -1."""
    at = places[bags.indices]
    kept = at >= 0
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])[bags.indptr]
    return sparse.csr_array((data[kept], at[kept], ends), shape=(bags.shape[0], columns))


def csr_parts(bags: Any) -> tuple[Int64, Int32, npt.NDArray[np.float64]]:
    """Return non-empty arrays indptr, indices and data for the kernels."""
    indptr = bags.indptr.astype(np.int64, copy=False)
    if not bags.nnz:
        return indptr, np.zeros(1, np.int32), np.zeros(1)
    return indptr, bags.indices.astype(np.int32, copy=False), bags.data.astype(np.float64, copy=False)


def clipped_shares(sums: npt.NDArray[np.float64], total: float) -> npt.NDArray[np.float64]:
    """Return the share sums / total of documents per label (L,), clipped to above 0 and below 1.

    A label of no document gets half the share of the rarest label, and a label of all documents 1 minus that.

    Examples
    --------
    >>> clipped_shares(np.array([1.0, 3.0, 4.0, 0.0]), 4.0)
    array([0.25 , 0.75 , 0.875, 0.125])
    """
    half = min(float(sums[sums > 0].min(initial=total)), total / 2) / 2
    shares: npt.NDArray[np.float64] = np.clip(sums, half, total - half) / total
    return shares


def first_scores(shares: npt.NDArray[np.float64], loss: str) -> Float32:
    """Return the bias (L,): the constant score that minimises the loss of each label, given its share."""
    bias: Float32 = (shares if loss == "squared" else np.log(shares / (1 - shares))).astype(np.float32)
    return bias


class Ascent:
    """The weights of the labels, and the epochs of dual coordinate ascent that optimise them.

    Parameters
    ----------
    documents : Documents
    order : ndarray of int64 (N,)
        The order of the documents in memory, by which they are numbered here.
    bias : ndarray of float32 (L,)
    loss : {"squared", "ova"}
    l2 : float
    pool : Pool
    start : ndarray of float32 (F, L), optional
        The weights that L2 regularisation pulls towards; by default 0.

    Raises
    ------
    ValueError
        If the weight of a document is too large relative to `l2`.
    """

    def __init__(
        self,
        documents: Documents,
        order: Int64,
        bias: Float32,
        loss: str,
        l2: float,
        pool: Pool,
        start: Float32 | None = None,
    ) -> None:
        count, labels = len(order), len(bias)
        tiles = -(-labels // LANES)
        self._split = split = SplitBags.of(documents, order, start is not None, pool)
        of_documents = documents.labels[order]
        with np.errstate(over="ignore"):
            costs = documents.weights[order] / l2
        if costs.max() > MOST_COST:
            heaviest = documents.weights.max()
            raise ValueError(f"the weight of a document is {heaviest:g} and l2={l2:g}: at most {MOST_COST:g} times l2")
        self._arrays: tuple[Any, ...] = (
            split.starts,
            split.ids,
            split.weights,
            split.squares,
            split.own,
            of_documents.indptr.astype(np.int64),
            of_documents.indices.astype(np.int32, copy=False),
            costs.astype(np.float32),
        )
        self._pool, self._l2 = pool, l2
        self._bias = np.full((tiles, LANES), 0 if loss == "squared" else NEVER, np.float32)
        self._bias.ravel()[:labels] = bias
        self._rows = aligned_zeros((tiles, split.size, LANES), "float32")
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
        """Make one step per document; return the mean loss before the steps, and the mean change |d| of the duals."""
        sums = np.empty((len(self._rows), 2))
        state = self._bias, self._rows, self._dual

        def run(tile: int) -> None:
            self._kernel(*self._arrays, order, *state, tile, self._squared, sums)

        self._pool.run(run, len(self._rows))
        loss, distance = sums.sum(axis=0) * self._l2 / self._total
        return float(loss), float(distance)

    def end(self) -> None:
        """Release the bags, which take much memory, after the last epoch."""
        self._arrays = ()
        self._split = replace(self._split, ids=np.empty(0, np.int32), weights=np.empty(0, np.float32))

    def weights(self) -> Float32:
        """Return the weights (F, L)."""
        split = self._split
        found = np.empty((len(split.rows), self._labels), np.float32)

        def run(k: int) -> None:
            first = k * PIECE_FEATURES
            last = min(len(found), first + PIECE_FEATURES)
            kernels.joined_rows(split.rows, split.owners, split.amounts, self._rows, self._dual, first, last, found)

        self._pool.run(run, -(-len(found) // PIECE_FEATURES))
        return found

    def scores(self, bags: Any) -> Float32:
        """Return the scores (N, L) of bags (N, F)."""
        found = np.empty((bags.shape[0], self._labels), np.float32)
        shared, alone = self._split.parts_of(bags)

        def run(tile: int) -> None:
            part = found[:, tile * LANES : (tile + 1) * LANES]
            scores = shared @ self._rows[tile] + alone @ self._dual[tile] + self._bias[tile]
            part[:] = scores[:, : part.shape[1]]

        self._pool.run(run, len(self._rows))
        return found


def runs_in_random_order(rng: np.random.Generator, first: int, last: int) -> Int64:
    """Return the numbers from first to last in runs of random order, so that memory is read in larger pieces."""
    starts = np.arange(first, last, RUN)
    rng.shuffle(starts)
    order = (starts[:, None] + np.arange(RUN)).ravel()
    return order[order < last]


def of_known_features(bags: Any, frequencies: Int64, among: bool) -> Any:
    """Return bags with known features only, scaled to unit length.

    Unknown features have the frequency (F,) 0; or, if the bags are `among` the counted ones, none besides their own.
    """
    found = bags.copy()
    _, places, here = np.unique(found.indices, return_inverse=True, return_counts=True)
    found.data *= frequencies[found.indices] > (here[places] if among else 0)
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
        Documents, whose bags are released once they have been sorted.
    bias : ndarray of float32 (L,)
        The fixed bias.
    likelihood : Likelihood
    options : ClassifierOptions
    pool : Pool
    validation : (csr_array, csr_array) or None
        Bags and labels of held-out documents, for early stopping.
    on_epoch_end : callable
        Training ends if it returns True.
    start : ndarray of float32 (F, L), optional
        The initial weights, which L2 regularisation pulls towards; by default 0.
    known : Calibration, optional
        The calibration of these weights.

    Notes
    -----
    Without `validation` the first epochs leave some documents out, on which the scores are calibrated. The last epochs
    use all documents; the minimum does not depend on the first epochs. Both phases end when an epoch changes little.
    """
    rng, count = np.random.default_rng(options.seed), len(documents.weights)
    random = rng.permutation(count)  # the order of documents in memory, with those left out first
    ascent = Ascent(documents, random, bias, options.loss, options.strength, pool, start)
    without = 0 if validation is not None else max(0, options.most_epochs - EPOCHS_OF_ALL)
    left_out = random[: min(MOST_LEFT_OUT, count // 10) if without else 0]
    bags, labels = (documents.bags[left_out], documents.labels[left_out]) if validation is None else validation
    bags = of_known_features(bags, documents.frequencies, validation is None)
    documents.give_up_bags()
    weights = documents.weights[left_out] if validation is None else np.ones(bags.shape[0])

    def calibrate() -> Calibration:
        return calibrated(ascent.scores(bags), labels, weights, likelihood, known)

    history: list[dict[str, float]] = []
    calibration, best, best_epoch, lowest = None, None, 0, math.inf
    for epoch in range(1, options.most_epochs + 1):
        began = time.perf_counter()
        first = len(left_out) if epoch <= without else 0
        loss, change = ascent.epoch(runs_in_random_order(rng, first, count))
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
    ascent.end()
    return ascent.weights(), calibration or calibrate(), history
