"""Where training starts: the positive pointwise mutual information of counts, and its randomised SVD.

A skip-gram's logits come to model PMI (Levy & Goldberg 2014), so the best low-rank approximation of the positive PMI,
split evenly between the two sides, is a start close to the goal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.blas import single_threaded_blas
from fastembed._base.csr import row_ranges
from fastembed._base.threads import Pool
from fastembed._kernels import kernels_for

CONTEXT_EXPONENT = 0.75  # of the contexts' shares in the PMI
OVERSAMPLING = 20  # columns of the randomised SVD beyond those that are asked for
POWER_ITERATIONS = 3
PMI_ENTRIES = 1 << 17  # computed at a time: they and their temporaries fit a second-level cache
# The scale of the normal noise in dimensions beyond the rank: where both sides are zero, so is every gradient. Also the
# ridge of new rows, as a share of the mean square.
FILL_SCALE = 0.01


def positive_pmi(counts: Any, pool: Pool) -> Any:
    """Return max(0, log(N_wc · sum_c(n_c^a) / (n_w · n_c^a))), with a = 0.75, where N_wc > 0.

    Raising the contexts' shares to a power below 1 keeps rare contexts from the highest scores (Levy, Goldberg &
    Dagan 2015).

    Parameters
    ----------
    counts : csr_array (V_in, V)
        Non-negative, columns ascending.
    pool : Pool

    Returns
    -------
    csr_array (V_in, V), float32
    """
    row_totals, column_totals = counts.sum(axis=1), counts.sum(axis=0)
    weighted = column_totals**CONTEXT_EXPONENT
    log_columns = np.log(weighted, out=np.zeros_like(weighted), where=weighted > 0) - np.log(weighted.sum())
    log_rows = np.log(row_totals, out=np.zeros_like(row_totals), where=row_totals > 0)
    data = np.empty(counts.nnz, dtype=np.float32)
    lengths = np.diff(counts.indptr)
    ranges = row_ranges(lengths, PMI_ENTRIES)

    def fill(k: int) -> None:
        first, last = ranges[k]
        entries = slice(counts.indptr[first], counts.indptr[last])
        pmi = np.log(counts.data[entries])
        pmi -= np.repeat(log_rows[first:last], lengths[first:last])
        pmi -= log_columns[counts.indices[entries]]
        np.maximum(pmi, 0, out=data[entries], casting="same_kind")

    pool.run(fill, len(ranges))
    positive = sparse.csr_array((data, counts.indices, counts.indptr), shape=counts.shape)
    positive.indices = positive.indices.copy()  # eliminate_zeros works in place
    positive.indptr = positive.indptr.copy()
    positive.eliminate_zeros()
    return positive


def truncated_svd(
    matrix: Any, rank: int, rng: np.random.Generator, pool: Pool
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the leading singular triplets, by the randomised range finder of Halko, Martinsson & Tropp (2011).

    With OVERSAMPLING more columns than asked for and POWER_ITERATIONS power iterations, each product orthonormalised.
    The bits are the same for any number of threads: a row of a sparse product is one sum, and the dense products run on
    one BLAS thread.

    Parameters
    ----------
    matrix : csr_array (m, n), float32
    rank : int
        At most min(m, n).
    rng : Generator
    pool : Pool

    Returns
    -------
    u (m, rank), s (rank,), v (n, rank)
        With matrix ≈ u @ diag(s) @ v.T, s descending; columns for a singular value of zero are zero.
    """
    width = min(rank + OVERSAMPLING, *matrix.shape)
    transposed = matrix.T.tocsr()
    with single_threaded_blas():
        v = rng.standard_normal((matrix.shape[1], width), dtype=np.float32)
        for _ in range(POWER_ITERATIONS):
            u = _principal_axes(_product(matrix, v, pool))[0]
            v = _principal_axes(_product(transposed, u, pool))[0]
        u = _principal_axes(_product(matrix, v, pool))[0]
        v, s, rotation = _principal_axes(_product(transposed, u, pool))  # matrix ≈ u (v s rotationᵀ)ᵀ
        u = u @ rotation[:, :rank].astype(np.float32)
    return u, s[:rank], v[:, :rank]


