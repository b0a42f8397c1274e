from collections.abc import Sequence
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

_Text: TypeAlias = bytes | npt.NDArray[np.uint8]
_Int32: TypeAlias = npt.NDArray[np.int32]
_Int64: TypeAlias = npt.NDArray[np.int64]
_UInt64: TypeAlias = npt.NDArray[np.uint64]
_Float: TypeAlias = npt.NDArray[np.float64]
_Float32: TypeAlias = npt.NDArray[np.float32]

NONE: int

@disjoint_base
class PairIndex:
    def __new__(cls, left: _Int32, right: _Int32) -> Self: ...
    def find_all(self, left: _Int32, right: _Int32, shift: int, numbers: _Int32) -> None: ...

def part_sizes(left: _Int32, right: _Int32, shift: int, first: int, last: int, sizes: _Int64) -> None: ...
def part_pairs(
    left: _Int32, right: _Int32, shift: int, first: int, last: int, ends: _Int64, pairs: _UInt64
) -> None: ...
def number_pairs(
    pairs: _UInt64, bounds: _Int64, first: int, last: int, numbers: _Int32, counts: _Int32, sizes: _Int64
) -> None: ...
def put_numbers(
    left: _Int32,
    right: _Int32,
    shift: int,
    first: int,
    last: int,
    numbers: _Int32,
    bounds: _Int64,
    ranks: _Int32,
    starts: _Int64,
    pair_ranks: _Int32,
) -> None: ...
def bags(
    features: Sequence[_Int32], offsets: _Int64, starts: _Int64, indptr: _Int64, indices: _Int32, data: _Float
) -> int: ...
def unit_rows(indptr: _Int64, indices: _Int32, data: _Float, weights: _Float, logarithmic: bool) -> None: ...
def split_bags(
    indptr: _Int64,
    indices: _Int32,
    data: _Float,
    order: _Int64,
    rows: _Int32,
    first: int,
    last: int,
    starts: _Int64,
    ids: _Int32,
    weights: _Float32,
    squares: _Float32,
    unshared: _Float32,
    owners: _Int32,
    amounts: _Float32,
) -> None: ...
def label_terms(
    indptr: _Int64,
    indices: _Int32,
    starts: _Int64,
    documents: _Int32,
    amounts: _Float,
    shares: _Float,
    prior: float,
    sums: _Float,
    places: _Int64,
    changes: _Float,
    counts: _Float,
    nonzeros: _Int32,
) -> None: ...
def separate_labels(text: _Text, prefix: _Text) -> tuple[bytes, bytes]: ...
