"""exp in the first-level cache: the softmax kernel of each build (a maximum, exponentials, a product), and np.exp."""

from __future__ import annotations

import numpy as np
import pytest

from fastembed._kernels import kernels_for

COUNT = 2_048


@pytest.fixture
def logits(dtype):
    return np.random.default_rng(0).standard_normal(COUNT, dtype)


def test_exp_softmax(benchmark, build, dtype, logits, close):
    softmax, out = kernels_for(dtype, build).softmax, np.empty_like(logits)

    def call():
        np.copyto(out, logits)
        return softmax(out)

    exponentials = np.exp(logits.astype(np.float64))
    close(benchmark(call), np.log(exponentials.sum()))
    close(out, exponentials / exponentials.sum())


def test_exp_numpy(benchmark, logits, close):
    out = np.empty_like(logits)
    benchmark(np.exp, logits, out=out)
    close(out, np.exp(logits.astype(np.float64)))
