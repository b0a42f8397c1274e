"""What the tests share: every compiled build in both dtypes, tolerances, models, real data where it is at hand."""

import importlib.machinery
import importlib.util
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, settings


def _refuse_sources():
    """Stop, with the reason, if `fastembed` is missing or is a source folder, which has no compiled modules."""
    spec = importlib.util.find_spec("fastembed")
    if spec is None or spec.origin is None:
        raise pytest.UsageError("fastembed is not installed in this environment: pip install '.[test]'")
    kernels = Path(spec.origin).parent / "_kernels"
    if not any((kernels / f"cpu{suffix}").exists() for suffix in importlib.machinery.EXTENSION_SUFFIXES):
        raise pytest.UsageError(
            f"the tests would import {spec.origin}, which has no compiled modules: pip install . and call `pytest`"
            " (`python -m pytest` puts this folder before the installed package)"
        )


_refuse_sources()

# A shell lets its background jobs ignore the Ctrl-C that some tests send
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, so that a failure is the change's; `pytest --hypothesis-profile=default` tries others.
# What is slow here may be a busy machine, or kernels that are checked while they run.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")

from fastembed._base.arrays import aligned_zeros, padded_width  # noqa: E402
from fastembed._kernels import kernels_for, runnable_builds  # noqa: E402

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Larger real texts, where somebody has put them beside the repository."""

TOLERANCE = {"float32": 4e-6, "float64": 4e-14}
"""Largest error of a result, as a share of its largest component: about 30 and 200 roundings."""

TIME_LIMIT = 300  # seconds, for threads that would otherwise hang

VARIANTS = [f"{build}-{dtype}" for build in runnable_builds() for dtype in TOLERANCE]


@pytest.fixture(params=VARIANTS)
def kernels(request):
    """The kernels of a build for a dtype, with the names of both as `build` and `dtype`."""
    build, dtype = request.param.rsplit("-", 1)
    return SimpleNamespace(**vars(kernels_for(dtype, build)), build=build, dtype=dtype)


@pytest.fixture
def set_constant():
    """Set a constant of the package until the test ends, as `monkeypatch.setattr` does.

    All threads of a test set it to the same values, so they may run at once. Tests that take `monkeypatch` may not, for
    all that pytest-run-parallel knows, and stay on one thread.
    """
    with pytest.MonkeyPatch.context() as patch:
        yield patch.setattr


@pytest.fixture
def library(kernels, set_constant):
    """The `kernels`, with the whole library running on their build."""
    set_constant("fastembed._kernels.BUILD", kernels.build)
    return kernels


@pytest.fixture
def near(kernels):
    """Assert that a result is within the dtype's tolerance, or `times` that for long chains of operations."""

    def assert_near(actual, expected, *, times=1.0, scale=None):
        actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
        assert actual.shape == expected.shape
        scale = np.abs(expected).max() if scale is None else scale
        error = np.abs(actual - expected).max()
        allowed = TOLERANCE[kernels.dtype] * times * scale
        assert error <= allowed, f"error {error:.3g}, allowed {allowed:.3g}"

    return assert_near


@pytest.fixture
def model():
    """Make (embedding, linear, bias): normal numbers, with logits of order 1."""

    def make(inputs, outputs, dim, dtype, seed=0):
        rng = np.random.default_rng(seed)
        embedding = rng.normal(size=(inputs, dim)).astype(dtype)
        linear = (rng.normal(size=(dim, outputs)) / np.sqrt(dim)).astype(dtype)
        return embedding, linear, rng.normal(size=outputs).astype(dtype)

    return make


@pytest.fixture
def padded():
    """Make the kernels' form of matrices (D, V) or vectors (D,): D last, padded with zeros to whole cache lines."""

    def pad(array):
        array = array.T
        memory = aligned_zeros((*array.shape[:-1], padded_width(array.shape[-1], array.dtype)), array.dtype)
        memory[..., : array.shape[-1]] = array
        return memory

    return pad


@pytest.fixture(scope="session")
def data_file():
    """Return the path of a file of real data, or skip where there is none."""

    def find(name):
        path = DATA / name
        if not path.exists():
            pytest.skip(f"needs {name} in the folder shared/data beside the repository")
        return path

    return find


@pytest.fixture
def asked():
    """Return the answers of vectors of the tokens w0, w1, ... to everything that reads them."""

    def ask(vectors):
        arrays = *vectors.nearest(vectors.tokens[:100], topn=10), vectors.normalized().matrix, vectors[["w1", "w2"]]
        return (
            [array.tobytes() for array in arrays],
            vectors.most_similar(["w1", "w2"], "w3", restrict=500),
            vectors.analogy("w1", "w2", "w3", method="3CosMul"),
            vectors.similarity("w1", "w2"),
            vectors.rank("w1", "w2"),
            vectors.doesnt_match(["w1", "w2", "w3"]),
        )

    return ask


@pytest.fixture
def in_threads():
    """Run tasks at once, each in a thread of its own, and return their results."""

    def run_all(*tasks):
        results = [None] * len(tasks)
        barrier = threading.Barrier(len(tasks), timeout=TIME_LIMIT)

        def run(k):
            barrier.wait()
            results[k] = tasks[k]()

        threads = [threading.Thread(target=run, args=(k,), daemon=True) for k in range(len(tasks))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIME_LIMIT)
            assert not thread.is_alive()
        return results

    return run_all


@pytest.fixture
def runs_meanwhile():
    """Tell whether another thread runs Python code in the middle of a call, in any of some seconds of calls."""
    stamps, done = [], threading.Event()

    def stamp():
        while not done.is_set():
            stamps.append(time.perf_counter())
            time.sleep(0)

    def runs(call):
        end = time.monotonic() + 10
        while time.monotonic() < end:  # the machine may be busy
            start = time.perf_counter()
            call()
            length = time.perf_counter() - start
            if any(start + 0.2 * length < stamp < start + 0.8 * length for stamp in stamps):
                return True
            stamps.clear()
        return False

    other = threading.Thread(target=stamp)
    other.start()
    yield runs
    done.set()
    other.join()
