"""Training of a recommender: from the items of users to the arrays that score all items for any user.

W is trained by `Trainer.fit_counts`, with one row of E per user; then E is thrown away, so that a user in the data and
a new one with the same items have the same row (`scoring.py`). B is learned beside it (`item_to_item.py`), and how much
each of the two counts is chosen by hidden items of users who are kept away from a first training (`strengths.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from fastembed._base.arrays import Float32, column_blocks, row_ranges
from fastembed._base.progress import bar
from fastembed._base.threads import Pool, matrix_product, single_threaded_blas
from fastembed._base.validation import is_true
from fastembed._kernels import kernels_for
from fastembed.recommender import item_to_item
from fastembed.recommender.scoring import Model, counted, damped, scaled_rows, totals_of
from fastembed.recommender.strengths import Strengths, hiding, most_hiding, select
from fastembed.trainer.ranks import Ranks
from fastembed.trainer.trainer import Trainer, records_of

EXPONENT = 0.5  # t
RATE, LINEAR_RATE, L2, LINEAR_L2 = 1.0, 1.0, 0.3, 0.4  # of `fit_counts`
BLOCK = 256
ROWS = 8192  # of users whose float64 rows are in memory
STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 160, 3, 10  # blocks in all epochs together; users who are many need fewer epochs
# The largest number of scores in all epochs together: per entry, or in any case; there is always one epoch
PER_ENTRY, FREE_SCORES = 1400, 1 << 26
LATER_RATE = 0.03  # of W, when training goes on from a model
START_SCALE = 0.1
START_PASSES, EXTRA = 3, 16  # of the randomised SVD
ENTRIES_PER_TASK = 1 << 18  # of its products
FIRST_RIDGE, FLOOR = 1.5, 0.1
FIRST_FACTORS = (1.0, 0.75, 0.75)  # a, g and h, if hidden items cannot choose them
NEGLIGIBLE = 0.01  # share of users with hidden items below which nothing is trained again with them
# Of `needed`: what small data takes, too; evaluations of three optima of a row
FIXED_BYTES, FIXED, FOLDS = 24 << 20, 1e10, 36


@dataclass(frozen=True)
class Options:
    """What a user may choose.

    Parameters
    ----------
    dim : int
        D.
    epochs : int or None
        None: by the size of the data, see `epochs_for`.
    seed : int
        Of the start of W, the users with hidden items, and the order of training.
    """

    dim: int = 128
    epochs: int | None = None
    seed: int = 0


def epochs_for(users: int, items: int, entries: int) -> int:
    """Return the default number of epochs: few steps in each need more of them; entries that are few, fewer."""
    most = max(1, max(PER_ENTRY * entries, FREE_SCORES) // (users * items))
    return int(min(most, np.clip(-(-STEPS // -(-users // BLOCK)), FEWEST_EPOCHS, MOST_EPOCHS)))


def fit(
    x: Any,
    options: Options,
    pool: Pool,
    ranks: Ranks,
    *,
    start: Model | None,
    on_epoch_end: Callable[[dict[str, float]], object] | None,
    keep: Callable[[Model, list[dict[str, float]]], object],
) -> tuple[Model, list[dict[str, float]]]:
    """Return the model of users with the items x, and a record per epoch.

    Parameters
    ----------
    x : csr_array (U, V)
        Non-negative weights; at least one is positive. Users and items without any are allowed.
    options : Options
    pool : Pool
    ranks : Ranks
    start : Model or None
        A fitted model of the first items, to go on from; its strengths are kept, until there are twice the users: then
        all is learned anew.
    on_epoch_end
        As in `Trainer.fit_counts`, for the training with all users.
    keep : callable
        Called with the model as it is, and its records, if training ends by an exception. The first call has the best.
    """
    x = sparse.csr_array(x, dtype=np.float32)
    x.eliminate_zeros()
    if start is not None and x.shape[0] >= 2 * start.users:
        start = None
    n = counted(x, weight := float(np.median(x.data)) if start is None else start.weight)
    if not n.data.all():  # weights of 6e-8 of the median and less
        n = n.copy()
        n.eliminate_zeros()
    train = _Training(options, pool, ranks, on_epoch_end, keep)
    matrix_product(np.dtype(np.float32))  # SciPy's BLAS must be loaded before it is held to one thread
    with single_threaded_blas():  # the bits must not depend on the number of BLAS threads
        if start is not None:
            return train.further(n, start)
        epochs = epochs_for(n.shape[0], n.shape[1], n.nnz)
        kept_away = hiding(n, options.seed)
        if kept_away is None:  # strengths that follow from a few items would be anything
            return train.first(n, weight, epochs)
        shown, seen, hidden = kept_away
        again = hidden.shape[0] > NEGLIGIBLE * n.shape[0]
        model, history = train.first(shown, weight, epochs, rough=again)
        try:
            strengths = select(model, shown, seen, hidden, pool)
            model = strengths.of(model)
            if again:
                return train.first(n, weight, epochs, strengths=strengths)
            return replace(
                model, similar=item_to_item.item_to_item(n, model.ease, pool)
            ) if model.ease else model, history
        except BaseException:
            keep(model, [] if again else history)
            raise


@dataclass(frozen=True)
class _Training:
    """How W is trained: what a caller of `fit` gave."""

    options: Options
    pool: Pool
    ranks: Ranks
    on_epoch_end: Callable[[dict[str, float]], object] | None
    keep: Callable[[Model, list[dict[str, float]]], object]

    def first(
        self, n: Any, weight: float, epochs: int, *, rough: bool = False, strengths: Strengths | None = None
    ) -> tuple[Model, list[dict[str, float]]]:
        """Return the model of the counts n, and the records; a rough one serves to find the strengths."""
        return self._trained(n, _first(n, weight, self.options, self.pool), epochs, LINEAR_RATE, strengths, rough=rough)

    def further(self, n: Any, model: Model) -> tuple[Model, list[dict[str, float]]]:
        """Return the model after one more epoch, or `options.epochs`, with the counts n, maybe of more users and items.

        B is of the same kind, unless the data has become too large for `Ease`.
        """
        return self._trained(n, _grown(model, n, self.pool), 1, LATER_RATE)

    def _trained(
        self, n: Any, model: Model, epochs: int, rate: float, strengths: Strengths | None = None, *, rough: bool = False
    ) -> tuple[Model, list[dict[str, float]]]:
        """Return the model with B anew, and then W trained further; no caller sees a rough training."""
        epochs, start = self.options.epochs or epochs, model if strengths is None else strengths.of(model)
        start, records = replace(start, similar=item_to_item.item_to_item(n, start.ease, self.pool, few=rough)), []
        trainer = Trainer(
            _newton_rows(n, model, self.pool), model.linear, bias=model.bias, loss_scale=1.0, threads=self.pool.threads
        )

        def epoch_end(record: dict[str, float], _: Trainer) -> bool:
            done.update()
            records.append(record)
            return not rough and self.on_epoch_end is not None and is_true(self.on_epoch_end(record))

        try:
            with bar(desc="first epochs", total=epochs, **({} if rough else {"disable": True})) as done:
                records = trainer.fit_counts(
                    n,
                    epochs=epochs,
                    learning_rate=RATE if epochs > 1 else 0,  # each row is used once then, before its step
                    linear_learning_rate=rate,
                    block_size=BLOCK,
                    l2=L2,
                    linear_l2=LINEAR_L2,
                    input_weights=totals_of(n) ** (1 - EXPONENT),
                    seed=self.options.seed,
                    on_epoch_end=epoch_end,
                    comm=self.ranks.comm,
                )
        except BaseException:
            if not rough:
                self.keep(replace(start, linear=np.asfortranarray(trainer.linear)), records_of(trainer))
            raise
        return replace(start, linear=np.asfortranarray(trainer.linear)), records


def _first(n: Any, weight: float, options: Options, pool: Pool) -> Model:
    """Return the model before training, with strengths that are a fair guess, and without B.

    W has the first right singular vectors of n, its rows divided by the square roots of their sums, its columns by
    those of one more than theirs: else rare items would be in no vector, and few epochs do not make up for it.
    """
    users, items = n.shape
    columns = np.asarray(n.sum(axis=0), np.float64).ravel()
    empty = columns == 0
    shares = np.where(empty, columns[~empty].min() / max(1, empty.sum()), columns)
    totals = totals_of(n)
    rng = np.random.default_rng(options.seed)
    scaled = scaled_rows(n, np.maximum(totals, np.finfo(np.float32).tiny) ** -0.5)
    scaled.data *= ((1 + columns) ** -0.5).astype(np.float32)[n.indices]
    vectors = _right_vectors(scaled, min(options.dim, users, items), rng, pool)
    linear = 1e-3 * rng.standard_normal((options.dim, items))
    linear[: len(vectors)] = START_SCALE * np.sqrt(items / options.dim) * vectors
    return Model(
        linear=linear.astype(np.float32),
        bias=np.log(shares / shares.sum()).astype(np.float32),
        similar=sparse.csr_array((items, items), dtype=np.float32),
        ridge=FIRST_RIDGE,
        exponent=EXPONENT,
        median=float(np.median(totals[totals > 0])),
        weight=weight,
        factors=np.array(FIRST_FACTORS, np.float32),
        floor=FLOOR,
        users=users,
        ease=0.0,
    )


def _grown(start: Model, n: Any, pool: Pool) -> Model:
    """Return a fitted model with columns for new items.

    A new column of W is one Newton step from 0 to its optimum, with its own prior and the rows d of all users, as if
    each user had the probability p_c of the item:  (p_c sum_u s_u n_u d_u d_u^T + ridge I) w_c = sum_u s_u (n_uc -
    n_u p_c) d_u.
    """
    dim, known = start.linear.shape
    columns = np.asarray(n.sum(axis=0), np.float64).ravel()
    columns = np.where(columns == 0, columns[columns > 0].min(), columns)
    shares = columns / columns.sum()
    linear = np.zeros((dim, n.shape[1]), np.float32)
    linear[:, :known] = start.linear
    model = replace(start, linear=linear, bias=np.log(shares).astype(np.float32))
    if known < len(shares):
        d, weighted, p = _newton_rows(n, model, pool).astype(np.float64), damped(n, model), shares[known:]
        totals = totals_of(weighted)
        values, basis = np.linalg.eigh((d.T * totals) @ d)
        slopes = (weighted[:, known:].T @ d - np.outer(p, totals @ d)) @ basis
        linear[:, known:] = basis @ (slopes / (np.outer(p, values) + model.ridge)).T
    return model


def _right_vectors(matrix: Any, rank: int, rng: np.random.Generator, pool: Pool) -> Float32:
    """Return the first right singular vectors (rank, V), by randomised subspace iteration (Halko et al. 2011)."""
    rows, columns = column_blocks(matrix), column_blocks(matrix.T.tocsr())
    start = rng.standard_normal((matrix.shape[1], min(rank + EXTRA, *matrix.shape)), np.float32)
    q = _orthonormal(_product(columns, _product(rows, start, pool), pool))
    for _ in range(START_PASSES):
        q = _orthonormal(_product(columns, _product(rows, q, pool), pool))
    projected = _product(rows, q, pool)
    basis = np.linalg.eigh((projected.T @ projected).astype(np.float64))[1]  # by rising eigenvalues
    return (q @ basis[:, ::-1][:, :rank].astype(np.float32)).T


def _product(blocks: tuple[Any, ...], dense: Float32, pool: Pool) -> Float32:
    """Return the product (N, K) of a sparse matrix (N, C), in blocks of columns, and a dense one (C, K)."""
    lengths = blocks[1][-1] - blocks[1][0]
    ranges, found = row_ranges(lengths, ENTRIES_PER_TASK), np.empty((len(lengths), dense.shape[1]), np.float32)
    pool.run(lambda k: kernels_for("float32").csr_times_dense(*blocks, dense, found, *ranges[k]), len(ranges))
    return found


def _orthonormal(columns: Float32) -> Float32:
    """Return an orthonormal basis of the columns, by the eigenvectors of their products: faster than LAPACK's QR."""
    exact = columns.astype(np.float64)
    values, basis = np.linalg.eigh(exact.T @ exact)
    return (exact @ (basis / np.sqrt(np.maximum(values, 1e-12 * values[-1])))).astype(np.float32)


