"""The parameters that training starts from.

The start is a truncated SVD of the positive pointwise mutual information of counts. The logits of skip-gram model the
PMI (Levy & Goldberg 2014). So the best low-rank approximation of the positive PMI, split evenly between embedding and
linear layer, is close to the optimum.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Generator, Iterator
from contextlib import closing
from tempfile import TemporaryFile
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import aligned_zeros, mapped_zeros, padded_width, row_ranges
from fastembed._base.memory import give_back_freed
from fastembed._base.panels import TASKS, Panels
from fastembed._base.progress import bar
from fastembed._base.threads import Pool, ordered_map, ordered_sum
from fastembed._kernels import kernels_for
from fastembed.counts.groups import group_count, group_places, group_slice
from fastembed.counts.store import GroupedCounts, Totals
from fastembed.counts.tiles import TiledRows

# Dimensions beyond the rank get normal noise of this scale: where both layers are zero, all gradients are zero.
# The ridge of new rows is FILL_SCALE times the mean square of a dimension.
FILL_SCALE = 0.01

# The Krylov space of the SVD grows in KRYLOV_STEPS steps, by STEP_SHARE columns per singular triplet (docs/design.md)
KRYLOV_STEPS, STEP_SHARE = 5, 0.45
KRYLOV_COLUMNS = 1024  # up to this size the Krylov space may exceed the matrix: a dense SVD would save no time
# Directions of a float32 product below this share of the largest singular value are rounding errors
ROUNDING = 1e-5
# A block R_k with a direction shorter than WEAK times the largest singular value is made orthogonal twice. In the
# second pass directions have length 1; a direction of which less than LEAST_LEFT remains is rounding, and becomes 0
WEAK, LEAST_LEFT = 0.01, 0.1
AXES_ROWS = 1024  # rows in float64 at a time, per thread
AXES_TASKS = 64  # largest number of tasks, each of which has a k x k matrix

CONTEXT_EXPONENT = 0.75  # exponent of the shares of contexts in the PMI
PMI_COLUMNS = 2048  # columns of a panel of the PMI, whose rows in a factor of width 48 fill a fifth of an L2 cache
WIDEST_PANEL = 1 << 16  # columns that 16 bits can number, for counts so sparse that narrower panels do not pay
ROW_ENTRIES = 8  # mean number of counts per row and panel below which narrower panels do not pay
SAMPLE = 1 << 16  # sampled columns, about, from which panels of similar numbers of counts are chosen

PlacedRows: TypeAlias = tuple[Panels, int]  # rows of a group, and the place of the first in the order of groups


def svd_start(
    counts: GroupedCounts, dim: int, rng: np.random.Generator, pool: Pool, memory: float = math.inf
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return an embedding U √S (V_in, dim) and a linear layer √S Vᵀ (dim, V), where U S Vᵀ is near the positive PMI.

    Dimensions beyond the rank are filled with noise. `memory` as for `PositivePMI`.
    """
    pmi = PositivePMI(counts, pool, memory)
    give_back_freed()  # the memory of the groups of counts
    u, s, v = truncated_svd(pmi, min(dim, *pmi.shape), rng, pool)
    u = u[group_places(len(u))]  # the PMI has its rows in the order of groups
    rank = np.count_nonzero(s)
    roots = np.sqrt(s[:rank])
    embedding, linear = np.empty((len(u), dim), np.float32), np.empty((len(v), dim), np.float32)
    for vectors, side in ((u, embedding), (v, linear)):
        np.multiply(vectors[:, :rank], roots, out=side[:, :rank])
        side[:, rank:] = rng.standard_normal((len(side), dim - rank), dtype=np.float32) * np.float32(FILL_SCALE)
    return embedding, linear.T


def least_squares_rows(
    counts: GroupedCounts, known: int, linear: NDArray[np.float32], pool: Pool
) -> NDArray[np.float32]:
    """Return the rows of an embedding for the inputs from `known` on: M W^T (W W^T + λ)^-1, M their positive PMI.

    The rows fit M by least squares for a fixed linear layer W (D, V). They are a start of training;
    `folding.optimal_rows` returns the rows of the highest likelihood. The ridge λ, FILL_SCALE times the mean square of
    a dimension, bounds the rows if W does not have full rank.
    """
    w, inputs = linear.astype(np.float64), counts.shape[0]
    products: NDArray[Any] = np.zeros((inputs - known, len(w)))
    if known == inputs:
        return products.astype(np.float32)
    dense = np.ascontiguousarray(w.T)
    for group in range(group_count(inputs)):
        rows = np.arange(inputs)[group_slice(group, inputs)]
        new = rows >= known
        if new.any():
            products[rows[new] - known] = pmi_products(counts.read_group(group), group, counts.totals, dense, pool)[new]
    gram = w @ w.T
    gram[np.diag_indices_from(gram)] += FILL_SCALE * np.trace(gram) / len(gram)
    fitted: NDArray[np.float64] = np.linalg.solve(gram, products.T).T
    return np.ascontiguousarray(fitted, dtype=np.float32)


