# The stub of every build: all are compiled from the same sources. `_Real` arrays of one call share one dtype.

from threading import RLock
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

_Real = TypeVar("_Real", np.float32, np.float64)
_Doubles: TypeAlias = npt.NDArray[np.float64]
_Ids: TypeAlias = npt.NDArray[np.intp]
_Columns: TypeAlias = npt.NDArray[np.int32]
_Starts: TypeAlias = npt.NDArray[np.int64]

# bags.pxi

class _Bags(Protocol):
    @property
    def starts(self) -> _Starts: ...
    @property
    def ids(self) -> _Columns: ...
    @property
    def weights(self) -> npt.NDArray[Any]: ...

def bag_gather(
    embedding: npt.NDArray[_Real],
    starts: _Starts,
    ids: _Columns,
    weights: npt.NDArray[_Real],
    rows: _Ids,
    first: int,
    last: int,
    h: npt.NDArray[_Real],
) -> None: ...

# row.pxi

def exp_array(x: npt.NDArray[_Real], out: npt.NDArray[_Real]) -> None: ...
def matvec(
    weights: npt.NDArray[_Real],
    h: npt.NDArray[_Real],
    bias: npt.NDArray[_Real] | None,
    bounds: _Ids,
    first: int,
    last: int,
    logits: npt.NDArray[_Real],
) -> None: ...
def softmax(logits: npt.NDArray[_Real]) -> float: ...
def row_pass(
    weights: npt.NDArray[_Real],
    h: npt.NDArray[_Real],
    bias: npt.NDArray[_Real] | None,
    bounds: _Ids,
    first: int,
    last: int,
    columns: _Columns,
    amounts: _Doubles,
    logits: npt.NDArray[_Real] | None,
    partials: _Doubles,
    expected: npt.NDArray[_Real] | None,
    observed: npt.NDArray[_Real] | None,
    tile_rows: int,
    prefetch: bool,
) -> None: ...
def row_merge(
    partials: _Doubles,
    expected: npt.NDArray[_Real] | None,
    observed: npt.NDArray[_Real] | None,
    amounts: _Doubles,
    scale: float,
    gradient: _Doubles,
) -> tuple[float, float]: ...
def bag_descend(
    embedding: npt.NDArray[_Real],
    ids: _Columns,
    weights: npt.NDArray[_Real],
    h: npt.NDArray[_Real],
    gradient: _Doubles,
    amounts: _Doubles,
    learning_rate: float,
    linear_rate: float,
) -> bool: ...
def row_update_linear(
    weights: npt.NDArray[_Real],
    h: npt.NDArray[_Real],
    logits: npt.NDArray[_Real],
    bounds: _Ids,
    first: int,
    last: int,
    columns: _Columns,
    amounts: _Doubles,
    partials: _Doubles,
    log_normaliser: float,
    step: float,
) -> None: ...

TILE_ROWS: int

# row_trainer.pxi

class _RowScratch(Protocol):
    @property
    def h(self) -> npt.NDArray[Any]: ...
    @property
    def logits(self) -> npt.NDArray[Any]: ...
    @property
    def partials(self) -> _Doubles: ...
    @property
    def expected(self) -> npt.NDArray[Any]: ...
    @property
    def observed(self) -> npt.NDArray[Any]: ...
    @property
    def gradient(self) -> _Doubles: ...

@disjoint_base
class RowTrainer:
    def step(self, lock: RLock, i: int, target: int, learning_rate: float, update_linear: bool) -> float: ...
    def train(
        self,
        inputs: _Ids | _Bags,
        starts: _Starts,
        columns: _Columns,
        amounts: _Doubles,
        begin: int,
        end: int,
        learning_rate: float,
        update_linear: bool,
        sums: _Doubles,
    ) -> int: ...

def row_trainer(
    embedding: npt.NDArray[_Real],
    weights: npt.NDArray[_Real],
    bias: npt.NDArray[_Real] | None,
    bounds: _Ids,
    tile_rows: int,
    prefetch: bool,
    scale: float,
    scratch: _RowScratch,
) -> RowTrainer: ...

# block.pxi

def block_update_embedding(
    embedding: npt.NDArray[_Real],
    rows: _Ids,
    row_rates: _Doubles,
    gradients: npt.NDArray[_Real],
    squares: _Doubles | None,
    rate: float,
    first: int,
    last: int,
) -> None: ...

# block_tasks.pxi

PIECE_ROWS: int

# block_trainer.pxi

class _BlockScratch(Protocol):
    @property
    def h(self) -> npt.NDArray[Any]: ...
    @property
    def weighted_h(self) -> npt.NDArray[Any]: ...
    @property
    def logits(self) -> npt.NDArray[Any]: ...
    @property
    def h_gradients(self) -> npt.NDArray[Any]: ...
    @property
    def gradients(self) -> npt.NDArray[Any]: ...
    @property
    def momentum(self) -> npt.NDArray[Any]: ...
    @property
    def partials(self) -> _Doubles: ...
    @property
    def log_normalisers(self) -> _Doubles: ...
    @property
    def shares(self) -> _Doubles: ...
    @property
    def segments(self) -> _Starts: ...

