"""The sizes by which work is divided, in one object, so that tests can make them small."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Sizes:
    """Sizes that are read where they are used, as ``SIZES.group_rows``; they never change while the package works."""

    group_rows: int = 4096  # largest number of rows of a group of counts: the order of training depends on it
    # Largest number of rows of a shard: its part of the linear layer and 256 rows of logits fit into 1.5 MiB of cache
    shard_rows: int = 1024
    batch_pairs: int = 1 << 21  # approximate number of pairs of a corpus that are summed at a time: 25 MB of them
    chunk_ids: int = 1 << 26  # of a text that are counted at a time; sorting their positions must not delay a Ctrl-C
    part_columns: int = 1 << 16  # columns of a tile of the sums of a task of an executor: 16 bits can number them
    # A step on a smaller linear layer, or a search for one query, stays on one thread: others cost more than they save
    parallel_bytes: int = 64 << 20
    # Of a call of the kernel that trains on examples: a Ctrl-C is seen between two calls, a fraction of a second apart
    multiplications: int = 1 << 29
    kept_bytes: int = 1 << 26  # of dH that ranks keep before they merge it: messages are long, and memory is bounded
    sent_bytes: int = 1 << 28  # largest message between ranks, since MPI counts in int
    due_blocks: int = 16  # blocks between checks with rank 0 whether a checkpoint is due
    rank_nodes: int = 4  # least per rank if their number is not a power of two: then none has 1.25 times its part
    batch_logits: int = 1 << 22  # of inputs whose probabilities are in memory at once, per thread
    pmi_columns: int = 2048  # of a block of the PMI: this many rows of 48 float32 fill a fifth of an L2 cache of 2 MiB
    krylov_columns: int = 1024  # of the SVD of the start; up to so many, its Krylov space may be more than the matrix
    walk_columns: int = 1 << 14  # of a block of a transition matrix: this many nodes of 16 float64 fill the L2 cache
    block_bytes: int = 1 << 20  # of text that are read at a time
    tail_bytes: int = 1 << 12  # the end of a block, in which the end of a line is looked for first
    longest_token: int = 1 << 23  # bytes; a file with a longer one is not a text of tokens, and would fill the memory
    longest_row: int = 1 << 26  # bytes of a line, and characters of a field of CSV; a longer one is taken for damage
    task_bytes: int = 1 << 26  # about the size of the part of a corpus that a task of an executor reads
    parsed_numbers: int = 1 << 18  # of vectors in a text, which are parsed at once
    bag_documents: int = 1 << 13  # documents whose bags one task makes
    answered_documents: int = 1 << 11  # largest number of documents that one task of a prediction answers
    part_pairs: int = 1 << 15  # approximate number of pairs of ids whose hash table fits into a cache
    cosine_bytes: int = 1 << 25  # of a block of cosines: limits the number of queries in one product with all rows
    exact_bytes: int = 1 << 22  # of a block of rows in float64
    questions: int = 1024  # analogies that are answered at once
    told_bytes: int = 1 << 26  # of text, whose reading is told of where no bar shows it
    timed_operations: int = 1 << 38  # of a training that is said to take how many seconds: it takes .2 s to measure


SIZES = Sizes()
