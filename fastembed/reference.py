"""The twin of every kernel in plain NumPy: short, in float64 throughout, and the reference of the tests.

It follows ``docs/derivation.md`` line by line, in the same symbols, and saves no memory. Nothing here works in place:
the parameters may have any real dtype, and the results are new float64 arrays. Matrices have the mathematical shapes:
the linear layer is (D, V), and the target ``y`` of an example a dense row (V,).
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from itertools import takewhile

import numpy as np
import numpy.typing as npt

__all__ = [
    "block_loss",
    "block_residual",
    "cooccurrence",
    "fit_counts",
    "gather",
    "gradient",
    "linear_gradient",
    "logits_gradient",
    "logsumexp",
    "loss",
    "matvec",
    "merge",
    "momentum_adagrad",
    "ova_epoch",
    "ova_gradient",
    "ova_loss",
    "positive_pmi",
    "scatter",
    "sigmoid",
    "softmax",
    "statistics",
    "step",
    "target_row",
    "tile",
    "train",
]


def __dir__() -> list[str]:
    return __all__


Array = npt.NDArray[np.float64]
Real = npt.ArrayLike
Ids = npt.NDArray[np.integer]

# ---------------------------------------------------------------- one example


def matvec(h: Real, linear: Real, bias: Real | None = None) -> Array:
    """Return the logits x = h @ linear + bias, (V,), or (B, V) for the rows of a block.

    Examples
    --------
    >>> matvec([1.0, 2.0], [[1.0, 0.0], [0.0, 3.0]], [0.0, 1.0])
    array([1., 7.])
    """
    product = np.asarray(h, np.float64) @ np.asarray(linear, np.float64)
    return product if bias is None else product + np.asarray(bias, np.float64)


def logsumexp(x: Array) -> Array:
    """Return max(x) + log(sum(exp(x - max(x)))) along the last axis.

    Examples
    --------
    >>> logsumexp(np.array([[1e4, 1e4], [0.0, -np.inf]])) - [1e4 + np.log(2), 0]
    array([0., 0.])
    """
    largest = x.max(axis=-1, keepdims=True)
    return np.asarray((largest + np.log(np.exp(x - largest).sum(axis=-1, keepdims=True)))[..., 0])


def softmax(x: Array) -> Array:
    """Return exp(x - logsumexp(x)) along the last axis.

    Examples
    --------
    >>> softmax(np.log([1.0, 3.0]))
    array([0.25, 0.75])
    """
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def target_row(target: int | Real, outputs: int) -> Array:
    """Return y, (V,): one-hot for an id; weights are returned as they are.

    Examples
    --------
    >>> target_row(1, 3)
    array([0., 1., 0.])
    """
    if np.ndim(target) == 0:
        return np.asarray(np.arange(outputs) == target, np.float64)
    return np.asarray(target, np.float64)


def loss(x: Array, y: Array, scale: float) -> float:
    """Return -scale * y @ log softmax(x), without the logarithm of a probability that may be 0.

    Examples
    --------
    >>> loss(np.array([0.0, 1e4]), np.array([1.0, 0.0]), scale=0.5)
    5000.0
    """
    return float(scale * (y.sum() * logsumexp(x) - y @ x))


def logits_gradient(x: Array, y: Array, scale: float) -> Array:
    """Return dL/dx = scale * (sum(y) * softmax(x) - y), (V,).

    Examples
    --------
    >>> logits_gradient(np.zeros(2), np.array([0.0, 1.0]), scale=1)
    array([ 0.5, -0.5])
    """
    return np.asarray(scale * (y.sum() * softmax(x) - y))


def gradient(h: Real, linear: Real, y: Array, scale: float, bias: Real | None = None) -> Array:
    """Return dL/dh = linear @ dL/dx, (D,).

    Examples
    --------
    >>> gradient([0.0], [[1.0, -1.0]], np.array([1.0, 0.0]), scale=1)
    array([-1.])
    """
    return np.asarray(linear, np.float64) @ logits_gradient(matvec(h, linear, bias), y, scale)


def linear_gradient(h: Real, linear: Real, y: Array, scale: float, bias: Real | None = None) -> Array:
    """Return dL/dW = outer(h, dL/dx), (D, V).

    Examples
    --------
    >>> linear_gradient([2.0], [[0.0, 0.0]], np.array([1.0, 0.0]), scale=1)
    array([[-1.,  1.]])
    """
    return np.outer(np.asarray(h, np.float64), logits_gradient(matvec(h, linear, bias), y, scale))


def statistics(x: Array, y: Array) -> Array:
    """Return (max, sum of exp(x - max), y @ x) of the logits of one shard: what the merge needs of it.

    Examples
    --------
    >>> statistics(np.array([0.0, 0.0]), np.array([0.0, 3.0]))
    array([0., 2., 0.])
    """
    return np.array([x.max(), np.exp(x - x.max()).sum(), y @ x])


def merge(partials: Array, total_target: float, scale: float) -> tuple[float, float]:
    """Return (loss, logsumexp) from the statistics (S, 3) of the shards.

    Examples
    --------
    >>> merge(np.array([[0.0, 1.0, 0.0], [0.0, 3.0, 0.0]]), total_target=1, scale=1) == (np.log(4), np.log(4))
    True
    """
    maxima, totals, target_logits = partials.T
    log_normaliser = float(logsumexp(maxima + np.log(totals)))
    return scale * (total_target * log_normaliser - float(target_logits.sum())), log_normaliser


def train(
    embedding: Real,
    linear: Real,
    inputs: Sequence[int],
    targets: Sequence[int | Real] | Array,
    *,
    bias: Real | None = None,
    scale: float | None = None,
    learning_rate: float = 1.0,
    update_linear: bool = False,
) -> tuple[Array, Array, Array]:
    """Make one step per example, in the order of the examples.

    Parameters
    ----------
    embedding, linear, bias : array_like (V_in, D), (D, V), (V,)
    inputs, targets : sequence (N,)
        A target is an id or a row of weights (V,).
    scale : float, optional
        1 / V by default.
    learning_rate, update_linear
        As for `fastembed.Trainer.step`.

    Returns
    -------
    losses : ndarray (N,)
        The loss of each example before its step.
    embedding, linear : ndarray (V_in, D), (D, V)

    Examples
    --------
    >>> losses, embedding, linear = train([[0.0]], [[1.0, -1.0]], inputs=[0], targets=[1], scale=1)
    >>> losses, embedding, linear
    (array([0.69314718]), array([[-1.]]), array([[ 1., -1.]]))
    """
    embedding, linear = np.array(embedding, np.float64), np.array(linear, np.float64)
    outputs = linear.shape[1]
    scale = 1 / outputs if scale is None else scale
    losses = np.empty(len(inputs))
    for n, (i, target) in enumerate(zip(inputs, targets, strict=True)):
        h, y = embedding[i].copy(), target_row(target, outputs)
        losses[n] = loss(matvec(h, linear, bias), y, scale)
        embedding[i] -= learning_rate * gradient(h, linear, y, scale, bias)
        if update_linear:
            linear -= learning_rate * linear_gradient(h, linear, y, scale, bias)
    return losses, embedding, linear


def step(
    embedding: Real,
    linear: Real,
    i: int,
    target: int | Real,
    *,
    bias: Real | None = None,
    scale: float | None = None,
    learning_rate: float = 1.0,
    update_linear: bool = False,
) -> tuple[float, Array, Array]:
    """Return (loss before the step, embedding, linear) after one step; see `train`.

    Examples
    --------
    >>> step([[0.0]], [[1.0, -1.0]], 0, 1, scale=1)[1]
    array([[-1.]])
    """
    losses, new_embedding, new_linear = train(
        embedding,
        linear,
        [i],
        [target],
        bias=bias,
        scale=scale,
        learning_rate=learning_rate,
        update_linear=update_linear,
    )
    return float(losses[0]), new_embedding, new_linear


# ---------------------------------------------------------------- a block of rows against their counts


def block_loss(x: Array, counts: Array) -> float:
    """Return the negative log-likelihood of the counts (B, V) under the logits (B, V), in nats.

    Examples
    --------
    >>> round(block_loss(np.zeros((1, 2)), np.array([[1.0, 2.0]])), 6)  # 3 log 2
    2.079442
    """
    return float(counts.sum(axis=1) @ logsumexp(x) - (counts * x).sum())


def block_residual(x: Array, counts: Array) -> Array:
    """Return softmax(x) - counts / (sum of each row), (B, V).

    Examples
    --------
    >>> block_residual(np.zeros((1, 2)), np.array([[1.0, 3.0]]))
    array([[ 0.25, -0.25]])
    """
    return np.asarray(softmax(x) - counts / counts.sum(axis=1, keepdims=True))


def gather(bags: Real, embedding: Real) -> Array:
    """Return h_n = sum_f X_nf E_f for the weighted bags X (B, V_in), (B, D).

    Examples
    --------
    >>> gather([[1.0, 0.0, -2.0]], [[1.0, 1.0], [5.0, 5.0], [0.0, 3.0]])
    array([[ 1., -5.]])
    """
    return np.asarray(bags, np.float64) @ np.asarray(embedding, np.float64)


def scatter(bags: Real, h_gradients: Real) -> Array:
    """Return g_f = sum_n X_nf dL/dh_n, the gradients of the rows of the embedding, (V_in, D).

    Examples
    --------
    >>> scatter([[1.0, 0.0, -2.0], [1.0, 0.0, 0.0]], [[3.0], [4.0]])
    array([[ 7.],
           [ 0.],
           [-6.]])
    """
    return np.asarray(bags, np.float64).T @ np.asarray(h_gradients, np.float64)


def momentum_adagrad(
    parameters: Real, direction: Array, gradients: Array, squares: Array, rate: float | Array
) -> tuple[Array, Array]:
    """Return (parameters, squares) after a row-wise Adagrad step: S += g @ g, row -= rate * direction / sqrt(S).

    The gradients and the direction are (R, D); without momentum they are the same. `rate` may be an array (R,).

    Examples
    --------
    >>> momentum_adagrad([[1.0]], np.array([[1.0]]), np.array([[3.0]]), np.array([0.0]), rate=3)
    (array([[0.]]), array([9.]))
    """
    squares = squares + (gradients**2).sum(axis=1)
    rates = np.divide(rate, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0)
    return np.asarray(parameters, np.float64) - rates[:, None] * direction, squares


def _epoch_order(visited: Ids, groups: int, rng: np.random.Generator) -> Ids:
    """Return the rows that have counts in a random order, in which two groups at a time are shuffled."""
    drawn = [g for g in rng.permutation(groups) if np.any(visited % groups == g)]
    pairs = [drawn[first : first + 2] for first in range(0, len(drawn), 2)]
    rows_of = [np.concatenate([visited[visited % groups == g] for g in pair]) for pair in pairs]
    return np.concatenate([rng.permutation(rows) for rows in rows_of])


def fit_counts(
    embedding: Real,
    linear: Real,
    counts: Array,
    *,
    bags: Array | None = None,
    bias: Real | None = None,
    epochs: int = 5,
    learning_rate: float = 0.7,
    linear_learning_rate: float = 1.0,
    block_size: int = 256,
    frozen_rows: Sequence[int] = (),
    row_rates: Real = 1.0,
    input_weights: Array | None = None,
    squares: tuple[Array, Array] | None = None,
    seed: int | np.random.Generator | None = 0,
    momentum: float = 0.9,
    weight_exponent: float = 0.75,
    final_rate: float = 0.1,
    group_rows: int = 4096,
) -> tuple[list[float], Array, Array]:
    """Fit all inputs to their counts, as `fastembed.Trainer.fit_counts` does with the same block size.

    Parameters
    ----------
    embedding, linear, bias : array_like (V_in, D), (D, V), (V,)
    counts : ndarray (N, V)
        Dense here.
    bags : ndarray (N, V_in), optional
        Dense here; the identity by default.
    epochs, learning_rate, linear_learning_rate, block_size, frozen_rows, row_rates, input_weights, seed
        As for `fastembed.Trainer.fit_counts`.
    squares : ndarray (V_in,), ndarray (V,), optional
        The sums of Adagrad for the rows of the embedding and of the linear layer, updated in place; zeros by default.
    momentum, weight_exponent, final_rate : float
        Constants of the method; see docs/derivation.md, section 5.
    group_rows : int
        The most rows of a group; an epoch takes the groups in a random order, and the rows of two at a time.

    Returns
    -------
    nlls : list of float
        The mean negative log-likelihood per pair of each epoch.
    embedding, linear : ndarray (V_in, D), (D, V)

    Examples
    --------
    >>> nlls, embedding, linear = fit_counts(np.eye(2), np.eye(2), np.array([[0.0, 4.0], [1.0, 0.0]]), epochs=30)
    >>> nlls[0] > 1 > nlls[-1]
    True
    """
    embedding, linear = np.array(embedding, np.float64), np.array(linear, np.float64)
    bags = np.eye(len(embedding)) if bags is None else np.asarray(bags, np.float64)
    rates = np.broadcast_to(np.asarray(row_rates, np.float64), len(embedding)).copy()
    rates[list(frozen_rows)] = 0
    row_squares, column_squares = squares or (np.zeros(len(embedding)), np.zeros(linear.shape[1]))
    mean_gradient = np.zeros_like(linear)
    totals = counts.sum(axis=1)
    visited = np.flatnonzero(totals)
    alpha = totals**weight_exponent if input_weights is None else input_weights / np.max(input_weights[visited])
    alpha = alpha / alpha[visited].mean()
    bag_weights = np.ones(len(counts)) if input_weights is None else alpha
    rng = np.random.default_rng(seed)
    blocks, groups = -(-len(visited) // block_size), -(-len(counts) // group_rows)
    nlls = []
    for epoch in range(epochs):
        order = _epoch_order(visited, groups, rng)
        nll = 0.0
        for block in range(blocks):
            rows = order[block * block_size : (block + 1) * block_size]
            t = epoch * blocks + block
            decay = 1 - (1 - final_rate) * t / (blocks * epochs)
            h = gather(bags[rows], embedding)
            x = matvec(h, linear, bias)
            nll += block_loss(x, counts[rows])
            residual = block_residual(x, counts[rows])
            h_gradient, w_gradient = residual @ linear.T, h.T @ (alpha[rows, None] * residual)
            named = np.flatnonzero(bags[rows].any(axis=0) & (rates > 0))
            g = scatter(bags[rows], bag_weights[rows, None] * h_gradient)[named]
            embedding[named], row_squares[named] = momentum_adagrad(
                embedding[named], g, g, row_squares[named], decay * learning_rate * rates[named]
            )
            mean_gradient = momentum * mean_gradient + (1 - momentum) * w_gradient
            direction = mean_gradient / (1 - momentum ** (t + 1))
            vectors, column_squares[:] = momentum_adagrad(
                linear.T, direction.T, w_gradient.T, column_squares, decay * linear_learning_rate
            )
            linear = vectors.T
        nlls.append(nll / float(totals.sum()))
    return nlls, embedding, linear


# ---------------------------------------------------------------- sparse matrices and counting


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)).

    Examples
    --------
    >>> sigmoid(np.array([0.0, np.log(3), -1e4]))
    array([0.5 , 0.75, 0.  ])
    """
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, e) / (1 + e))


