"""The parameters that training starts from, and the gauge that it ends in.

The start is a truncated SVD of the positive pointwise mutual information of counts. The logits of skip-gram model the
PMI (Levy & Goldberg 2014). So the best low-rank approximation of the positive PMI, split evenly between embedding and
linear layer, is close to the optimum.

The gauge chooses one of many models with the same logits. Any vector mu and invertible matrix A leave the logits
unchanged:

    E W + b  =  (E - mu) A · A⁻¹ W  +  (b + mu W)

So the likelihood does not determine mu and A, but the cosines between the rows of E depend on both. Here mu centres
the rows, and A shrinks each direction by its share of noise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from tempfile import TemporaryFile
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastembed._base.arrays import RandomAccessFile, aligned_zeros, padded_width, row_ranges
from fastembed._base.memory import give_back_freed
from fastembed._base.panels import TASKS, Panels
from fastembed._base.progress import bar
from fastembed._base.threads import Pool, ordered_map
from fastembed._kernels import kernels_for
from fastembed.counts.groups import group_count, group_size, group_slice
from fastembed.counts.store import GroupedCounts, Totals
from fastembed.counts.tiles import TiledRows

PMI_COLUMNS = 2048  # columns of a panel of the PMI: 2048 rows of 48 float32 fill a fifth of an L2 cache of 2 MiB

T = TypeVar("T")

# The Krylov space of the SVD has KRYLOV_PANELS panels of PANEL_SHARE columns per singular triplet (docs/design.md)
KRYLOV_PANELS, PANEL_SHARE = 5, 0.45
KRYLOV_COLUMNS = 1024  # up to this size the Krylov space may exceed the matrix: a dense SVD would save no time
# Directions of a float32 product below this share of the largest singular value are rounding errors
ROUNDING = 1e-5
# A panel with a direction shorter than WEAK times the largest singular value is made orthogonal twice. The second pass
# takes directions of length 1, and drops a direction of which less than LEAST_LEFT remains
WEAK, LEAST_LEFT = 0.01, 0.1
# Dimensions beyond the rank get normal noise of this scale: where both layers are zero, all gradients are zero.
# The ridge of new rows is FILL_SCALE times the mean square of a dimension.
FILL_SCALE = 0.01
AXES_ROWS = 1024  # rows in float64 at a time, per thread
AXES_TASKS = 64  # largest number of tasks, each of which has a k x k matrix
CONTEXT_EXPONENT = 0.75  # exponent of the shares of contexts in the PMI
WIDEST_PANEL = 1 << 16  # columns that 16 bits can number, for counts so sparse that narrower panels do not pay
ROW_ENTRIES = 8  # mean number of counts per row and panel below which narrower panels do not pay
SAMPLE = 1 << 16  # sampled columns from which panels of about equal numbers of counts are chosen

# Two-sided windows count a pair of positions in the rows of both words, though it is one observation. Where pairs are
# counted once (one-sided windows, pairs of a graph), half of them is a cautious choice.
PAIRS_PER_COUNT = 0.5
LEAST_SHARE = 0.1  # no direction is scaled by less than this share of the largest factor: A stays well-conditioned
LEAST_VARIANCE = 1e-6  # smallest variance, as a share of the largest: any value serves in directions without rows
GAUGE_ROWS = 2048  # rows in float64 at a time, per thread


def truncated_svd(
    matrix: PositivePMI, rank: int, rng: np.random.Generator, pool: Pool
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the leading singular triplets of M, by the randomised block Krylov method of Musco & Musco (2015).

    R = [R_1, ..., R_5] is an orthonormal basis of the span of G, MᵀM G, (MᵀM)² G, ..., where G is random and has about
    half as many columns as there are triplets. M R_k = L_k F_k, where the panel L_k is orthonormal and F_k is square.
    So M R = L F, with L = [L_1, ..., L_5] and F = diag(F_1, ..., F_5). The panels of L are not orthogonal to each
    other. With (L F)ᵀ L F = Q diag(s²) Qᵀ, U = L F Q diag(1/s) and V = R Q.

    If the space would exceed the smaller side of M, the SVD is dense.

    Each panel R_k is made orthogonal to the panels before it. A panel that is nearly in their span is made orthogonal
    twice, and random columns replace its zero columns. The bits are the same for any number of threads. Panels are
    whole cache lines wide, so that no load crosses a line.

    Parameters
    ----------
    matrix : PositivePMI (m, n)
        Its entries are freed when the space is complete.
    rank : int
        At most min(m, n).

    Returns
    -------
    u (m, rank), s (rank,), v (n, rank)
        M ≈ u @ diag(s) @ v.T, with s descending; columns for a singular value of zero are zero.
    """
    width = panel_width(rank)
    if space_size(rank, matrix.shape) < KRYLOV_PANELS * width:  # `space_size` is then the smaller side of the matrix
        return _whole_svd(matrix, rank, pool)
    lefts: list[NDArray[np.float32]] = []
    rights: list[NDArray[np.float32]] = []
    factor, largest = np.zeros((KRYLOV_PANELS * width, KRYLOV_PANELS * width)), 0.0  # matrix @ rights = lefts @ factor
    for k in bar(range(KRYLOV_PANELS), desc="start"):
        left, right = (aligned_zeros((size, width), "float32") for size in matrix.shape)
        if k == 0:
            right[:] = rng.standard_normal(right.shape, dtype=np.float32)
            _principal_axes(right, pool)
        else:
            matrix.transposed_times(lefts[-1], out=right)
            if _complement(right, rights, pool, ROUNDING * largest) < WEAK * largest:
                # Rounding errors of short directions have parts along the panels before. Zero columns mean that the
                # Krylov space has ended: random directions replace them
                empty = ~right.any(axis=0)
                right[:, empty] = rng.standard_normal((len(right), np.count_nonzero(empty)), dtype=np.float32)
                right[:, empty] /= np.sqrt(len(right))
                _complement(right, rights, pool, LEAST_LEFT)
        matrix.times(right, out=left)
        s, rotation = _principal_axes(left, pool)
        largest = max(largest, s[0])
        lefts.append(left)
        rights.append(right)
        part = slice(k * width, (k + 1) * width)
        factor[part, part] = s[:, None] * rotation.T
    matrix.free()
    squares, rotation = np.linalg.eigh(factor.T @ _products(lefts, pool) @ factor)
    squares, rotation = squares[: -rank - 1 : -1], rotation[:, : -rank - 1 : -1]
    real = squares > (ROUNDING * largest) ** 2
    s = np.sqrt(np.where(real, squares, 0))
    u, v = (np.empty((size, rank), np.float32) for size in matrix.shape)
    _multiply(lefts, factor @ rotation * np.divide(1, s, out=np.zeros_like(s), where=real), u, pool)
    _multiply(rights, rotation * real, v, pool)
    return u, s.astype(np.float32), v


