from typing import Any

import numpy as np
import numpy.typing as npt

def measure_tiles(
    begins: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
    bounds: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.uint16],
    wide: npt.NDArray[np.uint8],
) -> None: ...
def write_tile(
    places: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.uint16],
    columns: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
    first: int,
    tile_values: npt.NDArray[Any],
    tile_columns: npt.NDArray[np.uint16],
) -> None: ...
def read_tile(
    places: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.uint16],
    columns: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
    first: int,
    tile_values: npt.NDArray[Any],
    tile_columns: npt.NDArray[np.uint16],
) -> None: ...