class _Parameters(Protocol):
    @property
    def embedding(self) -> npt.NDArray[Any]: ...
    @property
    def weights(self) -> npt.NDArray[Any]: ...
    @property
    def bias(self) -> npt.NDArray[Any] | None: ...
    @property
    def linear_squares(self) -> _Doubles: ...

class _Tiles(Protocol):
    @property
    def bases(self) -> _Starts: ...
    @property
    def offsets(self) -> _Starts: ...
    @property
    def entries(self) -> _Starts: ...
    @property
    def filled(self) -> _Starts: ...
    @property
    def kinds(self) -> npt.NDArray[np.uint8]: ...
    @property
    def row_factors(self) -> _Doubles: ...
    @property
    def column_factors(self) -> _Doubles: ...
    @property
    def totals(self) -> _Doubles: ...

class _BagScratch(Protocol):
    @property
    def row_gradients(self) -> npt.NDArray[Any]: ...
    @property
    def slots(self) -> _Columns: ...
    @property
    def slot_of_entry(self) -> _Columns: ...
    @property
    def named(self) -> _Columns: ...
    @property
    def ends(self) -> _Starts: ...
    @property
    def members(self) -> _Columns: ...
    @property
    def grouped_weights(self) -> npt.NDArray[Any]: ...

class _Exchange(Protocol):
    @property
    def nodes(self) -> int: ...
    @property
    def node_shards(self) -> int: ...
    @property
    def rank_partials(self) -> _Doubles: ...
    @property
    def partials(self) -> _Doubles: ...
    @property
    def kept(self) -> npt.NDArray[Any]: ...
    @property
    def gradients(self) -> npt.NDArray[Any]: ...
    def gather_partials(self, size: int) -> None: ...
    def gather_gradients(self, size: int) -> None: ...

@disjoint_base
class BlockTrainer:
    def open(self) -> None: ...
    def close(self) -> None: ...
    def work(self, member: int) -> None: ...
    def step(self, rows: _Ids, next_rows: _Ids | None, rate: float, linear_rate: float, correction: float) -> float: ...
    def take_kept(self) -> int: ...

def block_trainer(
    parameters: _Parameters,
    squares: _Doubles | None,
    bounds: _Ids,
    row_rates: _Doubles,
    row_weights: npt.NDArray[_Real],
    counts: _Tiles,
    gemm: object,
    decay: float,
    scratch: _BlockScratch,
    bags: _Bags | None,
    bag_weights: npt.NDArray[_Real] | None,
    bag_scratch: _BagScratch | None,
    exchange: _Exchange | None,
) -> BlockTrainer: ...

# squares.pxi

def squares_epoch(
    starts: _Starts,
    ids: _Columns,
    weights: npt.NDArray[_Real],
    squares: npt.NDArray[_Real],
    unshared: npt.NDArray[_Real],
    label_starts: _Starts,
    label_ids: _Columns,
    costs: npt.NDArray[_Real],
    order: _Starts,
    bias: npt.NDArray[_Real],
    rows: npt.NDArray[_Real],
    dual: npt.NDArray[_Real],
    tile: int,
    bias_square: float,
    sums: _Doubles,
) -> None: ...

# sparse.pxi

def positive_pmi(
    begins: _Starts,
    ends: _Starts,
    indices: _Columns,
    counts: _Doubles,
    row_factors: _Doubles,
    column_factors: _Doubles,
    bounds: _Columns,
    starts: _Starts,
    columns: npt.NDArray[np.uint16],
    data: npt.NDArray[_Real],
    place: int,
) -> None: ...
def csr_times_dense(
    bounds: _Columns,
    starts: _Starts,
    columns: npt.NDArray[np.uint16],
    data: npt.NDArray[_Real],
    dense: npt.NDArray[_Real],
    product: npt.NDArray[_Real],
    begin: int,
    end: int,
) -> None: ...
def add_transposed_csr_times_dense(
    bounds: _Columns,
    starts: _Starts,
    columns: npt.NDArray[np.uint16],
    data: npt.NDArray[_Real],
    dense: npt.NDArray[_Real],
    product: npt.NDArray[_Real],
    k: int,
) -> None: ...
def add_log_product(
    starts: _Columns,
    columns: _Columns,
    counts: npt.NDArray[_Real],
    ends: _Columns,
    indices: _Columns,
    data: npt.NDArray[_Real],
    factor: float,
    floor: float,
    sums: npt.NDArray[_Real],
    logits: npt.NDArray[_Real],
) -> None: ...
def quadratic_forms(
    starts: _Columns, columns: _Columns, data: npt.NDArray[_Real], dense: npt.NDArray[_Real], forms: npt.NDArray[_Real]
) -> None: ...

# mixture.pxi

def mixture_moments(
    first: npt.NDArray[_Real],
    second: npt.NDArray[_Real],
    first_factor: float,
    second_factor: float,
    starts: _Columns,
    seen: _Columns,
    x: npt.NDArray[_Real],
    moments: _Doubles,
) -> None: ...
def mixture_ranks(
    first: npt.NDArray[_Real],
    second: npt.NDArray[_Real],
    first_factor: float,
    second_factor: float,
    starts: _Columns,
    seen: _Columns,
    x: npt.NDArray[_Real],
    hidden_starts: _Columns,
    hidden: _Columns,
    above: _Columns,
) -> None: ...
