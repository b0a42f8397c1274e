import numpy as np
import numpy.typing as npt

def measure_rows(
    begins: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
    bounds: npt.NDArray[np.int64],
    entries: npt.NDArray[np.int64],
    filled: npt.NDArray[np.int64],
    inexact: npt.NDArray[np.uint8],
) -> None: ...
def fill_tiles(
    begins: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
    bounds: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    entries: npt.NDArray[np.int64],
    filled: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.uint8],
    written: npt.NDArray[np.int64],
    written_rows: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
) -> None: ...
def damaged_tile(
    data: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    entries: npt.NDArray[np.int64],
    filled: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.uint8],
    rows: int,
) -> int: ...
def row_lengths(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    entries: npt.NDArray[np.int64],
    filled: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.uint8],
    lengths: npt.NDArray[np.int64],
) -> None: ...
def read_rows(
    data: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    entries: npt.NDArray[np.int64],
    filled: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.uint8],
    denominator: float,
    row_factors: npt.NDArray[np.float64],
    column_factors: npt.NDArray[np.float64],
    first: int,
    last: int,
    places: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
) -> None: ...
def add_totals(
    begins: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
    denominator: float,
    row_factors: npt.NDArray[np.float64],
    column_factors: npt.NDArray[np.float64],
    row_totals: npt.NDArray[np.float64],
    column_totals: npt.NDArray[np.float64],
) -> None: ...
