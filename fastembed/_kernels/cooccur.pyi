import numpy as np
import numpy.typing as npt

def count_ids(ids: npt.NDArray[np.int32], first: int, last: int, occurrences: npt.NDArray[np.int32]) -> None: ...
def gather_positions(
    ids: npt.NDArray[np.int32], first: int, last: int, places: npt.NDArray[np.int32], positions: npt.NDArray[np.int32]
) -> None: ...
def count_rows(
    ids: npt.NDArray[np.int32],
    starts: npt.NDArray[np.int64],
    positions: npt.NDArray[np.int32],
    first: int,
    last: int,
    before: npt.NDArray[np.float64],
    after: npt.NDArray[np.float64],
    n_contexts: int,
    directed: bool,
    totals: npt.NDArray[np.float64],
    nonzeros: npt.NDArray[np.int32],
    present: npt.NDArray[np.uint64],
    present64: npt.NDArray[np.uint64],
    lengths: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
) -> int: ...
def product_rows(
    starts: npt.NDArray[np.int32],
    users: npt.NDArray[np.int32],
    counts: npt.NDArray[np.float32],
    user_starts: npt.NDArray[np.int32],
    items: npt.NDArray[np.int32],
    user_counts: npt.NDArray[np.float32],
    first: int,
    last: int,
    totals: npt.NDArray[np.float32],
    nonzeros: npt.NDArray[np.int32],
    present: npt.NDArray[np.uint64],
    present64: npt.NDArray[np.uint64],
    begins: npt.NDArray[np.int32],
    ends: npt.NDArray[np.int32],
    diagonals: npt.NDArray[np.int32],
    ids: npt.NDArray[np.int32],
    data: npt.NDArray[np.float32],
) -> None: ...
def regression(
    starts: npt.NDArray[np.int32],
    diagonals: npt.NDArray[np.int32],
    indices: npt.NDArray[np.int32],
    data: npt.NDArray[np.float32],
    ids: npt.NDArray[np.int32],
    places: npt.NDArray[np.int32],
    system: npt.NDArray[np.float32],
    scratch: npt.NDArray[np.float32],
    entries: npt.NDArray[np.int32],
    weights: npt.NDArray[np.float32],
) -> None: ...