def ova_loss(x: Array, y: Array) -> float:
    """Return the sum of log(1 + exp(x)) - y x: the cross-entropy of one sigmoid per label.

    Examples
    --------
    >>> round(ova_loss(np.array([0.0, 1e4]), np.array([1.0, 0.0])) - 1e4, 4)
    0.6931
    """
    return float((np.logaddexp(0, x) - y * x).sum())


def ova_gradient(x: Array, y: Array) -> Array:
    """Return dL/dx = sigmoid(x) - y of `ova_loss`.

    Examples
    --------
    >>> ova_gradient(np.array([0.0, 0.0]), np.array([1.0, 0.0]))
    array([-0.5,  0.5])
    """
    return sigmoid(x) - y


def ova_epoch(
    bags: Real,
    targets: Real,
    costs: Real,
    bias: Real,
    rows: Real,
    dual: Real,
    order: Iterable[int],
    squared: bool = False,
) -> tuple[Array, Array, float, float]:
    """Return (rows, dual) after an epoch of dual coordinate ascent, the losses before the steps, how far dual moved.

    Parameters
    ----------
    bags : array_like (N, F)
    targets : array_like (N, L)
        1 where a document has a label, else 0.
    costs : array_like (N,)
        C_i; the loss of each document is multiplied by it.
    bias : array_like (L,)
    rows : array_like (F, L)
        The weights: the sum of dual_i x_i and of what they started from.
    dual : array_like (N, L)
    order : iterable of int
        The documents, in the order of their steps.
    squared : bool
        Whether the loss is (y - x)^2 / 2, with x in place of sigmoid(x).

    Examples
    --------
    At the minimum the residual C (y - sigmoid(x)) is the dual, and no step moves anything:

    >>> rows, dual = [[0.0]], [[0.0]]
    >>> for _ in range(20):
    ...     rows, dual, loss, moved = ova_epoch([[1.0]], [[1.0]], [2.0], [0.0], rows, dual, [0])
    >>> round(moved, 12), bool(np.isclose(rows[0, 0], 2 * (1 - sigmoid(rows[0, 0]))))
    (0.0, True)
    """
    x, y, c = (np.asarray(a, np.float64) for a in (bags, targets, costs))
    w, a, b = np.array(rows, np.float64), np.array(dual, np.float64), np.asarray(bias, np.float64)
    loss = distance = 0.0
    for i in order:
        square, m = x[i] @ x[i], x[i] @ w + b
        if squared:
            loss += c[i] * float(((y[i] - m) ** 2).sum()) / 2
            change = c[i] * (y[i] - (m + square * (c[i] * y[i] - a[i])) / (1 + square * c[i])) - a[i]
        else:
            loss += c[i] * ova_loss(m, y[i])
            z = m
            for step in range(4):
                p = sigmoid(z)
                z = z - (z - m - square * (c[i] * (y[i] - p) - a[i])) / (1 + square * c[i] * p * (1 - p))
                if step == 0:
                    z = np.where(z * m > 0, z, 0)
            change = c[i] * (y[i] - sigmoid(z)) - a[i]
        a[i] += change
        w += np.outer(x[i], change)
        distance += float(np.abs(change).sum())
    return w, a, loss, distance