def _whole_svd(
    matrix: PositivePMI, rank: int, pool: Pool
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the triplets of `truncated_svd` by a dense SVD: for ranks whose Krylov space would exceed the matrix."""
    rows, columns = matrix.shape
    unit = np.eye(min(rows, columns), dtype=np.float32)
    dense = np.empty((max(rows, columns), len(unit)), np.float32)  # M, or its transpose
    (matrix.times if rows > columns else matrix.transposed_times)(unit, out=dense)
    s, rotation = _principal_axes(dense, pool)
    s[s < ROUNDING * s[0]] = 0
    long, short = (side[:, :rank] * (s[:rank] > 0) for side in (dense, rotation.astype(np.float32)))
    u, v = (long, short) if rows > columns else (short, long)
    return u, s[:rank].astype(np.float32), v


def panel_width(rank: int) -> int:
    """Return the number of columns of a panel of the Krylov space for the leading `rank` singular triplets."""
    return padded_width(math.ceil(PANEL_SHARE * rank), "float32")


def space_size(rank: int, shape: tuple[int, int]) -> int:
    """Return the dimension of the space of the SVD: of the Krylov space, or of the smaller side of a small matrix."""
    krylov = KRYLOV_PANELS * panel_width(rank)
    return krylov if krylov <= KRYLOV_COLUMNS else min(krylov, *shape)


def svd_start(
    counts: GroupedCounts, totals: Totals, dim: int, rng: np.random.Generator, pool: Pool, memory: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return an embedding U √S (V_in, dim) and a linear layer √S Vᵀ (dim, V), where U S Vᵀ is near the positive PMI.

    Dimensions beyond the rank are filled with noise. `memory` as for `PositivePMI`.
    """
    pmi = PositivePMI(counts, totals, pool, memory)
    give_back_freed()  # the memory of the groups of counts
    u, s, v = truncated_svd(pmi, min(dim, *pmi.shape), rng, pool)
    rank = np.count_nonzero(s)
    embedding, linear = np.empty((len(u), dim), np.float32), np.empty((len(v), dim), np.float32)
    roots, rows = np.sqrt(s[:rank]), np.arange(len(u))
    order = np.concatenate([rows[group_slice(group, len(u))] for group in range(group_count(len(u)))])
    embedding[order, :rank] = u[:, :rank] * roots  # the PMI has its rows in the order of groups
    np.multiply(v[:, :rank], roots, out=linear[:, :rank])
    for side in (embedding, linear):
        side[:, rank:] = rng.standard_normal((len(side), dim - rank), dtype=np.float32) * np.float32(FILL_SCALE)
    return embedding, linear.T


def least_squares_rows(
    counts: GroupedCounts, totals: Totals, known: int, linear: NDArray[np.float32], pool: Pool
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
            products[rows[new] - known] = pmi_products(counts.read_group(group), group, totals, dense, pool)[new]
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


def _principal_axes(
    matrix: NDArray[np.float32], pool: Pool, floor: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return s, rotation of the thin SVD q @ diag(s) @ rotation.T of a tall matrix (m, k), which becomes q.

    The eigenvectors of matrixᵀ matrix in float64 take a seventh of the time of a QR. They square the condition number,
    which is acceptable for products of an orthonormal basis. Axes below the rounding error of the squares, or below
    `floor`, become zero.
    """
    squares, rotation = np.linalg.eigh(_products([matrix], pool))
    squares, rotation = squares[::-1], rotation[:, ::-1]
    real = squares > max(squares[0] * len(squares) * np.finfo(np.float64).eps, floor**2)
    s = np.sqrt(np.where(real, squares, 0))
    _multiply([matrix], rotation * np.divide(1, s, out=np.zeros_like(s), where=real), matrix, pool)
    return s, rotation


def _complement(right: NDArray[np.float32], rights: list[NDArray[np.float32]], pool: Pool, floor: float) -> float:
    """Make a panel orthogonal to `rights`, then orthonormal; return its smallest singular value between the steps."""
    shares = _products(rights, pool, right)
    _multiply([*rights, right], np.concatenate([-shares, np.eye(right.shape[1])]), right, pool)
    return float(_principal_axes(right, pool, floor)[0][-1])


def _products(
    panels: list[NDArray[np.float32]], pool: Pool, others: NDArray[np.float32] | None = None
) -> NDArray[np.float64]:
    """Return AᵀA in float64, with A the panels (m, k) side by side; or AᵀB, with B the matrix `others` (m, l)."""
    width = sum(panel.shape[1] for panel in panels)
    shape = width, width if others is None else others.shape[1]

    def part(task: list[slice]) -> NDArray[np.float64]:
        products = np.zeros(shape)
        for rows in task:
            a = np.concatenate([panel[rows] for panel in panels], axis=1, dtype=np.float64)
            products += a.T @ (a if others is None else others[rows].astype(np.float64))
        return products

    return ordered_sum(part, _tasks(len(panels[0])), shape, pool)


def ordered_sum(
    part: Callable[[T], NDArray[np.float64]], tasks: list[T], shape: tuple[int, ...], pool: Pool
) -> NDArray[np.float64]:
    """Return the sum of `part(task)` over tasks, in their order; about two parts per thread are in memory."""
    total = np.zeros(shape)
    with closing(ordered_map(part, tasks, pool.threads, ahead=pool.threads)) as parts:
        for term in parts:
            total += term
    return total


def _multiply(panels: list[NDArray[np.float32]], change: NDArray[Any], out: NDArray[np.float32], pool: Pool) -> None:
    """Set `out` to A @ change, with A the panels (m, k) side by side; `out` may be one of the panels."""
    tasks, change = _tasks(len(out)), change.astype(np.float32)

    def multiply(k: int) -> None:
        for rows in tasks[k]:
            out[rows] = np.concatenate([panel[rows] for panel in panels], axis=1) @ change

    pool.run(multiply, len(tasks))


def _tasks(rows: int) -> list[list[slice]]:
    """Return the pieces of rows of each task. They depend on the number of rows alone, and so do sums over tasks."""
    pieces = [slice(begin, begin + AXES_ROWS) for begin in range(0, rows, AXES_ROWS)]
    size = -(-len(pieces) // AXES_TASKS)
    return [pieces[begin : begin + size] for begin in range(0, len(pieces), size)]


class PositivePMI:
    """M = max(0, log(N_wc · sum_c(n_c^a) / (n_w · n_c^a))), with a = 0.75, where N_wc > 0.

    Raising the shares of contexts to a power below 1 keeps rare contexts from the highest scores (Levy, Goldberg &
    Dagan 2015). Only the positive entries are stored, by rows, in the order of the groups of the counts. Each number of
    a product is one sum, in the order of the columns or of the rows: its bits depend neither on the number of threads
    nor on where the entries are.

    Parameters
    ----------
    counts : GroupedCounts (V_in, V)
        Counts, of which at least one is positive.
    totals : Totals
        n_w and n_c; n_c may include rows that `counts` lacks.
    memory : int, optional
        The most bytes of entries in memory; further groups are in an unnamed temporary file.

    Attributes
    ----------
    shape : (int, int)
        (V_in, V).
    """

    def __init__(self, counts: GroupedCounts, totals: Totals, pool: Pool, memory: int | None = None) -> None:
        self.shape = counts.shape
        self._pool, self._kernels = pool, kernels_for("float32")
        entries = counts.entries
        factors, left = _column_factors(totals), math.inf if memory is None else memory
        self._rows: list[Panels] = []
        self._spill: SpilledRows | None = None  # the groups that do not fit into memory
        scratch = np.empty(int(entries.max()), np.uint16), np.empty(int(entries.max()), np.float32)
        # Group n + 1 is read while group n is in use, and group n + 2 after group n is freed
        with closing(ordered_map(counts.read_group, range(len(entries)), 2, ahead=1)) as parts:
            for group in range(len(entries)):
                part = next(parts)
                if group == 0:
                    self._bounds = _panel_bounds(part, self.shape, int(entries.sum()))
                sums = totals.rows[group_slice(group, self.shape[0])]
                rows = pmi_panels(part, sums, factors, self._bounds, scratch, pool)
                del part
                left -= sum(array.nbytes for array in rows)
                if left < 0:
                    self._spill = self._spill or SpilledRows()
                    self._spill.append(rows)
                else:
                    self._rows.append(rows)

    def free(self) -> None:
        """Free the memory of the entries."""
        self._rows.clear()

    def times(self, dense: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Set `out` (V_in, k) to M @ dense and return it, with `dense` (V, k); both float32, C-contiguous."""
        for batch in self._batches():
            tasks = [(*part, *piece) for part in batch for piece in part[0].pieces(max(TASKS // len(batch), 8))]

            def multiply(k: int, tasks: list[tuple[Panels, int, int, int]] = tasks) -> None:
                rows, offset, begin, end = tasks[k]
                product = out[offset : offset + rows.starts.shape[1]]
                self._kernels.csr_times_dense(*rows, dense, product, begin, end)

            self._pool.run(multiply, len(tasks))
        return out

    def transposed_times(self, dense: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Set `out` (V, k) to M.T @ dense and return it, with `dense` (V_in, k); both float32, C-contiguous."""
        out.fill(0)
        for batch in self._batches():

            def multiply(k: int, batch: list[tuple[Panels, int]] = batch) -> None:
                for rows, offset in batch:
                    factor = dense[offset : offset + rows.starts.shape[1]]
                    self._kernels.add_transposed_csr_times_dense(*rows, factor, out, k)

            self._pool.run(multiply, len(self._bounds) - 1)
        return out

    def _batches(self) -> Iterator[list[tuple[Panels, int]]]:
        """Yield lists of groups that are in memory together, each with the index of its first row in the matrix."""
        rows, held = self.shape[0], len(self._rows)
        offsets = [0, *itertools.accumulate(group_size(group, rows) for group in range(group_count(rows) - 1))]
        if held:
            yield list(zip(self._rows, offsets[:held], strict=True))
        if self._spill is not None:
            with closing(self._spill.read()) as parts:
                for part, offset in zip(parts, offsets[held:], strict=True):
                    yield [(part, offset)]


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
    rows, columns = shape
    ends = np.cumsum(counts.lengths)
    distance, sampled = max(int(ends[-1]) // SAMPLE, 1), list[NDArray[np.int32]]()
    for begin, end in row_ranges(counts.lengths, max(int(ends[-1]) // TASKS, 1)):
        before = int(ends[begin - 1]) if begin else 0
        # The counts whose number in the group is a multiple of the distance
        sampled.append(counts.decoded(begin, end).indices[-before % distance :: distance])
    sample = np.sort(np.concatenate(sampled))
    panels = max(nnz // (ROW_ENTRIES * rows), 1)  # so that a row has some counts in a panel
    cuts = sample[:: max(-(-len(sample) // min(panels, TASKS // 2)), 1)]
    width = min(max(PMI_COLUMNS, -(-columns // panels)), WIDEST_PANEL)
    return np.unique(np.concatenate(([0], np.arange(0, columns, width), cuts, [columns]))).astype(np.int32)


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
    places = np.concatenate([[0], np.cumsum(counts.lengths)])
    starts = np.zeros((len(bounds), len(counts.lengths)), np.int64)
    pieces, factors = row_ranges(counts.lengths, max(int(places[-1]) // TASKS, 1)), reciprocals(row_totals)
    kernels = kernels_for(scratch[1].dtype)

    def fill(k: int) -> None:
        begin, end = pieces[k]
        part, place = counts.decoded(begin, end), int(places[begin])
        kernels.positive_pmi(*part, factors[begin:end], column_factors, bounds, starts[:, begin:end], *scratch, place)

    pool.run(fill, len(pieces))
    ends = np.cumsum(starts[-1] - starts[0])
    columns, data = (np.empty(ends[-1], part.dtype) for part in scratch)

    def move(k: int) -> None:
        begin, end = pieces[k]
        source = slice(starts[0, begin], starts[-1, end - 1])
        target = slice(ends[end - 1] - (source.stop - source.start), ends[end - 1])
        columns[target], data[target] = scratch[0][source], scratch[1][source]
        starts[:, begin:end] += target.start - source.start  # places in `scratch` become places in the new arrays

    pool.run(move, len(pieces))
    return Panels(bounds, starts, columns, data)


class SpilledRows:
    """Groups of rows in an unnamed temporary file, read in the order in which they were appended.

    The file is read, not mapped: touched pages of a mapped file count as memory of the process.
    """

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - open as long as its reader
        self._reader = RandomAccessFile(self._file)
        self._groups: list[tuple[NDArray[np.int32], int, list[int]]] = []  # bounds, offset, bytes of each array

    def append(self, rows: Panels) -> None:
        """Append a group without gaps; raise OSError if the disk is full."""
        arrays = rows.starts, rows.data, rows.columns  # in this order each is aligned
        self._groups.append((rows.bounds, self._file.tell(), [array.nbytes for array in arrays]))
        for array in arrays:
            self._file.write(array.data)
        self._file.flush()

    def read(self) -> Generator[Panels, None, None]:
        """Yield the groups; the next group is read while one is in use."""
        with closing(ordered_map(self._read, self._groups, 1, ahead=1)) as groups:
            yield from groups

    def _read(self, group: tuple[NDArray[np.int32], int, list[int]]) -> Panels:
        bounds, offset, sizes = group
        read = np.frombuffer(self._reader.read(offset, sum(sizes)), np.uint8)
        starts, data, columns = np.split(read, np.cumsum(sizes[:-1]))
        panel_starts = starts.view(np.int64).reshape(len(bounds), -1)
        return Panels(bounds, panel_starts, columns.view(np.uint16), data.view(np.float32))


def reciprocals(totals: NDArray[np.float64], numerator: float = 1.0) -> NDArray[np.float64]:
    """Return numerator / totals, finite, and 0 where the total is 0."""
    with np.errstate(over="ignore"):
        quotients = np.divide(numerator, totals, out=np.zeros_like(totals), where=totals > 0)
    return np.minimum(quotients, np.finfo(np.float64).max)


# ---------------------------------------------------------------- the gauge


def apply_gauge(
    embedding: NDArray[Any], linear: NDArray[Any], bias: NDArray[Any], totals: Totals, pool: Pool, bags: Any = None
) -> NDArray[np.float64]:
    """Set E to (E - mu) A, W to A⁻¹ W and b to b + mu W, in place: the logits stay the same up to rounding.

    mu is the mean of the rows of E. A follows from the model of section 6 of ``docs/derivation.md``: rows of E have the
    covariance C, and nu pairs measure a row with the precision nu F. F is the covariance of the contexts' vectors under
    their shares, the Fisher information of a softmax near these shares. In a basis in which C is the identity and F is
    diagonal with entries gamma, the posterior mean of a coordinate is zeta / (1 + zeta) times its value, with zeta = nu
    gamma. A applies these factors. All words share nu = ½ Σ n² / Σ n, with n the sums of the rows: half the count of
    the word of a random pair. So A is the same for all words, and linear. With many counts the factors are close to 1.

    With bags X the vectors of the words are the rows of H = X E, and mu is their mean. The rows of X have different
    sums, so a vector subtracted from all rows of E would not centre H. E becomes E A, the bias stays, and the caller
    subtracts mu A from the rows of H.

    Parameters
    ----------
    embedding : ndarray (V_in, D)
    linear : ndarray (D, V)
    bias : ndarray (V,)
    totals : Totals
        The sums of the rows and columns of the counts that the model was fitted to.
    pool : Pool
        The bits are the same for any number of threads.
    bags : csr_array (N, V_in), optional
        X.

    Returns
    -------
    ndarray (D,)
        mu A: subtracted from the rows here, or, with bags, to be subtracted from the rows of X E A.

    Notes
    -----
    Without bags, rows without counts become zero, the mean.
    """
    rows, counted = embedding if bags is None else bags @ embedding, totals.rows > 0
    mean, covariance = _moments(rows, counted / np.count_nonzero(counted), pool)
    _, information = _moments(linear.T, totals.columns / totals.columns.sum(), pool)
    pairs: Any = PAIRS_PER_COUNT * (totals.rows @ totals.rows) / totals.rows.sum()
    change, inverse = _shrinking(covariance, information, pairs)

    def change_columns(k: int) -> None:  # W becomes A⁻¹ W, and b becomes b + mu W
        piece = slice(k * GAUGE_ROWS, (k + 1) * GAUGE_ROWS)
        columns = linear[:, piece].astype(np.float64)
        if bags is None:
            bias[piece] += (mean @ columns).astype(bias.dtype)
        linear[:, piece] = inverse @ columns

    def change_rows(k: int) -> None:  # E becomes (E - mu) A
        piece = slice(k * GAUGE_ROWS, (k + 1) * GAUGE_ROWS)
        embedding[piece] = (embedding[piece] - (mean if bags is None else 0.0)) @ change

    pool.run(change_columns, -(-linear.shape[1] // GAUGE_ROWS))
    pool.run(change_rows, -(-len(embedding) // GAUGE_ROWS))
    if bags is None:
        embedding[totals.rows == 0] = 0
    return np.asarray(mean @ change)


def _shrinking(
    covariance: NDArray[np.float64], information: NDArray[np.float64], pairs: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return A of `apply_gauge` and its inverse: A multiplies each coordinate by zeta / (1 + zeta); `pairs` is nu.

    With C = R Rᵀ and Rᵀ F R = Q diag(gamma) Qᵀ, coordinates in the basis R Q have the covariance 1 and the precisions
    nu gamma. The largest factor is scaled to 1, since the common scale of the rows is arbitrary.
    """
    variances, axes = np.linalg.eigh(covariance)
    if variances[-1] <= 0:  # all rows are equal
        return np.eye(len(axes)), np.eye(len(axes))
    scale = np.sqrt(np.maximum(variances, LEAST_VARIANCE * variances[-1]))
    root = axes * scale
    gamma, rotation = np.linalg.eigh(root.T @ information @ root)
    zeta = pairs * np.maximum(gamma, 0)
    shares = zeta / (1 + zeta)
    if shares[-1] == 0:  # all columns are equal
        return np.eye(len(axes)), np.eye(len(axes))
    shares = np.maximum(shares / shares[-1], LEAST_SHARE)
    basis, dual = root @ rotation, (axes / scale) @ rotation  # dual = basis⁻ᵀ
    return dual * shares @ basis.T, dual / shares @ basis.T


def _moments(
    rows: NDArray[Any], weights: NDArray[np.float64], pool: Pool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean (D,) and the covariance (D, D) of rows (V, D) under weights that sum to 1.

    There are two passes: E[xxᵀ] - E[x]E[x]ᵀ loses digits if the mean is far from zero.
    """
    dim, pieces = rows.shape[1], [slice(begin, begin + GAUGE_ROWS) for begin in range(0, len(rows), GAUGE_ROWS)]
    mean = ordered_sum(lambda piece: weights[piece] @ rows[piece].astype(np.float64), pieces, (dim,), pool)

    def squares(piece: slice) -> NDArray[np.float64]:
        deviations = rows[piece] - mean
        deviations *= np.sqrt(weights[piece, None])
        return deviations.T @ deviations

    return mean, ordered_sum(squares, pieces, (dim, dim), pool)
