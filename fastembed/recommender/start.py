"""The start of a recommender's training: W from an SVD, and the rows of users from one Newton step."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from fastembed._base.arrays import Float32
from fastembed._base.panels import Panels
from fastembed._base.threads import Pool
from fastembed.recommender.model import Model, damped, scaled_rows, totals_of
from fastembed.recommender.options import RecommenderOptions

ROWS = 8192  # users per task of `newton_rows`, which has their rows in float64
START_SCALE = 0.1
START_PASSES, EXTRA = 3, 16  # passes of the randomised SVD after the first, and columns beyond its rank
FIRST_RIDGE, FIRST_FACTORS = 1.5, (1.0, 0.75, 0.75)  # the ridge, and a, g, h, where hidden items are too few to choose


def first_model(n: Any, weight: float, options: RecommenderOptions, pool: Pool) -> Model:
    """Return the model before training, without B, and with the ridge `FIRST_RIDGE` and the factors `FIRST_FACTORS`.

    The rows of W are the first right singular vectors of  n_uc / sqrt(|n_u| (1 + f_c)),  times a constant. |n_u| is the
    sum of the row of u, and f_c the sum of the column of c. Without the division rare items would be in no vector, and
    few epochs would not change that.
    """
    users, items = n.shape
    columns = np.asarray(n.sum(axis=0), np.float64).ravel()
    empty = columns == 0
    # As in `log_shares` of skipgram/start.py, items without users together have the share of the rarest other item
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
        item_weights=sparse.csr_array((items, items), dtype=np.float32),
        ridge=FIRST_RIDGE,
        median_total=float(np.median(totals[totals > 0])),
        median_weight=weight,
        factors=np.array(FIRST_FACTORS, np.float32),
    )


def _right_vectors(matrix: Any, rank: int, rng: np.random.Generator, pool: Pool) -> Float32:
    """Return the first right singular vectors (rank, V), by randomised subspace iteration (Halko et al. 2011)."""
    rows, columns = Panels.of(matrix), Panels.of(matrix.T.tocsr())
    start = rng.standard_normal((matrix.shape[1], min(rank + EXTRA, *matrix.shape)), np.float32)
    q = _orthonormal(columns.times(rows.times(start, pool), pool))
    for _ in range(START_PASSES):
        q = _orthonormal(columns.times(rows.times(q, pool), pool))
    projected = rows.times(q, pool)
    basis = np.linalg.eigh((projected.T @ projected).astype(np.float64))[1]  # by rising eigenvalues
    return (q @ basis[:, ::-1][:, :rank].astype(np.float32)).T


def _orthonormal(columns: Float32) -> Float32:
    """Return an orthonormal basis of the columns, by the eigenvectors of their products: faster than LAPACK's QR."""
    exact = columns.astype(np.float64)
    values, basis = np.linalg.eigh(exact.T @ exact)
    return (exact @ (basis / np.sqrt(np.maximum(values, 1e-12 * values[-1])))).astype(np.float32)


def newton_rows(n: Any, model: Model, pool: Pool) -> Float32:
    """Return the first rows of users, (U, D): one Newton step from 0 to their optimum."""
    weighted, w, origin = damped(n, model), np.ascontiguousarray(model.linear.T), model.origin
    totals, rows = totals_of(weighted), np.empty((n.shape[0], w.shape[1]), np.float32)

    def fill(k: int) -> None:
        part = slice(k * ROWS, (k + 1) * ROWS)
        gradient = totals[part, None] * origin.mean - weighted[part] @ w
        rows[part] = -origin.newton(gradient, totals[part], model.ridge)

    pool.run(fill, -(-len(rows) // ROWS))
    return rows