def positive_pmi(counts: Real, exponent: float = 0.75) -> Array:
    """Return max(0, log(N_wc sum_k(n_k^a) / (n_w n_c^a))) where N_wc > 0, and 0 elsewhere, (V_in, V).

    Examples
    --------
    >>> positive_pmi([[4, 0], [0, 4]]).round(4)  # log 2 on the diagonal
    array([[0.6931, 0.    ],
           [0.    , 0.6931]])
    """
    n = np.asarray(counts, np.float64)
    shares = n.sum(axis=0) ** exponent / np.sum(n.sum(axis=0) ** exponent)
    expected = np.outer(n.sum(axis=1), shares)
    return np.log(np.maximum(np.divide(n, expected, out=np.ones_like(n), where=n > 0), 1))


def cooccurrence(
    ids: Ids,
    vocabulary_size: int,
    before: Sequence[float],
    after: Sequence[float],
    contexts: int | None = None,
    directed: bool = False,
) -> Array:
    """Count weighted windows, N[w, c] = sum over positions of w and distances d of weight_d [c is at distance d].

    Parameters
    ----------
    ids : ndarray of int, shape (T,)
        The text; -1 separates sequences.
    vocabulary_size : int
        V; ids are below it.
    before, after : sequence of float
        The weights at the distances 1, 2, ... on each side.
    contexts : int, optional
        K; only ids below it are contexts. By default all ids are.
    directed : bool
        Count the contexts before a word and those after it in separate columns.

    Returns
    -------
    ndarray of float64, shape (V, K), or (V, 2 K) if `directed`

    Examples
    --------
    >>> cooccurrence(np.array([0, 1, 1, -1, 0]), 2, before=[1.0, 0.5], after=[1.0, 0.5])
    array([[0. , 1.5],
           [1.5, 2. ]])
    """
    k = vocabulary_size if contexts is None else contexts
    counts = np.zeros((vocabulary_size, 2 * k if directed else k))
    sequence = np.cumsum(ids < 0)

    def add(centre: Ids, context: Ids, d: int, weight: float, shift: int) -> None:
        pair = (centre >= 0) & (context >= 0) & (context < k) & (sequence[:-d] == sequence[d:])
        np.add.at(counts, (centre[pair], context[pair] + shift), weight)

    for d, weight in enumerate(before, 1):
        add(ids[d:], ids[:-d], d, weight, 0)
    for d, weight in enumerate(after, 1):
        add(ids[:-d], ids[d:], d, weight, k if directed else 0)
    return counts


