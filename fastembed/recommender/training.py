"""Training of a recommender: from the items of users to the arrays that score all items for any user.

W is trained by `Trainer.fit_counts`, with one row of E per user; then E is thrown away, so that a user in the data and
a new one with the same items have the same row (`model.py`). B is learned beside it (`strengths.py`), and how much
each of the two counts is chosen by hidden items of users who are kept away from a first training (`strengths.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from fastembed._base.arrays import Float32, column_blocks, row_ranges
from fastembed._base.threads import Pool, matrix_product, single_threaded_blas
from fastembed._kernels import kernels_for
from fastembed.recommender.model import EXPONENT, Model, counted, damped, scaled_rows, totals_of
from fastembed.recommender.strengths import MOST_PAIRS, hiding, item_to_item, most_hiding, select
from fastembed.trainer.trainer import Trainer

RATE, LINEAR_RATE, L2, LINEAR_L2 = 1.0, 1.0, 0.3, 0.4  # of `fit_counts`
BLOCK = 256
ROWS = 8192  # of users whose float64 rows are in memory
STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 160, 3, 10  # blocks in all epochs together; users who are many need fewer epochs
# The largest number of scores in all epochs together: per entry, or in any case; there is always one epoch
PER_ENTRY, FREE_SCORES = 1400, 1 << 26
START_SCALE = 0.1
START_PASSES, EXTRA = 3, 16  # of the randomised SVD
ENTRIES_PER_TASK = 1 << 18  # of its products
FIRST_RIDGE, FIRST_FACTORS = 1.5, (1.0, 0.75, 0.75)  # the factors are a, g and h, if hidden items cannot choose them
NEGLIGIBLE = 0.01  # share of users with hidden items below which nothing is trained again with them
FIXED_BYTES = 24 << 20  # which small data takes, too
Records = list[dict[str, float]]
EpochEnd = Callable[[dict[str, float]], object]


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


def epochs_for(shape: tuple[int, int], entries: int) -> int:
    """Return the default number of epochs: few steps in each need more of them; entries that are few, fewer."""
    users, items = shape
    most = max(1, max(PER_ENTRY * entries, FREE_SCORES) // (users * items))
    return int(min(most, np.clip(-(-STEPS // -(-users // BLOCK)), FEWEST_EPOCHS, MOST_EPOCHS)))


def needed(shape: tuple[int, int], entries: int, pairs: float, dim: int) -> int:
    """Return the bytes that training needs, within 30 %; `pairs` are those of each user's items, added up.

    Users have pairs in common, more of them than pairs drawn at random: few items are popular.
    """
    users, items = shape
    different = -0.65 * items**2 * np.expm1(-pairs / items**2)
    of_pairs, of_strengths = 8 * min(different, MOST_PAIRS), 26 * most_hiding(users, items) * items
    return int(FIXED_BYTES + 36 * entries + 8 * dim * (users + 2 * items) + of_pairs + of_strengths)


def fit(x: Any, options: Options, pool: Pool, on_epoch_end: EpochEnd) -> tuple[Model, Records]:
    """Return the model of users with the items x, and a record per epoch.

    Parameters
    ----------
    x : csr_array (U, V), float32
        Positive weights, at least one. Users and items without any are allowed.
    options : Options
    pool : Pool
    on_epoch_end : callable
        Called with each record of the training with all users, which ends if it returns True.
    """
    n = counted(x, weight := float(np.median(x.data)))
    if not n.data.all():  # weights of 6e-8 of the median and less
        n = n.copy()
        n.eliminate_zeros()
    options = replace(options, epochs=options.epochs or epochs_for(n.shape, n.nnz))
    matrix_product(np.dtype(np.float32))  # SciPy's BLAS must be loaded before it is held to one thread
    with single_threaded_blas():  # the bits must not depend on the number of BLAS threads
        kept_away = hiding(n, options.seed)
        if kept_away is None:  # strengths that follow from a few items would be anything
            return _trained(n, weight, options, pool, on_epoch_end)
        shown, seen, hidden = kept_away
        again = hidden.shape[0] > NEGLIGIBLE * n.shape[0]
        model, records = _trained(shown, weight, options, pool, None if again else on_epoch_end, few=again)
        strengths, ease, found = select(model, shown, seen, hidden, pool)
        if again:
            model, records = _trained(n, weight, options, pool, on_epoch_end, strengths, ease)
        else:
            model = replace(model, **strengths)
            model = replace(model, similar=item_to_item(n, ease, pool)) if ease else model
        return model, [*records[:-1], records[-1] | found]


def _trained(
    n: Any,
    weight: float,
    options: Options,
    pool: Pool,
    on_epoch_end: EpochEnd | None,
    strengths: Mapping[str, Any] | None = None,
    ease: float = 0.0,
    *,
    few: bool = False,
) -> tuple[Model, Records]:
    """Return the model of the counts n, and the records."""
    model, epochs = _first(n, weight, options, pool), options.epochs or 1
    similar = item_to_item(n, ease, pool, few=few)
    rows = _newton_rows(n, model, pool)
    trainer = Trainer(rows, model.linear, bias=model.bias, loss_scale=1.0, threads=pool.threads)
    records = trainer.fit_counts(
        n,
        epochs=epochs,
        learning_rate=RATE if epochs > 1 else 0,  # each row is used once then, before its step
        linear_learning_rate=LINEAR_RATE,
        block_size=BLOCK,
        l2=L2,
        linear_l2=LINEAR_L2,
        input_weights=totals_of(n) ** (1 - EXPONENT),
        seed=options.seed,
        on_epoch_end=on_epoch_end,
    )
    return replace(model, linear=np.asfortranarray(trainer.linear), similar=similar, **strengths or {}), records


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
        median=float(np.median(totals[totals > 0])),
        weight=weight,
        factors=np.array(FIRST_FACTORS, np.float32),
    )


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
