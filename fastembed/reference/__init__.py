"""The twin of every kernel in plain NumPy: short, in float64 throughout, and the reference of the tests.

It follows ``docs/derivation.md`` line by line, in the same symbols, and saves no memory. Nothing here works in place:
the parameters may have any real dtype, and the results are new float64 arrays. Matrices have the mathematical shapes:
the linear layer is (D, V), the target ``y`` of an example is a dense row (V,), and bags are a dense matrix. The twins
of kernels that read text are plain Python.

Kernels with an equivalent NumPy function have no twin here: `exp_array`, and the products of sparse matrices.
"""

from fastembed.reference.block import (
    block_loss,
    block_residual,
    fit_counts,
    gather,
    groups,
    momentum_adagrad,
    scatter,
)
from fastembed.reference.cooccur import (
    cooccurrence,
    positions,
    tile,
    totals,
)
from fastembed.reference.features import (
    bags,
    find_pairs,
    frequencies,
    joined_rows,
    number_pairs,
    pairs_at,
    part_of_pair,
    put_numbers,
    rank_pairs,
    shared_entries,
    split_bags,
    unit_rows,
)
from fastembed.reference.ova import (
    ova_epoch,
    ova_gradient,
    ova_loss,
    sigmoid,
)
from fastembed.reference.row import (
    gradient,
    linear_gradient,
    logits_gradient,
    logsumexp,
    loss,
    matvec,
    merge,
    softmax,
    statistics,
    step,
    target_row,
    train,
)
from fastembed.reference.sparse import (
    positive_pmi,
)
from fastembed.reference.text import (
    count_tokens,
    encode,
    join_phrases,
    neighbors,
    ngrams,
    ranking,
    separate_labels,
    sequences,
    valid_utf8,
    words,
)

__all__ = [
    "bags",
    "block_loss",
    "block_residual",
    "cooccurrence",
    "count_tokens",
    "encode",
    "find_pairs",
    "fit_counts",
    "frequencies",
    "gather",
    "gradient",
    "groups",
    "join_phrases",
    "joined_rows",
    "linear_gradient",
    "logits_gradient",
    "logsumexp",
    "loss",
    "matvec",
    "merge",
    "momentum_adagrad",
    "neighbors",
    "ngrams",
    "number_pairs",
    "ova_epoch",
    "ova_gradient",
    "ova_loss",
    "pairs_at",
    "part_of_pair",
    "positions",
    "positive_pmi",
    "put_numbers",
    "rank_pairs",
    "ranking",
    "scatter",
    "separate_labels",
    "sequences",
    "shared_entries",
    "sigmoid",
    "softmax",
    "split_bags",
    "statistics",
    "step",
    "target_row",
    "tile",
    "totals",
    "train",
    "unit_rows",
    "valid_utf8",
    "words",
]


def __dir__() -> list[str]:
    return __all__