def tile(counts: Array, first: int, last: int) -> tuple[Array, Ids, Ids]:
    """Return the tile of counts in the columns first to last - 1: values and columns by rows, and the rows' lengths.

    Parameters
    ----------
    counts : ndarray, shape (R, V)
    first, last : int

    Returns
    -------
    values : ndarray (n,)
    columns : ndarray of int (n,)
        From `first` on.
    lengths : ndarray of int (R,)

    Examples
    --------
    >>> tile(np.array([[1.0, 0.0, 2.0], [3.0, 4.0, 0.0]]), 1, 3)
    (array([2., 4.]), array([1, 0]), array([1, 1]))
    """
    part = counts[:, first:last]
    rows, columns = np.nonzero(part)
    return part[rows, columns], columns, np.bincount(rows, minlength=len(part))


# ---------------------------------------------------------------- text

BLANK, SPACE = r"[ \t\v\f\r]", r"[ \t\n\v\f\r]"
IDEOGRAPHS = re.compile("CJK (UNIFIED|COMPATIBILITY) IDEOGRAPH|IDEOGRAPHIC|HENTAIGANA|HIRAGANA|(HALFWIDTH )?KATAKANA")


@cache
def _characters(categories: str, ideographs: bool | None = None) -> str:
    """Return the ranges of characters of general categories: all, or only (all but) the ideographs among them."""
    found = []
    for point in range(sys.maxunicode + 1):
        category = unicodedata.category(c := chr(point))
        if category.startswith(tuple(categories.split())):
            ideograph = category[0] != "M" and IDEOGRAPHS.match(unicodedata.name(c, "")) is not None
            if ideographs in (None, ideograph):
                found.append(point)
    parts = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)
    return "".join(f"{chr(part[0])}-{chr(part[-1])}" for part in parts)