def svd_start(
    counts: Any, dim: int, rng: np.random.Generator, pool: Pool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return an embedding U·√S (V_in, dim) and a linear layer √S·Vᵀ (dim, V) from the counts' positive PMI."""
    rank = min(dim, *counts.shape)
    u, s, v = truncated_svd(positive_pmi(counts, pool), rank, rng, pool)
    embedding, linear = (
        rng.standard_normal((size, dim), dtype=np.float32) * np.float32(FILL_SCALE) for size in counts.shape
    )
    rank = np.count_nonzero(s)
    embedding[:, :rank] = u[:, :rank] * np.sqrt(s[:rank])
    linear[:, :rank] = v[:, :rank] * np.sqrt(s[:rank])
    return embedding, linear.T


def fold_in(counts: Any, rows: slice, linear: NDArray[np.float32], pool: Pool) -> NDArray[np.float32]:
    """Return rows of an embedding for inputs that a linear layer has not seen: M W^T (W W^T)^-1, with M their PMI.

    That is the least-squares fit of the rows' positive PMI by the linear layer (D, V) as it is. A ridge, FILL_SCALE of
    the mean square, bounds it where the layer does not have full rank.
    """
    w = linear.astype(np.float64)
    products = w @ positive_pmi(counts, pool)[rows].T.astype(np.float64)
    with single_threaded_blas():
        gram = w @ w.T
        gram[np.diag_indices_from(gram)] += FILL_SCALE * np.trace(gram) / len(gram)
        fitted: NDArray[np.float64] = np.linalg.solve(gram, products).T
    return np.ascontiguousarray(fitted, dtype=np.float32)


def log_shares(counts: Any) -> NDArray[np.float64]:
    """Return the logarithm of each column's share of all counts, (V,): the fixed bias.

    With it the logits need only model how far a pair is from chance. A column without counts, which is never a target,
    gets the share of the rarest column that has some, so that the logarithm is finite.
    """
    totals: NDArray[np.float64] = counts.sum(axis=0)
    totals = np.maximum(totals, totals[totals > 0].min())
    shares: NDArray[np.float64] = np.log(totals / totals.sum())
    return shares


def _principal_axes(
    matrix: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Return (q, s, rotation), matrix = q @ diag(s) @ rotation.T, of a tall matrix (m, k): its thin SVD.

    It is computed from the eigenvectors of matrixᵀ matrix in double precision, in a seventh of the time of a QR. That
    squares the condition number, which the products of an orthonormal basis can afford. Axes below the rounding of the
    squares become zero.
    """
    exact = matrix.astype(np.float64)
    squares, rotation = np.linalg.eigh(exact.T @ exact)
    squares, rotation = squares[::-1], rotation[:, ::-1]
    real = squares > squares[0] * len(squares) * np.finfo(np.float64).eps
    s = np.sqrt(np.where(real, squares, 0))
    q = exact @ (rotation * np.divide(1, s, out=np.zeros_like(s), where=real))
    return q.astype(np.float32), s.astype(np.float32), rotation


def _product(matrix: Any, dense: NDArray[np.float32], pool: Pool) -> NDArray[np.float32]:
    """Return matrix @ dense, computed in pieces of rows with about equal numbers of entries."""
    product = np.empty((matrix.shape[0], dense.shape[1]), dtype=np.float32)
    indptr, indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32, copy=False)
    pieces = min(8 * pool.threads, len(product))
    ends = np.searchsorted(indptr, np.linspace(0, indptr[-1], pieces + 1))
    ends[0], ends[-1] = 0, len(product)
    csr_times_dense = kernels_for("float32").csr_times_dense
    dense = np.ascontiguousarray(dense)
    pool.run(lambda k: csr_times_dense(indptr, indices, matrix.data, dense, product, ends[k], ends[k + 1]), pieces)
    return product
