"""Every kernel releases the GIL."""

from functools import partial

import numpy as np
import pytest
from scipy import sparse

from fastembed._kernels import kernels_for


def random_counts(inputs, outputs, seed=0):
    return sparse.random_array((inputs, outputs), density=0.02, random_state=np.random.default_rng(seed), format="csr")


def block_arguments():
    b, n, dim = 200, 20_000, 16
    counts = random_counts(b, n)
    rows, csr = np.arange(b), (counts.indptr.astype(np.int64), counts.indices.astype(np.int32), counts.data)
    x = np.random.default_rng(0).normal(size=(b, n)).astype(np.float32)
    ones = np.ones(b)
    many = 20 * n
    weights, scratch = np.ones((many, dim), np.float32), np.ones((many, dim), np.float32)
    every, squares, data = np.arange(many), np.ones(many), np.ones(counts.nnz, np.float32)
    starts, row_rates = np.stack([csr[0][:-1], csr[0][1:]]), np.ones(many)
    blocked = np.array([0, n], np.int32), starts, csr[1].astype(np.uint16), data
    wide = np.ones((n, 200), np.float32)
    many_bags, named = np.arange(many + 1), every.astype(np.int32)  # of one id each
    grouped = named.copy(), np.arange(1, many + 1), named, np.ones(many, np.float32)
    return {
        "block_statistics": (x, None, 0, *csr[1:], starts, np.empty((3, b))),
        "block_merge": (np.ones((500, 3, 8000)), np.arange(8000), np.ones(8000), np.ones(8000)),
        "block_join": (np.ones((500, 3, 8000)), np.ones((3, 8000))),
        "block_residual": (x, 0, rows, *csr[1:], ones, starts, ones, ones),
        "block_update_embedding": (weights, every, row_rates, scratch[None], squares, 0.1, 0, len(every)),
        "block_update_linear": (weights, scratch, scratch.copy(), squares, 0.1, 0.9, 1.0),
        "bag_gather": (weights, many_bags, named, np.ones(many, np.float32), every, 0, many, scratch.copy()),
        "bag_group": (
            many_bags,
            named,
            np.ones(many, np.float32),
            every,
            None,
            np.full(many, -1, np.int32),
            named.copy(),
            *grouped,
        ),
        "bag_update": (weights, *grouped, 0, many, scratch, row_rates, squares, 0.1, np.ones(dim, np.float32)),
        "positive_pmi": (*starts, *csr[1:], ones, np.full(n, 9.0), *map(np.copy, blocked), 0, b, 0),
        "csr_times_dense": (*blocked, wide, np.ones((b, 200), np.float32), 0, b),
        "add_transposed_csr_times_dense": (*blocked, wide[:b], np.ones((n, 200), np.float32), 0),
        "softmax": (x.ravel(),),
        "exp_array": (-np.abs(x).ravel(), np.empty(b * n, np.float32)),
    }


@pytest.mark.thread_unsafe(reason="observes other threads")
def test_kernels_let_other_threads_run(runs_meanwhile):
    kernels = vars(kernels_for("float32"))
    calls = {name: partial(kernels[name], *arguments) for name, arguments in block_arguments().items()}
    assert not [name for name, call in calls.items() if not runs_meanwhile(call)]
