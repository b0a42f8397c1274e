"""Arrays as the kernels take them, sparse matrices in CSR form, largest values, and files read at any offset."""

from __future__ import annotations

import itertools
import math
import os
import weakref
from mmap import mmap
from threading import Lock
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from scipy import sparse

from fastembed._base.validation import check_amounts, check_weights
from fastembed._kernels.cpu import CACHE_LINE

Number = TypeVar("Number", bound=np.generic)
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

MANY = 64  # rows with more than MANY times `count` values are searched by groups of columns


def padded_width(dim: int, dtype: np.dtype[Any] | str) -> int:
    """Return `dim` rounded up to a whole number of cache lines of this dtype."""
    lanes = CACHE_LINE // np.dtype(dtype).itemsize
    return -(-dim // lanes) * lanes


def read_only(array: NDArray[Number]) -> NDArray[Number]:
    """Return a view that cannot be written to, or the array itself if it cannot."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def aligned_zeros(shape: tuple[int, ...], dtype: np.dtype[Any] | str) -> np.ndarray[Any, np.dtype[Any]]:
    """Return an array of zeros, C-contiguous, whose memory begins at a cache line."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.intp)) * dtype.itemsize
    raw = np.zeros(size + CACHE_LINE, dtype=np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size].view(dtype).reshape(shape)


def mapped_zeros(shape: tuple[int, ...], dtype: np.dtype[Any] | str) -> np.ndarray[Any, np.dtype[Any]]:
    """Return an array of zeros, C-contiguous, whose memory goes back to the system when it is freed.

    The C library keeps the freed memory of a thread, except the main thread, even after `give_back_freed`.
    """
    dtype, size = np.dtype(dtype), math.prod(shape)
    return np.frombuffer(mmap(-1, max(size * dtype.itemsize, 1)), dtype, size).reshape(shape)


# ---------------------------------------------------------------- CSR


def whole_sparse(matrix: Any) -> Any:
    """Return a sparse matrix of a caller, on the same arrays, after checking its indices.

    SciPy trusts the indices, and a flag that says they are in order, which may be out of date.
    """
    if matrix.format in ("csr", "csc", "bsr"):
        arrays = map(np.ascontiguousarray, (matrix.data, matrix.indices, matrix.indptr))
        matrix = type(matrix)(tuple(arrays), shape=matrix.shape)
        matrix.check_format(full_check=True)
        return matrix
    return sparse.coo_array(matrix) if matrix.format == "coo" else matrix  # coo_array checks its indices


def canonical_csr(name: str, matrix: Any, *, signed: bool = False) -> Any:
    """Return a matrix as a CSR array of float64 weights that are not zero, the columns of a row ascending and distinct.

    Weights must be positive unless `signed`. A matrix that is canonical already is not copied. Equal entries are added
    up in float64, whatever the dtype.
    """
    check = check_weights if signed else check_amounts
    matrix = whole_sparse(matrix if sparse.issparse(matrix) else sparse.csr_array(matrix))
    if matrix.format == "coo" or matrix.dtype.kind not in "fiub":  # a sum of equal entries may hide a negative one
        check(name, matrix.data)
    if matrix.dtype != np.float64:
        with np.errstate(over="ignore"):
            matrix = matrix.astype(np.float64)
    matrix = sparse.csr_array(matrix)
    check(name, matrix.data)
    if not matrix.has_canonical_format or not matrix.data.all():
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        check(f"the sums of {name}", matrix.data)
    return matrix


def csr(
    data: Float64, indices: Int32, indptr: npt.NDArray[np.signedinteger[Any]], shape: tuple[int, int]
) -> sparse.csr_array:
    """Return the CSR array of these entries without copying them.

    SciPy needs both index arrays in one dtype, so `indptr`, which is short, becomes int32 if its values fit.
    """
    narrow = indptr.max(initial=0) <= np.iinfo(np.int32).max
    return sparse.csr_array((data, indices, indptr.astype(np.int32) if narrow else indptr), shape=shape)


def sorted_csr(
    data: Float64, indices: Int32, indptr: npt.NDArray[np.signedinteger[Any]], shape: tuple[int, int]
) -> sparse.csr_array:
    """Return the CSR array of rows whose columns ascend; SciPy does not check the order."""
    matrix = csr(data, indices, indptr, shape)
    matrix.has_canonical_format = True
    return matrix


def row_ranges(sizes: Int64, wanted: int) -> list[tuple[int, int]]:
    """Return ranges of rows, (first, last + 1); the sizes of a range add up to about `wanted`."""
    reached = np.cumsum(sizes)
    cuts = np.searchsorted(reached, np.arange(wanted, int(reached[-1]), wanted)) + 1
    edges = np.unique(np.concatenate(([0], cuts, [len(sizes)]))).tolist()
    return list(itertools.pairwise(edges))


# ---------------------------------------------------------------- largest values


def largest(values: NDArray[Any], count: int) -> NDArray[np.intp]:
    """Return the places of the `count` largest values (N,), or of all, descending; ties are in the order of places.

    Examples
    --------
    >>> largest(np.array([0.1, 0.4, 0.1, 0.4]), 3)
    array([1, 3, 0])
    """
    if not 0 < count < len(values):
        return np.argsort(-values, kind="stable")[: max(count, 0)]
    least = np.partition(values, len(values) - count)[len(values) - count]
    candidates = np.flatnonzero(values >= least)
    return candidates[np.argsort(-values[candidates], kind="stable")[:count]]


def largest_of_rows(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the result of `largest` for each row of values (N, L) without NaN: (N, count), or (N, L).

    Examples
    --------
    >>> largest_of_rows(np.array([[0.1, 0.4, 0.1, 0.4], [-1, 0, -0.0, 9]], np.float32), 3)
    array([[1, 3, 0],
           [3, 1, 2]])
    """
    columns, low = values.shape[1], np.int64(0xFFFFFFFF)
    count = min(count, columns)
    if 0 < MANY * count < columns:  # the maxima of `count` groups reach `least`, so the wanted values reach it
        groups = MANY // 2 * count
        maxima = values[:, : columns // groups * groups].reshape(len(values), -1, groups).max(axis=1)
        least = np.partition(maxima, groups - count, axis=1)[:, groups - count]
        owners, candidates = np.divmod(np.flatnonzero(values >= least[:, None]), columns)
        order = np.lexsort((-values[owners, candidates], owners))
        firsts = np.searchsorted(owners, np.arange(len(values)))
        return candidates[order[firsts[:, None] + np.arange(count)]]
    # The key of a value has its bits, in the order of numbers, above its place: no two keys are equal
    bits = (values + np.float32(0)).view(np.int32)  # makes -0.0 zero
    keys = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64) << 32 | (low - np.arange(columns))
    keys.partition(min(columns - count, columns - 1), axis=1)
    keys = keys[:, columns - count :]
    keys.sort(axis=1)
    return low - (keys[:, ::-1] & low)


# ---------------------------------------------------------------- files read at any offset


class RandomAccessFile:
    """An open file that any thread may read at any offset; closed when nothing refers to this object.

    Parameters
    ----------
    stream : BinaryIO
        An open file with a file descriptor.
    """

    def __init__(self, stream: BinaryIO) -> None:
        weakref.finalize(self, stream.close)
        self._stream = stream
        self._lock = Lock()  # for Windows, which cannot seek and read in one call

    def read(self, offset: int, size: int) -> bytes:
        """Return exactly `size` bytes from an offset on.

        Raises
        ------
        OSError
            If the file cannot be read, or ends too early.
        """
        parts: list[bytes] = []
        while size:
            data = self._read_some(offset, size)
            if not data:
                raise OSError(f"the file ends {size:,} bytes too early")
            parts.append(data)
            offset, size = offset + len(data), size - len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_some(self, offset: int, size: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._stream.fileno(), size, offset)
        with self._lock:
            self._stream.seek(offset)
            return self._stream.read(size)