def words(text: str, keep_case: bool = False, digits: str = "keep") -> list[list[str]]:
    r"""Return the words of each line, as `Reading` describes them.

    Examples
    --------
    >>> words("It\u2019s 1984,\nnot '85.", digits="shape")
    [["it's", '0000'], ['not', '00']]
    """
    letter, ideograph = (f"[{_characters('L M N', kind)}]" for kind in (False, True))
    word = re.compile(f"{ideograph}[{_characters('M')}]*|({letter}+(?:['\u2019]{letter}+)*)")
    number = re.compile(f"(?!{ideograph})[{_characters('N')}][{_characters('N')}']*")
    lines = []
    for line in text.replace("\xad", "").split("\n"):
        tokens = [match[0].replace("\u2019", "'") for match in word.finditer(line)]
        if digits != "keep":
            shape = "" if digits == "drop" else "0"
            tokens = [re.sub("[^']", shape, t) if number.fullmatch(t) else t for t in tokens]
        lines.append([token if keep_case else token.lower() for token in tokens if token.strip("'")])
    return lines


def sequences(text: str, unit: str) -> list[str]:
    r"""Return the paragraphs, the sentences or the document of a wrapped text, as `Reading` describes them.

    Examples
    --------
    >>> sequences("This is an exam-\nple. It goes\n on.\n\nAnd on.", "sentence")
    ['This is an example.', 'It goes on.', 'And on.']
    """
    letter, capital = f"[{_characters('L M')}]", f"[{_characters('Lu Lt')}]"
    text = re.sub(f"(?<={letter})[-\u2010\xad]{BLANK}*\n{BLANK}*(?={letter})", "", text)
    parts = [text] if unit == "document" else re.split(f"\n{BLANK}*\n", text)
    parts = [re.sub(f"{SPACE}+", " ", part).strip(" ") for part in parts]
    if unit == "sentence":
        end = f"""(?<=[.!?])(["')\\]\u201d\u2019\xbb]*) (?=["'(\\[\u201c\u2018\xab\xbf\xa1]*{capital})"""
        parts = [sentence for part in parts for sentence in re.sub(end, r"\1\n", part).split("\n")]
    return [part for part in parts if part]


