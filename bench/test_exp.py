"""exp of each build over 2,048 numbers in the first-level cache, compared with np.exp."""

from __future__ import annotations

import numpy as np
import pytest

from fastembed._kernels import kernels_for

COUNT = 2_048


@pytest.fixture
def x(dtype):
    return -np.abs(np.random.default_rng(0).standard_normal(COUNT, dtype))


@pytest.fixture
def expected(x):
    return np.exp(x.astype(np.float64))


def test_exp_array(benchmark, build, dtype, x, expected, close):
    out = np.empty_like(x)
    benchmark(kernels_for(dtype, build).exp_array, x, out)
    close(out, expected)


def test_exp_numpy(benchmark, x, expected, close):
    out = np.empty_like(x)
    benchmark(np.exp, x, out=out)
    close(out, expected)
