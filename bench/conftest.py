"""Sizes, dtypes, builds and models of the benchmarks. All run on one thread, BLAS too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fastembed import reference
from fastembed._base.arrays import aligned_zeros, padded_width
from fastembed._kernels import LEVEL2_BYTES, kernels_for, runnable_builds
from fastembed._kernels.caches import tiling
from fastembed.counts.groups import shard_bounds

# pytest's importlib mode leaves sys.path alone; the benchmarks share contestants with the scripts in peers/
sys.path.insert(0, str(Path(__file__).parent / "peers"))

SIZES = ((8, 10), (1_000, 100), (10_000, 100), (50_000, 100))
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}
INPUT, TARGET = 4, 5


@pytest.fixture(scope="session", autouse=True)
def one_blas_thread() -> Iterator[None]:
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Return (V, D)."""
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=runnable_builds())
def build(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def kernels(dtype: str) -> SimpleNamespace:
    """Return the kernels of the build in use."""
    return kernels_for(dtype)


@pytest.fixture
def close(dtype: str) -> Any:
    """Return a check that an array is as expected, to the dtype's tolerance of the largest element."""

    def check(found: Any, expected: Any) -> None:
        atol = TOLERANCE[dtype] * np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype], atol=atol)

    return check


@pytest.fixture
def parameters(size: tuple[int, int], dtype: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return an embedding of eight rows and a linear layer (D, V), with logits of order one."""
    outputs, dim = size
    rng = np.random.default_rng(0)
    embedding = rng.standard_normal((8, dim), dtype) / np.sqrt(dim, dtype=dtype)
    return embedding, rng.standard_normal((dim, outputs), dtype)


@pytest.fixture
def truth(parameters: tuple[NDArray[Any], NDArray[Any]]) -> SimpleNamespace:
    """Return the results of the row step of INPUT and TARGET, in float64."""
    embedding, linear = (array.astype(np.float64) for array in parameters)
    h, outputs = embedding[INPUT], linear.shape[1]
    logits, y = reference.matvec(h, linear), reference.target_row(TARGET, outputs)
    return SimpleNamespace(
        h=h,
        linear=linear,
        logits=logits,
        logsumexp=reference.logsumexp(logits),
        probabilities=reference.softmax(logits),
        loss=reference.loss(logits, y, 1 / outputs),
        residual=reference.logits_gradient(logits, y, 1 / outputs),
        gradient=reference.gradient(h, linear, y, 1 / outputs),
    )


@pytest.fixture
def row(parameters: tuple[NDArray[Any], NDArray[Any]], dtype: str) -> SimpleNamespace:
    """Return the arguments of the row kernels for INPUT and TARGET, in memory as `Trainer` holds it."""
    embedding, linear = parameters
    dim, outputs = linear.shape
    width, bounds = padded_width(dim, dtype), shard_bounds(outputs)
    shards = len(bounds) - 1
    weights, h = aligned_zeros((outputs, width), dtype), aligned_zeros((width,), dtype)
    weights[:, :dim], h[:dim] = linear.T, embedding[INPUT]
    return SimpleNamespace(
        embedding=embedding,
        weights=weights,
        h=h,
        bounds=bounds,
        shards=shards,
        tiling=tiling(outputs, weights.strides[0], LEVEL2_BYTES),
        dim=dim,
        scale=1 / outputs,
        columns=np.array([TARGET], np.int32),
        amounts=np.ones(1),
        logits=np.empty(outputs, dtype),
        partials=np.empty((shards, 3)),
        expected=aligned_zeros((shards, width), dtype),
        observed=aligned_zeros((shards, width), dtype),
        gradient=np.empty(width),
    )
