"""The loss "squared" with full rank: dual coordinate ascent on tiles of labels, and documents left out in turn.

Labels are independent. docs/derivation.md, section 8, has the objective.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fastembed._base.arrays import CACHE_LINE, Float32, Float64, Int64, aligned_zeros
from fastembed._base.threads import Pool
from fastembed._base.validation import warn_user
from fastembed._kernels import features as kernels
from fastembed._kernels import kernels_for
from fastembed.classifier.features import BAG_DOCUMENTS, placed
from fastembed.classifier.labels import Examples
from fastembed.classifier.options import ClassifierOptions

LANES = CACHE_LINE // np.dtype(np.float32).itemsize  # labels of a tile
MOST_LEFT_OUT = 1000  # largest number of documents left out at a time for calibration; at most a tenth of all
ENOUGH = 1000  # documents that are left out, at one time or in turn
BIAS_SQUARE = 1 / 16  # of the feature of the bias
CATCH_UP = 3  # steps of each document that was left out, before others have one
LEFT_OUT_TOL = 50  # their scores need be less exact, unless there are few documents, of which each moves the others:
LEFT_OUT_SHARE = 20  # then by the number of documents over this
FLOOR = 1e-6  # smallest tolerance, per largest step of an epoch: float32 rounds
RUN = 16  # documents that are visited consecutively
PIECE_FEATURES = 1 << 14  # features whose weights one task writes
MOST_COST = 1e30  # products with larger costs may overflow float32

_epoch = kernels_for("float32").squares_epoch


class Ascent:
    """The weights of the labels, and the epochs of dual coordinate ascent that optimise them.

    A feature of a single document needs no row of weights: its weights are those of the document's dual variables,
    times its own weight in the bag. Other features have a row, in tiles of labels (tiles, rows, LANES).

    Parameters
    ----------
    losses : ndarray of float64 (N,)
        The weights of the losses of the documents.
    order : ndarray of int64 (N,)
        The order of the documents in memory, by which they are numbered here.
    bias : ndarray of float32 (L,)
        The first bias, towards which L2 regularisation pulls it.
    start : ndarray of float32 (F, L), optional
        The weights towards which L2 regularisation pulls; by default 0. All features have a row then.
    curvature : float
        The second derivative of the losses of earlier documents by the bias, which hold it near the first one.

    Raises
    ------
    ValueError
        If the weight of a document is too large relative to `l2`.
    """

    def __init__(
        self,
        examples: Examples,
        losses: Float64,
        order: Int64,
        bias: Float32,
        l2: float,
        pool: Pool,
        start: Float32 | None,
        curvature: float,
    ) -> None:
        self._bias_square = BIAS_SQUARE / (1 + BIAS_SQUARE * curvature / l2)
        self._pool, self._labels = pool, len(bias)
        heaviest = float(examples.weights.max())
        if heaviest > MOST_COST * l2:
            what = f"the weight of a document is {heaviest:g} and l2={l2:g}"
            raise ValueError(f"{what}: at most {MOST_COST:g} times l2")
        self._costs = (losses[order] / l2).astype(np.float32)
        labels = examples.labels.matrix[order]
        self._documents: tuple[Any, ...] = (
            *self._split_bags(examples, order, start is not None),
            labels.indptr.astype(np.int64),
            labels.indices.astype(np.int32, copy=False),
        )
        tiles = -(-self._labels // LANES)
        self._bias = np.zeros((tiles, LANES), np.float32)
        self._bias.ravel()[: self._labels] = bias
        self._weights = aligned_zeros((tiles, max(1, int(self._rows.max(initial=-1)) + 1), LANES), "float32")
        if start is not None:
            for tile in range(tiles):
                part = start[:, tile * LANES : (tile + 1) * LANES]
                self._weights[tile, : len(part), : part.shape[1]] = part
        self._dual = aligned_zeros((tiles, len(order), LANES), "float32")

    def _split_bags(self, examples: Examples, order: Int64, every: bool) -> tuple[Any, ...]:
        """Divide the bags into features with a row, and those of one document, unless `every` feature gets a row.

        Return the bags of the features with a row, as indptr, indices and data, and the squared lengths of the bags
        (N,), of all features and the bias, and of the features without a row.
        """
        bags, count = examples.bags, len(order)
        indptr, indices, data = bags.indptr.astype(np.int64), bags.indices.astype(np.int32, copy=False), bags.data
        if not bags.nnz:  # the kernels take the addresses
            indices, data = np.zeros(1, np.int32), np.zeros(1)
        shared = np.full(bags.shape[1], every) | (examples.frequencies > 1)
        self._rows = rows = np.cumsum(shared, dtype=np.int32) - np.int32(1)
        rows[~shared] = -1
        self._owners, self._amounts = np.full(len(rows), -1, np.int32), np.zeros(len(rows), np.float32)
        pieces = list(itertools.pairwise([*range(0, count, BAG_DOCUMENTS), count]))
        sizes = np.empty(count, np.int64)
        self._pool.run(lambda k: kernels.shared_entries(indptr, indices, rows, *pieces[k], sizes), len(pieces))
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes[order])])
        ids, weights = np.empty(max(1, int(starts[-1])), np.int32), np.empty(max(1, int(starts[-1])), np.float32)
        squares, own = np.empty(count, np.float32), np.empty(count, np.float32)

        def split(k: int) -> None:
            kernels.split_bags(
                indptr, indices, data, order, rows, *pieces[k], starts, ids, weights, squares, own,
                self._owners, self._amounts,
            )  # fmt: skip

        self._pool.run(split, len(pieces))
        return starts, ids, weights, squares + np.float32(self._bias_square), own

    def epoch(self, order: Int64, left_out: slice) -> tuple[float, float]:
        """Make a step per document of `order`; return the mean loss before it, and the largest change of a score.

        The documents `left_out` have no loss. Their duals become 0 in the first epoch without them.
        """
        sums, costs = np.empty((len(self._weights), 2)), self._costs.copy()
        costs[left_out] = 0

        def run(tile: int) -> None:
            weights = self._bias, self._weights, self._dual
            _epoch(*self._documents, costs, order, *weights, tile, self._bias_square, sums)

        self._pool.run(run, len(sums))
        return float(sums[:, 0].sum()) / max(float(costs[order].sum(dtype=np.float64)), 1e-300), float(sums[:, 1].max())

    def result(self) -> tuple[Float32, Float32]:
        """Return the weights (F, L) and the bias (L,)."""
        found = np.empty((len(self._rows), self._labels), np.float32)

        def run(k: int) -> None:
            first, last = k * PIECE_FEATURES, min(len(found), (k + 1) * PIECE_FEATURES)
            kernels.joined_rows(self._rows, self._owners, self._amounts, self._weights, self._dual, first, last, found)

        self._pool.run(run, -(-len(found) // PIECE_FEATURES))
        return found, self._bias.ravel()[: self._labels].copy()

    def scores(self, bags: Any) -> Float32:
        """Return the scores (N, L) of bags (N, F)."""
        found = np.empty((bags.shape[0], self._labels), np.float32)
        data = bags.data.astype(np.float32)
        shared = placed(bags, data, self._rows, self._weights.shape[1])
        alone = placed(bags, data * self._amounts[bags.indices], self._owners, self._dual.shape[1])

        def run(tile: int) -> None:
            part = found[:, tile * LANES : (tile + 1) * LANES]
            scores = shared @ self._weights[tile] + alone @ self._dual[tile] + self._bias[tile]
            part[:] = scores[:, : part.shape[1]]

        self._pool.run(run, len(self._weights))
        return found


def train_squares(
    examples: Examples,
    losses: Float64,
    bias: Float32,
    curvature: float,
    start: Float32 | None,
    options: ClassifierOptions,
    pool: Pool,
    on_epoch_end: Callable[[dict[str, float]], bool] | None,
) -> tuple[Float32, Float32, list[tuple[Float32, Any, Float64]], list[dict[str, float]]]:
    """Train on all documents; then without each part of them, from the duals that there are.

    The minimum does not depend on where training starts. It ends when no step of an epoch changes a score by more than
    `tol`.

    Parameters
    ----------
    examples : Examples
        Their bags, frequencies and gains are released once they have been sorted.
    losses : ndarray of float64 (N,)
        The weights of the losses of the documents.
    bias : ndarray of float32 (L,)
        The initial bias, which L2 regularisation pulls towards.
    curvature, start
        As for :class:`Ascent`.
    on_epoch_end : callable, optional
        Training ends if it returns True: without each part left out, it makes one more epoch.

    Returns
    -------
    weights : ndarray of float32 (F, L)
    bias : ndarray of float32 (L,)
    left_out : list of (scores, labels, weights)
        Of the documents of each part, by the weights trained without it.
    history : list of dict
    """
    rng = np.random.default_rng(options.seed)
    random = rng.permutation(len(examples.weights))  # the order of documents in memory
    random = random[np.argsort(examples.weights[random] == 0, kind="stable")]  # without a weight: never visited
    count = int(np.count_nonzero(examples.weights))
    ascent = Ascent(examples, losses, random, bias, options.l2, pool, start, curvature)
    size = max(1, min(MOST_LEFT_OUT, count // 10))
    parts = [slice(k, k + size) for k in range(0, min(max(ENOUGH, size), count) - size + 1, size)]
    left_out = examples.left_out([random[part] for part in parts])
    examples.bags = examples.gains = examples.frequencies = None
    history: list[dict[str, float]] = []
    scored: list[tuple[Float32, Any, Float64]] = []
    largest, ended, before = 0.0, False, np.arange(0)
    for number, part in enumerate([slice(0, 0), *parts]):
        these = np.arange(part.start, part.stop)
        first = np.concatenate([np.tile(before, CATCH_UP), these])  # documents that take the first steps
        tolerance = options.tol * (min(LEFT_OUT_TOL, count / LEFT_OUT_SHARE) if number else 1)
        for _ in range(options.epochs):
            began = time.perf_counter()
            starts = np.arange(0, count, RUN)  # of runs of documents, so that memory is read in larger pieces
            rng.shuffle(starts)
            order = (starts[:, None] + np.arange(RUN)).ravel()
            loss, change = ascent.epoch(np.concatenate([first, order[order < count]]), part)
            first, largest = first[:0], max(largest, change)
            record = {"epoch": len(history) + 1, "left_out": len(these), "loss": loss, "change": change}
            history.append(record | {"seconds": time.perf_counter() - began})
            ended = ended or (on_epoch_end is not None and on_epoch_end(dict(history[-1])))
            if ended or change <= max(tolerance, FLOOR * largest):
                break
        else:
            if not number:
                last = f"the last one still changed a score by {change:.2g}, and tol={options.tol:g}"
                warn_user(f"training ended after epochs={options.epochs}, before it converged: {last}")
        if number:
            bags, labels, weights = left_out[number - 1]
            scored.append((ascent.scores(bags), labels, weights))
        else:
            found = ascent.result()
        before = these
    return *found, scored, history
