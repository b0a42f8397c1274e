"""Training of a `Classifier`, in the order of the data.

`read_examples` makes bags and labels of the documents (`data.py`); `earlier_from` takes along what a fitted classifier
knows (`start.py`). The loss "softmax" is trained by `train` (`trainer/fit.py`). The loss "squared" is trained by
`train_squares`, which leaves out parts of the documents in turn; their scores calibrate the classifier
(`calibration.py`). docs/derivation.md, section 8, has the objectives.

"squared" is trained by dual coordinate ascent: each document has a number per label, its dual variable, and a step
computes the duals of one document. A tile is 16 labels, whose weights for a feature fill a cache line.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from fastembed._base.arrays import Float32, Float64, Int64, aligned_zeros
from fastembed._base.validation import number_of, warn_user
from fastembed._kernels import features as kernels
from fastembed._kernels import kernels_for
from fastembed._kernels.cpu import CACHE_LINE
from fastembed.classifier.calibration import FIRST, Calibration, prior_logits
from fastembed.classifier.data import Examples, LabelledSource, balanced, mean_weights, read_examples
from fastembed.classifier.features import BAG_DOCUMENTS, label_shares, renumber_columns
from fastembed.classifier.model import FittedClassifier
from fastembed.classifier.options import ClassifierOptions
from fastembed.classifier.start import Earlier, check_memory, earlier_from, first_parameters
from fastembed.corpus.ledger import Ledger
from fastembed.trainer.data import FitOptions, check_data
from fastembed.trainer.fit import train
from fastembed.trainer.parameters import check_parameters
from fastembed.trainer.run import Run

BLOCK_DOCUMENTS = 64  # documents per step of "softmax": with more, a step is faster per document, but steps are fewer
LINEAR_RATE = 0.05  # learning rate on W: a larger rate learns faster, but may diverge
RATE = 3.0  # the default rate of E; `default_rate` lowers it for documents that are alike or heavy
STABLE = 6.0  # RATE times the largest eigenvalue of a block is at most this: docs/derivation.md, section 8
EIGENVALUE_STEPS = 10  # steps of the power method: each is two products with all bags, and more are more exact
ROUNDING = 1e-12  # a share of a label that is closer to 0 or 1 is 0 or 1
NOTHING = 0.99  # hardly anything is learned if the loss is above this share of the loss of the labels' shares
RARE = 1 / 3  # power of the "balanced" weights in the losses of "squared": docs/design.md

LANES = CACHE_LINE // np.dtype(np.float32).itemsize  # labels of a tile
MOST_LEFT_OUT = 1000  # largest number of documents left out at a time, at most a tenth of all: so that others suffice
ENOUGH = 1000  # documents left out in all parts together: more make the calibration more exact, and training longer
BIAS_SQUARE = 1 / 16  # of the constant feature whose weight is the bias: more hold the bias less, but add epochs
CATCH_UP = 3  # extra steps of each document that is no longer left out: they save epochs, in which all make a step
LEFT_OUT_TOL = 50  # the largest factor on tol while documents are left out: their scores may be less exact
LEFT_OUT_DIVISOR = 20  # the factor is at most the documents divided by this: few documents need a smaller tol
FLOOR = 1e-6  # smallest tolerance, as a share of the largest change of a score: float32 rounds
RUN = 16  # documents visited consecutively: longer runs read memory faster, but make the order less random
PIECE_FEATURES = 1 << 14  # features whose weights one task writes: smaller tasks divide better among threads
MOST_COST = 1e30  # a cost is the weight of a loss / l2; products with larger costs may overflow float32

_epoch = kernels_for("float32").squares_epoch


class Sizes(NamedTuple):
    """What `FitProgress` is told of a training; `epochs` is the largest number of epochs.

    Examples
    --------
    >>> print(Sizes(12_404, 250_000, 736, 20))
    12,404 documents, 250,000 features, 736 labels
    """

    documents: int
    features: int
    labels: int
    epochs: int

    def __str__(self) -> str:
        counts = (self.documents, "document"), (self.features, "feature"), (self.labels, "label")
        return ", ".join(number_of(*count) for count in counts)


def check_alike(known: FittedClassifier, options: ClassifierOptions) -> None:
    """Raise ValueError unless a fitted classifier can learn more with these options."""
    features = known.features
    learned = {
        "loss": "softmax" if known.calibration is None else "squared",
        "ngrams": len(features.grams) + 1,
        "chars": None if features.characters is None else features.characters.lengths,
        "weighting": features.weighting,
        "reading": features.reading,
        "dim": options.dim if known.linear is None else len(known.linear),  # full rank grows with the labels
    }
    for name, value in learned.items():
        if getattr(options, name) != value:
            raise ValueError(f"{name}={getattr(options, name)!r}, but the classifier learned with {value!r}: call fit")


class Learned(NamedTuple):
    """The part of a `FittedClassifier` that comes from training."""

    embedding: Float32
    linear: Float32 | None
    bias: Float32
    prior: Float32
    calibration: Calibration | None
    history: list[dict[str, float]]


def fitted(
    source: LabelledSource, options: ClassifierOptions, run: Run, known: FittedClassifier | None = None
) -> FittedClassifier:
    """Return the classifier learned from documents, and from a known classifier if there is one.

    Raises
    ------
    TypeError, ValueError, OSError, MemoryError
        As `Classifier.fit`.
    """
    ledger = Ledger(unit="document")
    if known is not None:
        check_alike(known, options)
    examples = read_examples(source, options, ledger, run, known)
    labels = examples.labels
    if run.progress is not None:
        run.progress.training(Sizes(len(examples.weights), len(examples.features), len(labels.classes), options.epochs))
    earlier = Earlier(np.zeros(len(labels.classes))) if known is None else earlier_from(known, examples)
    learn = _softmax if options.loss == "softmax" else _one_against_all
    learned = learn(examples, options, earlier, run)
    return FittedClassifier(
        features=examples.features,
        classes=labels.classes,
        several=labels.several,
        documents=len(examples.weights) + earlier.documents,
        label_counts=examples.label_counts,
        ledger=ledger,
        indicator=labels.indicator,
        settings=options.settings,
        **learned._asdict(),
    )


def _one_against_all(examples: Examples, options: ClassifierOptions, earlier: Earlier, run: Run) -> Learned:
    """Learn by the loss "squared"; E has a column per label, and W is the identity."""
    labels = examples.labels
    count = len(labels.classes)
    check_memory(examples.features, count, count, len(examples.weights))
    losses = examples.weights  # sigma rho in docs/derivation.md, section 8; the weights alone are sigma
    if options.class_weight is None:
        losses = losses * mean_weights(labels.matrix, balanced(examples.label_counts) ** RARE)
    weights = np.stack([examples.weights, losses])
    # Sums of each of the two weights, over earlier documents and these: of all, and of the documents with each label
    totals = weights.sum(axis=1) + earlier.documents
    with_label, loss_with_label = np.minimum(weights @ labels.matrix + earlier.with_label, totals[:, None])
    prior = prior_logits(with_label / (totals[0] if labels.several else with_label.sum()), labels.several)
    # The bias starts at the share of each label; a share of 0 or 1 moves inwards, by half the
    # smallest distance of another share from 0 or 1
    distances = np.minimum(loss_with_label, totals[1] - loss_with_label) / totals[1]
    half = distances[distances > ROUNDING].min(initial=0.5) / 2
    q = (loss_with_label / totals[1]).clip(half, 1 - half)
    bias = q.astype(np.float32)
    bias[earlier.places] = earlier.bias
    centre = Centre(bias, earlier.parameters and earlier.parameters[0], float(earlier.documents))
    embedding, bias, left_out, history = train_squares(examples, losses, centre, options, run)
    least = min(record["loss"] for record in history if not record["left_out"])
    _warn_of_nothing(least, (q * (1 - q) / 2).sum())
    first = earlier.calibration or FIRST[labels.several]
    calibrated = earlier.documents if earlier.calibration else 0
    scores, matrices, document_weights = zip(*left_out, strict=True)
    known = np.concatenate(scores), sparse.vstack(matrices, "csr"), np.concatenate(document_weights)
    calibration = first.updated(*known, prior, calibrated)
    return Learned(embedding, None, bias, prior, calibration, history)


# ---------------------------------------------------------------- the loss "squared"


class Centre(NamedTuple):
    """Where L2 regularisation pulls the weights of the labels.

    Attributes
    ----------
    bias : ndarray of float32 (L,)
    weights : ndarray of float32 (F, L) or None
        The weights of a fitted classifier; None is 0.
    curvature : float
        The second derivative, by the bias, of the losses of earlier documents, which hold the bias near its start.
    """

    bias: Float32
    weights: Float32 | None
    curvature: float


class Ascent:
    """The weights of the labels, and the epochs of dual coordinate ascent that optimise them.

    A feature of a single document needs no row of weights: its weights are the dual variables of the document, times
    the weight of the feature in the bag. Other features have a row, in tiles of labels (tiles, rows, LANES).

    Parameters
    ----------
    losses : ndarray of float64 (N,)
        The weights of the losses of the documents.
    centre : Centre
        Where training starts. If it has weights, all features have a row.

    Attributes
    ----------
    order : ndarray of int64 (N,)
        The random order of the documents in memory. Documents of weight 0 are last. All methods number documents
        by this order.
    count : int
        The number of documents with a weight above 0.
    history : list of dict
        The records of the epochs.

    Raises
    ------
    ValueError
        If the weight of a document is too large relative to `l2`.
    """

    def __init__(
        self, examples: Examples, losses: Float64, centre: Centre, options: ClassifierOptions, run: Run
    ) -> None:
        bias, start, l2 = centre.bias, centre.weights, options.l2
        self.history: list[dict[str, float]] = []
        self._run, self._most_epochs, self._ended, self._largest = run, options.epochs, False, 0.0
        self._rng = np.random.default_rng(options.seed)
        order = self._rng.permutation(len(losses))
        self.order = order = order[np.argsort(examples.weights[order] == 0, kind="stable")]
        self.count = int(np.count_nonzero(examples.weights))
        self._bias_square = BIAS_SQUARE / (1 + BIAS_SQUARE * centre.curvature / l2)
        self._pool, self._labels = run.pool, len(bias)
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
        """Divide the bags into features with a row and features of one document; if `every`, all features have a row.

        Return the bags of the features with a row (indptr, indices, data), and two squared lengths of each bag (N,): of
        all features and the bias, and of the features without a row.
        """
        bags, count = examples.bags, len(order)
        indptr, indices, data = bags.indptr.astype(np.int64), bags.indices.astype(np.int32, copy=False), bags.data
        if not bags.nnz:  # the kernels take the address of the first element
            indices, data = np.zeros(1, np.int32), np.zeros(1)
        shared = np.full(bags.shape[1], every) | (examples.frequencies > 1)
        self._rows = rows = np.cumsum(shared, dtype=np.int32) - np.int32(1)
        rows[~shared] = -1
        self._owners, self._amounts = np.full(len(rows), -1, np.int32), np.zeros(len(rows), np.float32)
        pieces = list(itertools.pairwise([*range(0, count, BAG_DOCUMENTS), count]))
        sizes = np.empty(count, np.int64)

        def measure(k: int) -> None:
            ends = indptr[pieces[k][0] : pieces[k][1] + 1]
            counts = np.cumsum(np.append(False, rows[indices[ends[0] : ends[-1]]] >= 0))
            sizes[slice(*pieces[k])] = np.diff(counts[ends - ends[0]])

        self._pool.run(measure, len(pieces))
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes[order])])
        ids, weights = np.empty(max(1, int(starts[-1])), np.int32), np.empty(max(1, int(starts[-1])), np.float32)
        squares, unshared = np.empty(count, np.float32), np.empty(count, np.float32)

        def split(k: int) -> None:
            kernels.split_bags(
                indptr, indices, data, order, rows, *pieces[k], starts, ids, weights, squares, unshared,
                self._owners, self._amounts,
            )  # fmt: skip

        self._pool.run(split, len(pieces))
        return starts, ids, weights, squares + np.float32(self._bias_square), unshared

    def converge(self, left_out: slice, first: Int64, tol: float) -> bool:
        """Make epochs until no step changes a score by more than `tol`; return False if the epochs run out first.

        Parameters
        ----------
        left_out : slice
            The documents that are left out: without a loss, their duals become 0 in the first epoch.
        first : ndarray of int64
            The documents that take the first steps.
        """
        for _ in range(self._most_epochs):
            starts = np.arange(0, self.count, RUN)  # of runs of documents: memory is read in larger pieces
            self._rng.shuffle(starts)
            order = (starts[:, None] + np.arange(RUN)).ravel()
            loss, change = self._epoch(np.concatenate([first, order[order < self.count]]), left_out)
            first, self._largest = first[:0], max(self._largest, change)
            sizes = {"epoch": len(self.history) + 1, "left_out": left_out.stop - left_out.start}
            self.history.append(sizes | {"loss": loss, "change": change})
            self._ended = self._ended or self._run.epoch_ended(self.history)
            if self._ended or change <= max(tol, FLOOR * self._largest):
                return True
        return False

    def _epoch(self, order: Int64, left_out: slice) -> tuple[float, float]:
        """Make a step per document of `order`; return the mean loss before it, and the largest change of a score."""
        sums, costs = np.empty((len(self._weights), 2)), self._costs.copy()
        costs[left_out] = 0

        def run(tile: int) -> None:
            weights = self._bias, self._weights, self._dual
            _epoch(*self._documents, costs, order, *weights, tile, self._bias_square, sums)

        self._pool.run(run, len(sums))
        return float(sums[:, 0].sum()) / max(float(costs[order].sum(dtype=np.float64)), 1e-300), float(sums[:, 1].max())

    def result(self) -> tuple[Float32, Float32]:
        """Return the weights (F, L) and the bias (L,)."""
        weights = np.empty((len(self._rows), self._labels), np.float32)

        def run(k: int) -> None:
            part = slice(k * PIECE_FEATURES, (k + 1) * PIECE_FEATURES)
            rows, owners, amounts = self._rows[part], self._owners[part], self._amounts[part]
            shared, alone = rows >= 0, owners >= 0
            for tile in range(len(self._weights)):
                joined = np.zeros((len(rows), LANES), np.float32)
                joined[shared] = self._weights[tile, rows[shared]]
                joined[alone] = amounts[alone, None] * self._dual[tile, owners[alone]]
                tile_weights = weights[part, tile * LANES : (tile + 1) * LANES]
                tile_weights[:] = joined[:, : tile_weights.shape[1]]

        self._pool.run(run, -(-len(weights) // PIECE_FEATURES))
        return weights, self._bias.ravel()[: self._labels].copy()

    def scores(self, bags: Any) -> Float32:
        """Return the scores (N, L) of bags (N, F)."""
        scores = np.empty((bags.shape[0], self._labels), np.float32)
        data = bags.data.astype(np.float32)
        shared = renumber_columns(bags, data, self._rows, self._weights.shape[1])
        alone = renumber_columns(bags, data * self._amounts[bags.indices], self._owners, self._dual.shape[1])

        def run(tile: int) -> None:
            part = scores[:, tile * LANES : (tile + 1) * LANES]
            tile_scores = shared @ self._weights[tile] + alone @ self._dual[tile] + self._bias[tile]
            part[:] = tile_scores[:, : part.shape[1]]

        self._pool.run(run, len(self._weights))
        return scores


def train_squares(
    examples: Examples, losses: Float64, centre: Centre, options: ClassifierOptions, run: Run
) -> tuple[Float32, Float32, list[tuple[Float32, Any, Float64]], list[dict[str, float]]]:
    """Train on all documents, then without each part of the documents in turn, each time from the last duals.

    The minimum does not depend on where training starts. Training ends when no step of an epoch changes a score by more
    than `tol`.

    Parameters
    ----------
    examples : Examples
        Loses its bags, frequencies and gains once they are sorted, since they take much memory.
    losses : ndarray of float64 (N,)
        The weights of the losses of the documents.
    centre : Centre
    options : ClassifierOptions
    run : Run
        If the callback ends training, each part that is left out has one more epoch.

    Returns
    -------
    weights : ndarray of float32 (F, L)
    bias : ndarray of float32 (L,)
    left_out : list of (scores, labels, weights)
        Per part: the scores of its documents by the weights trained without the part.
    history : list of dict
    """
    ascent = Ascent(examples, losses, centre, options, run)
    count = ascent.count
    size = max(1, min(MOST_LEFT_OUT, count // 10))
    parts = [slice(k, k + size) for k in range(0, min(max(ENOUGH, size), count) - size + 1, size)]
    left_out = examples.left_out([ascent.order[part] for part in parts])
    examples.bags = examples.gains = examples.frequencies = None
    nothing = np.arange(0)
    if not ascent.converge(slice(0, 0), nothing, options.tol):
        last = f"the last one still changed a score by {ascent.history[-1]['change']:.2g}, and tol={options.tol:g}"
        warn_user(f"training ended after epochs={options.epochs}, before it converged: {last}")
    solution = ascent.result()
    tol = options.tol * min(LEFT_OUT_TOL, count / LEFT_OUT_DIVISOR)
    scored, before = [], nothing
    for part, (bags, labels, weights) in zip(parts, left_out, strict=True):
        documents = np.arange(part.start, part.stop)
        ascent.converge(part, np.concatenate([np.tile(before, CATCH_UP), documents]), tol)
        scored.append((ascent.scores(bags), labels, weights))
        before = documents
    return *solution, scored, ascent.history


# ---------------------------------------------------------------- the loss "softmax"


def default_rate(bags: Any, weights: Float64) -> float:
    """Return the default learning rate of gradient descent on blocks of bags (N, F) with weights (N,).

    The curvature of the loss of a block, along any direction of E, is at most half the largest eigenvalue of
    ``X.T @ (alpha[:, None] * X)``. X has the bags of the block, and alpha the weights, divided by the mean of the
    weights above 0. The eigenvalue of a block is estimated as the block's share of the eigenvalue of all documents,
    plus the largest alpha.

    Examples
    --------
    >>> alike, distinct = np.ones((60, 1)), np.eye(60)
    >>> default_rate(alike, np.ones(60)), default_rate(distinct, np.ones(60))
    (0.1, 3.0)
    """
    alpha = weights / weights[weights > 0].mean()
    share, largest = min(1.0, BLOCK_DOCUMENTS / len(alpha)), 0.0
    vector = np.full(bags.shape[1], bags.shape[1] ** -0.5)
    # The power method: no entry is negative, so the first vector is not orthogonal to the eigenvector
    for _ in range(EIGENVALUE_STEPS):
        vector = bags.T @ (alpha * (bags @ vector))
        largest = float(np.linalg.norm(vector))
        vector /= largest or 1
    eigenvalue = share * largest + (alpha.max() if share < 1 else 0)
    return float(min(RATE, STABLE / max(eigenvalue, 1.0)))


def _softmax(examples: Examples, options: ClassifierOptions, earlier: Earlier, run: Run) -> Learned:
    """Learn by the loss "softmax": gradient descent on blocks of documents.

    The step of a row is proportional to its weight in the bag, as in the gradient of the loss, so that E stays in the
    span of the bags. At full rank W is the identity and stays so.
    """
    targets = label_shares(examples.labels.matrix)
    targets.data *= np.repeat(examples.weights, np.diff(targets.indptr))
    sums = np.asarray(targets.sum(axis=0)).ravel() + earlier.with_label
    prior = prior_logits(sums / sums.sum(), False)
    embedding, linear = earlier.parameters or first_parameters(examples.features, examples.bags, targets, options)
    w = np.eye(len(prior), dtype=np.float32) if linear is None else linear
    parameters = check_parameters(embedding, w, prior)
    data = replace(check_data(parameters, targets, examples.bags, run.pool), input_weights=examples.weights)
    fit_options = FitOptions(
        optimizer="sgd",
        epochs=options.epochs,
        learning_rate=options.learning_rate or default_rate(examples.bags, examples.weights),
        linear_learning_rate=0.0 if linear is None else LINEAR_RATE,
        l2=options.l2,
        block_size=BLOCK_DOCUMENTS,
        seed=options.seed,
    )
    history = train(parameters, data, fit_options, run)
    entropy = -float(targets.sum(axis=0) @ prior.astype(np.float64)) / targets.sum()
    if len(history) > 1:  # the nll of each block is computed before its step
        _warn_of_nothing(history[-1]["nll"], entropy)
    trained = None if linear is None else np.ascontiguousarray(parameters.linear)
    return Learned(parameters.embedding, trained, prior, prior, None, history)


def _warn_of_nothing(loss: float, share_loss: float) -> None:
    """Warn if the loss is hardly below the loss of the labels' shares, which use no features."""
    if loss > NOTHING * share_loss:
        what = f"the loss is {loss:.4g}, and that of the labels' shares {share_loss:.4g}"
        warn_user(f"hardly anything was learned: {what}; change l2 or learning_rate")