def _newton_rows(n: Any, model: Model, pool: Pool) -> Float32:
    """Return the first rows of users, (U, D): one Newton step from 0 to their optimum."""
    weighted, w, origin = damped(n, model), np.ascontiguousarray(model.linear.T), model.origin
    totals, rows = totals_of(weighted), np.empty((n.shape[0], w.shape[1]), np.float32)

    def fill(k: int) -> None:
        part = slice(k * ROWS, (k + 1) * ROWS)
        gradient = totals[part, None] * origin.mean - weighted[part] @ w
        rows[part] = -origin.newton(gradient, totals[part], model.ridge)

    pool.run(fill, -(-len(rows) // ROWS))
    return rows


def pairs_of(n: Any) -> tuple[float, float]:
    """Return the pairs of items that memory is taken for, and those of each user, added; of an item with itself, too.

    An item has at most as many pairs as its users have items, and as there are items.
    """
    pairs = np.bincount(n.indices, np.repeat(sizes := np.diff(n.indptr), sizes))
    return float(np.minimum(pairs, n.shape[1]).sum()), float(pairs.sum())


def needed(
    users: int, items: int, entries: int, options: Options, pairs: tuple[float, float] | None = None
) -> tuple[int, float, float]:
    """Return the bytes that training needs beyond the data, and its operations: those of all threads, and of one.

    An operation takes as long as one of the product of two matrices that fit in the cache. What each kind of work takes
    was measured on an Intel Xeon with AVX-512 (``docs/benchmarks.md``).

    `pairs` are those of :func:`pairs_of`; by default as many as there usually are, since few items are popular.
    """
    dim, epochs = options.dim, options.epochs or epochs_for(users, items, entries)
    hidden, fewest = max(1, most_hiding(users, items)), min(users, items)
    if pairs is None:
        cells, of_users = items**2, 3 * entries**2 / users  # of G, and pairs of items of users
        pairs = 0.65 * cells * -np.expm1(-of_users / cells), of_users
    most_pairs = item_to_item.MOST_PAIRS  # that fit in memory
    different, kept = min(pairs[0], most_pairs), min(1.0, most_pairs / pairs[0])
    per_item = min(item_to_item.NEIGHBOURS, round(item_to_item.PER_ROOT * users**0.5), items)
    neighbours = min(items * per_item, item_to_item.PER_USER * entries, different)
    of_training = 20 * entries + 8 * users * dim + 20 * items * dim + 4 * BLOCK * items + 8 * neighbours
    of_items = 20 * entries + 8 * different + 30 * neighbours + 8 * items * dim
    logits = 24.0 * hidden * items  # six arrays of them
    if fits := item_to_item.ease_fits(users, items):
        of_items = max(of_items, 4 * fewest**2 + 30 * items * min(item_to_item.MOST_WEIGHTS, items))
        of_system = 12 * hidden * items + 8 * min(different, fewest**2) + 16 * entries  # three, and two sparse matrices
        logits = max(logits, 4 * fewest**2 + max(26 * hidden * items, of_system))
    of_strengths = logits + 8 * neighbours + 4 * dim * (users + 3 * items)  # and B and W
    trainings = 2 - hidden / users if (again := hidden > NEGLIGIBLE * users) else 1.0
    products = trainings * epochs * (6 if epochs > 1 else 4) * users * items * dim + FOLDS * 4 * hidden * items * dim
    regressions = 9e4 * neighbours * (1.5 if again else 1) * kept**0.5  # with fewer neighbours before the strengths
    svd = 220 * entries * dim + 60 * users * dim**2  # and Newton's steps
    gram = 290 * kept**0.2 * pairs[1] + 1000 * different
    of_all = 1.6 * products + regressions + 3.5e7 * hidden + trainings * (svd + gram)  # and the steps of L-BFGS
    of_one = trainings * (15_000 * entries + 170 * items * dim**2)
    of_one += 15_000 * hidden * items + (6 * fewest**3 if fits else 0) + FIXED
    most = max(of_training, of_items, of_strengths) + 16 * entries  # n, twice
    return int(FIXED_BYTES + most), of_all, of_one