# ---------------------------------------------------------------- phrases


def neighbors(sequences: Iterable[Sequence[str]], common: Collection[str]) -> Counter[tuple[str, ...]]:
    """Count the neighbours that are not common, with the common tokens between them, up to two.

    Examples
    --------
    >>> neighbors([["bank", "of", "america", "now"]], {"of"})
    Counter({('bank', 'of', 'america'): 1, ('america', 'now'): 1})
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for tokens in sequences:
        for start, token in enumerate(tokens):
            end = start + 1 + len(list(takewhile(common.__contains__, tokens[start + 1 :])))
            if token not in common and end < len(tokens) and end - start <= 3:
                counts[tuple(tokens[start : end + 1])] += 1
    return counts


def join_phrases(tokens: Sequence[str], phrases: Iterable[Sequence[str]]) -> list[str]:
    """Join the longest phrase at each token, from left to right.

    Examples
    --------
    >>> join_phrases(["a", "b", "c", "b"], [("a", "b"), ("b", "c")])
    ['a_b', 'c', 'b']
    """
    known, joined, at = set(map(tuple, phrases)), [], 0
    while at < len(tokens):
        lengths = (len(phrase) for phrase in known if tuple(tokens[at : at + len(phrase)]) == phrase)
        end = at + max(lengths, default=1)
        joined.append("_".join(tokens[at:end]))
        at = end
    return joined


def ngrams(documents: Iterable[Sequence[str]], shortest: int, longest: int) -> list[list[tuple[str, ...]]]:
    """Return the n-grams of each document, of `shortest` to `longest` units.

    Examples
    --------
    >>> ngrams(["<at>"], 2, 3)
    [[('<', 'a'), ('<', 'a', 't'), ('a', 't'), ('a', 't', '>'), ('t', '>')]]
    """
    return [
        [
            tuple(document[first:last])
            for first in range(len(document))
            for last in range(first + shortest, min(first + longest, len(document)) + 1)
        ]
        for document in documents
    ]
