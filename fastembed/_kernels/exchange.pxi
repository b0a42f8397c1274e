"""What the processes of one fit, the ranks, exchange: the memory for it, and the arithmetic before and after.

Each rank trains some consecutive shards: one or several nodes of the binary tree that merges the results of shards. A
rank merges its shards node by node, and sends one result per node (trainer/ranks.py). The tree of all nodes then gives
the bits of a single process.

Per block, the ranks exchange the softmax' partial results (`join_nodes`), and with bags also dH (`join_gradients`).
Without bags, a rank keeps dH of several blocks (`keep_rows`), and the ranks exchange it at once: no other step reads
the rows of the embedding meanwhile.

Nodes have `node_shards` shards each. A single process exchanges nothing; all its shards are one node.
"""

from libc.string cimport memcpy, memset

from fastembed._kernels.primitives cimport TREE_DEPTH
from fastembed._kernels.types cimport real

include "block.pxi"


cdef struct RankMemory:
    Py_ssize_t nodes           # nodes of all ranks; 0 for a single process
    Py_ssize_t node_shards     # shards per node
    Py_ssize_t rank_nodes      # nodes of this rank
    double* rank_partials      # (rank_nodes, 3, size): partial results of this rank for a block of `size` rows
    double* partials           # (nodes, 3, size): partial results of all ranks for the block
    void* gradients            # (nodes, size, width), with bags: dH of a block by all ranks
    void* kept                 # (rank_nodes, capacity, width), without bags: dH of several blocks by this rank
    Py_ssize_t capacity, kept_rows


cdef void join_nodes(
    const RankMemory* ranks, const double* partials, Py_ssize_t shard_size, Py_ssize_t size,
) noexcept nogil:
    """Merge the shards of each node of this rank: `partials` as in `join_shards` become `rank_partials`."""
    cdef PartialRows[TREE_DEPTH] waiting
    cdef Py_ssize_t node, first, n
    cdef double* joined
    memset(&waiting[0], 0, sizeof(waiting))
    for node in range(ranks.rank_nodes):
        joined = ranks.rank_partials + 3 * node * size
        first = 0
        while first < size:
            n = min(<Py_ssize_t>MERGE_ROWS, size - first)
            join_shards(partials, ranks.node_shards, shard_size, size, first, n, &waiting[0])
            memcpy(joined + first, &waiting[0].maximum[0], n * sizeof(double))
            memcpy(joined + size + first, &waiting[0].total[0], n * sizeof(double))
            memcpy(joined + 2 * size + first, &waiting[0].target_logit[0], n * sizeof(double))
            first += n
        partials += ranks.node_shards * shard_size


cdef void sum_nodes(
    const RankMemory* ranks, real* gradients, Py_ssize_t shard_size, Py_ssize_t width, Py_ssize_t first,
    Py_ssize_t last,
) noexcept nogil:
    """Sum rows `first` to last - 1 of dH over the shards of each node, into its first shard; see `sum_shards`."""
    cdef Py_ssize_t node
    for node in range(ranks.rank_nodes):
        sum_shards(gradients, ranks.node_shards, shard_size, width, first, last)
        gradients += ranks.node_shards * shard_size


cdef void join_gradients(
    const RankMemory* ranks, real* h_gradients, Py_ssize_t size, Py_ssize_t width, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """Sum rows `first` to last - 1 of dH over the nodes of all ranks, into `h_gradients`."""
    cdef real* gradients = <real*>ranks.gradients
    sum_shards(gradients, ranks.nodes, size * width, width, first, last)
    memcpy(h_gradients + first * width, gradients + first * width, (last - first) * width * sizeof(real))


cdef void keep_rows(
    const RankMemory* ranks, real* h_gradients, Py_ssize_t shard_size, Py_ssize_t width, Py_ssize_t first,
    Py_ssize_t last,
) noexcept nogil:
    """Sum rows `first` to last - 1 of dH as `sum_nodes`, and append them to the rows kept from earlier blocks."""
    cdef real* kept = <real*>ranks.kept + (ranks.kept_rows + first) * width
    cdef const real* gradients = h_gradients + first * width
    cdef Py_ssize_t node
    sum_nodes(ranks, h_gradients, shard_size, width, first, last)
    for node in range(ranks.rank_nodes):
        memcpy(kept, gradients, (last - first) * width * sizeof(real))
        kept += ranks.capacity * width
        gradients += ranks.node_shards * shard_size


cdef int bind_exchange(RankMemory* ranks, exchange, const real* _) except -1:
    """Point into the arrays of an exchange, as `block_trainer` takes it. `_` only selects the dtype."""
    cdef double[::1] rank_partials = exchange.rank_partials, partials = exchange.partials
    cdef real[::1] gradients = exchange.gradients
    cdef real[:, :, ::1] kept = exchange.kept
    ranks[0] = RankMemory(
        exchange.nodes, exchange.node_shards, kept.shape[0], &rank_partials[0], &partials[0], &gradients[0],
        &kept[0, 0, 0], kept.shape[1], 0,
    )
    return 0
