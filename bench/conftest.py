"""Sizes, dtypes, builds and models of the benchmarks. All run on one thread, BLAS too, if not named otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from fastembed import reference
from fastembed._base.arrays import aligned_zeros, padded_width
from fastembed._base.threads import check_threads
from fastembed._kernels import BUILD, LEVEL2_BYTES, kernels_for, runnable_builds, tiling
from fastembed.counts.groups import shard_bounds

# pytest's importlib mode leaves sys.path alone; the benchmarks share contestants with the scripts in peers/
sys.path.insert(0, str(Path(__file__).parent / "peers"))

SIZES = ((8, 10), (1_000, 100), (10_000, 100), (50_000, 100))
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}
INPUT, TARGET = 4, 5


# The last lines of a run: what a time is compared with, and the benchmarks of both. LIMITS are times by what no program
# can avoid, PEERS the times of other programs by ours.
LIMITS = {
    "one pass of NumPy over the matrix: a step of train, V = 1,000, D = 100": (
        "test_train[1000x100-float32-fastembed]",
        "test_matvec_numpy[1000x100-float32]",
    ),
    "one pass of NumPy over the matrix: a step of train, V = 50,000": (
        "test_train[50000x100-float32-fastembed]",
        "test_matvec_numpy[50000x100-float32]",
    ),
    "its bare matrix products: an epoch of fit_counts, V = 20,000, one thread": (
        "test_fit_counts[one_thread]",
        "test_products[one_thread]",
    ),
    "its bare matrix products: the same on all CPUs": ("test_fit_counts[all_cpus]", "test_products[all_cpus]"),
    "the bare products of its epochs: from a file of half a million words to vectors": (
        "test_file_to_vectors",
        "test_file_to_vectors_products",
    ),
    "two passes of NumPy over the vectors: the ten nearest of 75,769": (
        "test_one_query[fastembed]",
        "test_one_query_two_streams",
    ),
    "the product of the vectors: ten of 27,000 items for each of 500 users": (
        "test_known_users",
        "test_users_times_items",
    ),
}
PEERS = {
    "the notebook's step: a step of train, V = 8, D = 10, float64": (
        "test_step[notebook-8x10-float64]",
        "test_train[8x10-float64-fastembed]",
    ),
    "the notebook's step: a call of step, V = 8, D = 10, float64": (
        "test_step[notebook-8x10-float64]",
        "test_step[fastembed-8x10-float64]",
    ),
    "a good NumPy step: a step of train, V = 50,000": (
        "test_step[numpy-50000x100-float32]",
        "test_train[50000x100-float32-fastembed]",
    ),
    "Counter and str.split: the vocabulary of a file": ("test_vocabulary_counter", "test_vocabulary"),
    "TF-IDF and LinearSVC of scikit-learn: Classifier.fit": (
        "test_classifier_fit[sklearn]",
        "test_classifier_fit[fastembed]",
    ),
    "TF-IDF and LinearSVC of scikit-learn: Classifier.predict": (
        "test_classifier_predict[sklearn]",
        "test_classifier_predict[fastembed]",
    ),
}


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    """Print what the benchmarks say of this machine, below their tables."""
    found = {bench.name: bench for bench in config._benchmarksession.benchmarks if bench.stats}
    if not found:
        return
    # threadpoolctl does not know every BLAS: not Apple's
    blas = next((lib for lib in threadpool_info() if lib["user_api"] == "blas"), {"internal_api": "unknown BLAS"})
    terminalreporter.section("this machine")
    terminalreporter.write_line(
        f"fastembed {BUILD}; {blas['internal_api']} {blas.get('architecture', '')}; {check_threads(None)} CPUs."
        " Ratios of the least times of this run, float32 and one thread if not said.\n"
        "Times as long as what no program can avoid; 1 is the limit:"
    )
    write_ratios(terminalreporter, found, LIMITS)
    terminalreporter.write_line("Times as fast as another program:")
    write_ratios(terminalreporter, found, PEERS)
    busy = median(bench.stats.median / bench.stats.min for bench in found.values())
    terminalreporter.write_line(
        f"{busy:6.2f}  the median times by the least: where it is above 1.1 the machine was busy"
    )


def write_ratios(terminalreporter: Any, found: dict[str, Any], lines: dict[str, tuple[str, str]]) -> None:
    """Print the ratio of two benchmarks' times by step in each line, or why there is none."""
    skipped = {
        report.nodeid.split("::")[-1]: report.longrepr[2] for report in terminalreporter.stats.get("skipped", [])
    }
    for what, names in lines.items():
        if missing := [name for name in names if name not in found]:
            terminalreporter.write_line(f"     -  {what} ({skipped.get(missing[0], f'{missing[0]} did not run')})")
            continue
        one, other = (found[name].stats.min / found[name].extra_info.get("steps", 1) for name in names)
        terminalreporter.write_line(f"{one / other:6.{1 if one > 10 * other else 2}f}  {what}")


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