def log_shares(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the fixed bias: the logarithm of each column's share of all counts, (V,), from the column totals.

    With it the logits only need to model how far a pair is from chance. Columns without counts may be targets in
    another text; together they get the share of the rarest column with counts.
    """
    empty = totals == 0
    if empty.any():
        totals = np.where(empty, totals[~empty].min() / np.count_nonzero(empty), totals)
    return np.log(totals) - np.log(totals.sum())


# ---------------------------------------------------------------- the SVD


def truncated_svd(
    matrix: PositivePMI, rank: int, rng: np.random.Generator, pool: Pool
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the leading singular triplets of M, by the randomised block Krylov method of Musco & Musco (2015).

    R = [R_1, ..., R_5] is an orthonormal basis of the span of G, MᵀM G, (MᵀM)² G, ..., where G is random and has about
    half as many columns as there are triplets. M R_k = L_k F_k, where L_k is orthonormal and F_k is square.
    So M R = L F, with L = [L_1, ..., L_5] and F = diag(F_1, ..., F_5). The L_k are not orthogonal to each
    other. With (L F)ᵀ L F = Q diag(s²) Qᵀ, U = L F Q diag(1/s) and V = R Q.

    If the space would exceed the smaller side of M, the SVD is dense. The bits are the same for any number of threads.

    Parameters
    ----------
    matrix : PositivePMI (m, n)
        Its entries are freed when R is complete.
    rank : int
        At most min(m, n).

    Returns
    -------
    u (m, rank), s (rank,), v (n, rank)
        M ≈ u @ diag(s) @ v.T, with s descending; columns for a singular value of zero are zero.
    """
    width, largest = step_width(rank), 0.0
    if space_size(rank, matrix.shape) < KRYLOV_STEPS * width:
        return _dense_svd(matrix, rank, pool)
    lefts, rights = list[NDArray[np.float32]](), list[NDArray[np.float32]]()
    factor = np.zeros((KRYLOV_STEPS * width, KRYLOV_STEPS * width))  # matrix @ rights = lefts @ factor
    for k in bar(range(KRYLOV_STEPS), desc="start"):
        left, right = (aligned_zeros((size, width), "float32") for size in matrix.shape)
        if k == 0:
            right[:] = rng.standard_normal(right.shape, dtype=np.float32)
            _orthonormalise(right, pool)
        else:
            matrix.transposed_times(lefts[-1], out=right)
            if _complement(right, rights, pool, ROUNDING * largest) < WEAK * largest:
                # Rounding errors of a short direction have parts along earlier blocks: a second pass removes them.
                # A zero column means that the Krylov space has ended: a random column replaces it
                empty = ~right.any(axis=0)
                right[:, empty] = rng.standard_normal((len(right), np.count_nonzero(empty)), dtype=np.float32)
                right[:, empty] /= np.sqrt(len(right))  # a length near 1
                _complement(right, rights, pool, LEAST_LEFT)
        matrix.times(right, out=left)
        s, rotation = _orthonormalise(left, pool)
        largest = max(largest, s[0])
        lefts.append(left)
        rights.append(right)
        part = slice(k * width, (k + 1) * width)
        factor[part, part] = s[:, None] * rotation.T
    matrix.free()
    squares, rotation = np.linalg.eigh(factor.T @ _products(lefts, pool) @ factor)
    squares, rotation = squares[: -rank - 1 : -1], rotation[:, : -rank - 1 : -1]
    s, inverse = _roots(squares, (ROUNDING * largest) ** 2)
    u, v = (np.empty((size, rank), np.float32) for size in matrix.shape)
    _multiply(lefts, factor @ rotation * inverse, u, pool)
    _multiply(rights, rotation * (s > 0), v, pool)
    return u, s.astype(np.float32), v


def step_width(rank: int) -> int:
    """Return the number of columns of a block R_k: whole cache lines, so that no load crosses one."""
    return padded_width(math.ceil(STEP_SHARE * rank), "float32")


def space_size(rank: int, shape: tuple[int, int]) -> int:
    """Return the dimension of the Krylov space; of a dense SVD, if that is large and exceeds the smaller side of M."""
    krylov = KRYLOV_STEPS * step_width(rank)
    return krylov if krylov <= max(KRYLOV_COLUMNS, min(shape)) else min(shape)


def _complement(right: NDArray[np.float32], rights: list[NDArray[np.float32]], pool: Pool, floor: float) -> float:
    """Make a block R_k orthogonal to `rights`, then orthonormal; return its smallest singular value in between."""
    shares = _products(rights, pool, right)
    _multiply([*rights, right], np.concatenate([-shares, np.eye(right.shape[1])]), right, pool)
    return float(_orthonormalise(right, pool, floor)[0][-1])


def _orthonormalise(
    matrix: NDArray[np.float32], pool: Pool, floor: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Replace a tall matrix (m, k) by q of its thin SVD q @ diag(s) @ rotation.T; return s and rotation.

    The eigenvectors of matrixᵀ matrix in float64 take a seventh of the time of a QR. They square the condition number,
    which is acceptable for products of an orthonormal basis. Axes below the rounding error of the squares, or below
    `floor`, become zero.
    """
    squares, rotation = np.linalg.eigh(_products([matrix], pool))
    squares, rotation = squares[::-1], rotation[:, ::-1]
    s, inverse = _roots(squares, max(squares[0] * len(squares) * np.finfo(np.float64).eps, floor**2))
    _multiply([matrix], rotation * inverse, matrix, pool)
    return s, rotation


def _roots(squares: NDArray[np.float64], floor: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the square roots of eigenvalues, and the reciprocals of the roots; both are 0 up to `floor`."""
    roots = np.sqrt(np.where(squares > floor, squares, 0))
    return roots, np.divide(1, roots, out=np.zeros_like(roots), where=roots > 0)


def _products(
    parts: list[NDArray[np.float32]], pool: Pool, matrix: NDArray[np.float32] | None = None
) -> NDArray[np.float64]:
    """Return AᵀA in float64, with A the parts (m, k) side by side; or AᵀB, with B the `matrix` (m, l)."""
    width = sum(part.shape[1] for part in parts)
    shape = width, width if matrix is None else matrix.shape[1]

    def task_products(task: list[slice]) -> NDArray[np.float64]:
        products = np.zeros(shape)
        for rows in task:
            a = np.concatenate([part[rows] for part in parts], axis=1, dtype=np.float64)
            products += a.T @ (a if matrix is None else matrix[rows].astype(np.float64))
        return products

    return ordered_sum(task_products, _tasks(len(parts[0])), shape, pool)


def _multiply(parts: list[NDArray[np.float32]], change: NDArray[Any], out: NDArray[np.float32], pool: Pool) -> None:
    """Set `out` to A @ change, with A the parts (m, k) side by side; `out` may be one of the parts."""
    tasks, change = _tasks(len(out)), change.astype(np.float32)

    def multiply(k: int) -> None:
        for rows in tasks[k]:
            out[rows] = np.concatenate([part[rows] for part in parts], axis=1) @ change

    pool.run(multiply, len(tasks))


def _tasks(rows: int) -> list[list[slice]]:
    """Return the pieces of rows of each task. They depend on the number of rows alone, and so do sums over tasks."""
    pieces = [slice(begin, begin + AXES_ROWS) for begin in range(0, rows, AXES_ROWS)]
    size = -(-len(pieces) // AXES_TASKS)
    return [pieces[begin : begin + size] for begin in range(0, len(pieces), size)]


def _dense_svd(
    matrix: PositivePMI, rank: int, pool: Pool
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the triplets of `truncated_svd` where the Krylov space would exceed the matrix."""
    rows, columns = matrix.shape
    unit = np.eye(min(rows, columns), dtype=np.float32)
    dense = np.empty((max(rows, columns), len(unit)), np.float32)  # M, or its transpose
    (matrix.times if rows > columns else matrix.transposed_times)(unit, out=dense)
    s, rotation = _orthonormalise(dense, pool)
    s[s < ROUNDING * s[0]] = 0
    long, short = (side[:, :rank] * (s[:rank] > 0) for side in (dense, rotation.astype(np.float32)))
    u, v = (long, short) if rows > columns else (short, long)
    return u, s[:rank].astype(np.float32), v


# ---------------------------------------------------------------- the positive PMI


class PositivePMI:
    """M = max(0, log(N_wc · sum_c(n_c^a) / (n_w · n_c^a))), with a = 0.75, where N_wc > 0.

    Raising the shares of contexts to a power below 1 keeps rare contexts from the highest scores (Levy, Goldberg &
    Dagan 2015). Only the positive entries are stored, by rows, in the order of the groups of the counts. The bits of
    a product depend on the counts alone, not on the number of threads, nor on where the entries are.

    Parameters
    ----------
    counts : GroupedCounts (V_in, V)
        Counts, of which at least one is positive; their totals are n_w and n_c.
    memory : int or inf
        The most bytes of entries in memory; further groups are in an unnamed temporary file.

    Attributes
    ----------
    shape : (int, int)
        (V_in, V).
    """

    def __init__(self, counts: GroupedCounts, pool: Pool, memory: float = math.inf) -> None:
        self.shape = counts.shape
        self._pool, self._kernels = pool, kernels_for("float32")
        self._rows: list[PlacedRows] = []
        self._spilled: SpilledRows | None = None  # the groups that do not fit into memory
        entries, factors = counts.entries, _column_factors(counts.totals)
        scratch = np.empty(int(entries.max()), np.uint16), np.empty(int(entries.max()), np.float32)
        remaining, first = memory, 0
        # Group n + 1 is read while group n is in use, and group n + 2 after group n is freed
        with closing(ordered_map(counts.read_group, range(len(entries)), 2, ahead=1)) as parts:
            for group in range(len(entries)):
                part = next(parts)
                if group == 0:
                    self._bounds = _panel_bounds(part, self.shape, int(entries.sum()))
                sums = counts.totals.rows[group_slice(group, self.shape[0])]
                rows = pmi_panels(part, sums, factors, self._bounds, scratch, pool)
                del part
                remaining -= sum(array.nbytes for array in rows)
                if remaining < 0:
                    self._spilled = self._spilled or SpilledRows()
                    self._spilled.append(rows, first)
                else:
                    self._rows.append((rows, first))
                first += len(sums)

    def free(self) -> None:
        """Free the memory of the entries."""
        self._rows.clear()

    def times(self, dense: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Set `out` (V_in, k) to M @ dense and return it, with `dense` (V, k); both float32, C-contiguous."""
        for batch in self._batches():
            count = max(TASKS // len(batch), 8)
            tasks = [(rows, first, *piece) for rows, first in batch for piece in rows.pieces(count)]

            def multiply(k: int, tasks: list[tuple[Panels, int, int, int]] = tasks) -> None:
                rows, first, begin, end = tasks[k]
                product = out[first : first + rows.starts.shape[1]]
                self._kernels.csr_times_dense(*rows, dense, product, begin, end)

            self._pool.run(multiply, len(tasks))
        return out

    def transposed_times(self, dense: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Set `out` (V, k) to M.T @ dense and return it, with `dense` (V_in, k); both float32, C-contiguous."""
        out.fill(0)
        for batch in self._batches():

            def multiply(k: int, batch: list[PlacedRows] = batch) -> None:
                for rows, first in batch:
                    factor = dense[first : first + rows.starts.shape[1]]
                    self._kernels.add_transposed_csr_times_dense(*rows, factor, out, k)

            self._pool.run(multiply, len(self._bounds) - 1)
        return out

    def _batches(self) -> Iterator[list[PlacedRows]]:
        """Yield lists of groups that are in memory together."""
        if self._rows:
            yield self._rows
        if self._spilled is not None:
            with closing(self._spilled.read()) as groups:
                for group in groups:
                    yield [group]


def pmi_products(counts: TiledRows, group: int, totals: Totals, dense: NDArray[Any], pool: Pool) -> NDArray[Any]:
    """Return M @ dense for the rows of a group."""
    sums = totals.rows[group_slice(group, len(totals.rows))]
    nnz = int(counts.lengths.sum())
    bounds = _panel_bounds(counts, (len(sums), len(dense)), nnz)
    scratch = np.empty(nnz, np.uint16), np.empty(nnz, dense.dtype)
    return pmi_panels(counts, sums, _column_factors(totals), bounds, scratch, pool).times(dense, pool)


def _column_factors(totals: Totals) -> NDArray[np.float64]:
    """Return sum_k(n_k^a) / n_c^a for each column, (V,)."""
    weights = totals.columns**CONTEXT_EXPONENT
    return reciprocals(weights, weights.sum())


def _panel_bounds(counts: TiledRows, shape: tuple[int, int], nnz: int) -> NDArray[np.int32]:
    """Return the first column of each panel of a matrix with `nnz` counts, and the number of columns.

    A panel is a task of the pool, so panels should have similar numbers of counts. Panels end at quantiles of the
    columns of a sample, and at multiples of a width. The sample is each n-th count of a group.
    """
    (rows, columns), places = shape, _places(counts.lengths)
    distance = max(int(places[-1]) // SAMPLE, 1)
    parts = [
        counts.decoded(begin, end).indices[-places[begin] % distance :: distance] for begin, end in _pieces(counts)
    ]
    sample = np.sort(np.concatenate(parts))
    panels = max(nnz // (ROW_ENTRIES * rows), 1)  # so that a row has some counts in a panel
    cuts = sample[:: max(-(-len(sample) // min(panels, TASKS // 2)), 1)]
    width = min(max(PMI_COLUMNS, -(-columns // panels)), WIDEST_PANEL)
    return np.unique(np.concatenate(([0], np.arange(0, columns, width), cuts, [columns]))).astype(np.int32)


def _pieces(counts: TiledRows) -> list[tuple[int, int]]:
    """Return the ranges of rows of a group that are tasks of the pool."""
    return row_ranges(counts.lengths, max(int(counts.lengths.sum()) // TASKS, 1))


def _places(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place of the first entry of each row, if rows have no gaps between them, and the number of entries."""
    return np.concatenate([[0], np.cumsum(lengths)])


def pmi_panels(
    counts: TiledRows,
    row_totals: NDArray[np.float64],
    column_factors: NDArray[np.float64],
    bounds: NDArray[np.int32],
    scratch: tuple[NDArray[np.uint16], NDArray[Any]],
    pool: Pool,
) -> Panels:
    """Return max(0, log(N_rc f_c / n_r)) for the rows of a group, in panels between `bounds`.

    n_r is the total of a row, f_c the factor of a column. The kernel writes the entries of a piece to `scratch`, from
    the place of the piece's first count on. The entries then move to new arrays without gaps. `scratch` serves all
    groups, since writing to fresh memory takes longer than the logarithms.
    """
    pieces, factors, kernels = _pieces(counts), reciprocals(row_totals), kernels_for(scratch[1].dtype)
    starts = np.zeros((len(bounds), len(counts.lengths)), np.int64)
    places = _places(counts.lengths)  # in `scratch`

    def fill(k: int) -> None:
        begin, end = pieces[k]
        part, place = counts.decoded(begin, end), int(places[begin])
        kernels.positive_pmi(*part, factors[begin:end], column_factors, bounds, starts[:, begin:end], *scratch, place)

    pool.run(fill, len(pieces))
    new_places = _places(starts[-1] - starts[0])
    columns, data = (np.empty(new_places[-1], part.dtype) for part in scratch)

    def move(k: int) -> None:
        begin, end = pieces[k]
        old, new, size = places[begin], new_places[begin], new_places[end] - new_places[begin]
        columns[new : new + size], data[new : new + size] = (array[old : old + size] for array in scratch)
        starts[:, begin:end] += new - old

    pool.run(move, len(pieces))
    return Panels(bounds, starts, columns, data)


class SpilledRows:
    """Groups of rows in an unnamed temporary file, read in the order in which they were appended.

    The file is read, not mapped: touched pages of a mapped file count as memory of the process.
    """

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - open as long as this object
        weakref.finalize(self, self._file.close)
        self._groups: list[tuple[int, list[tuple[int, ...]]]] = []  # first row, and shapes

    def append(self, rows: Panels, first: int) -> None:
        """Append a group and the place of its first row; raise OSError if the disk is full."""
        self._file.writelines(array.data for array in rows)
        self._groups.append((first, [array.shape for array in rows]))

    def read(self) -> Generator[PlacedRows, None, None]:
        """Yield the groups; the next group is read while one is in use."""
        self._file.seek(0)
        with closing(ordered_map(self._read_next, self._groups, 1, ahead=1)) as groups:
            yield from groups

    def _read_next(self, group: tuple[int, list[tuple[int, ...]]]) -> PlacedRows:
        first, shapes = group
        rows = Panels(*map(mapped_zeros, shapes, ("i4", "i8", "u2", "f4")))
        for array in rows:
            self._file.readinto(array.data)
        return rows, first


def reciprocals(totals: NDArray[np.float64], numerator: float = 1.0) -> NDArray[np.float64]:
    """Return numerator / totals, finite, and 0 where the total is 0."""
    with np.errstate(over="ignore"):
        quotients = np.divide(numerator, totals, out=np.zeros_like(totals), where=totals > 0)
    return np.minimum(quotients, np.finfo(np.float64).max)
