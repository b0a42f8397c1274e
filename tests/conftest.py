"""Shared fixtures: the compiled builds in both dtypes, sizes at boundaries, tolerances, models."""

import ctypes
import gzip
import multiprocessing
import pickle
import platform
import signal
import struct
import sys
import threading
import time
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from scipy import sparse

# A shell makes its background jobs ignore the Ctrl-C that some tests send
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, so that a failure comes from a change; `pytest --hypothesis-profile=default` tries
# others. No deadlines: the machine may be busy, or the kernels checked while they run.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")

from fastembed._base.arrays import aligned_zeros, padded_width  # noqa: E402
from fastembed._kernels import kernels_for, runnable_builds  # noqa: E402

# Largest error of a result, as a share of its largest component: about 30 and 200 roundings
TOLERANCE = {"float32": 4e-6, "float64": 4e-14}

TIME_LIMIT = 300  # seconds, for threads that would otherwise hang

# Bits of MXCSR; the last two make subnormals zero, in results and where they are read
FLOAT_MODES = {"down": 0x2000, "up": 0x4000, "towards zero": 0x6000, "flush": 0x8040}

VARIANTS = [f"{build}-{dtype}" for build in runnable_builds() for dtype in TOLERANCE]

# (V, D), each at a boundary of the kernels of one example:
# - rows are padded to whole cache lines, of 16 numbers in float32 and 8 in float64;
# - rows are multiplied eight at a time, those left over one by one;
# - a tile has at most 256 rows; `_kernels/test_row.py` tries other tiles;
# - a shard has at most 1,024 rows, and the shards of a vocabulary differ by one row at most.
SHAPES = [
    (1, 1),  # the smallest
    (2, 300),  # few and long rows
    (7, 3),  # one row short of eight
    (8, 7),  # eight rows; one number short of a cache line in float64
    (9, 8),  # one row left over; a cache line in float64
    (23, 9),  # seven rows left over; one number more than a cache line in float64
    (193, 17),  # one number more than a cache line in float32
    (257, 15),  # one row more than the largest tile; one number short of a cache line in float32
    (1023, 5),  # one row short of a shard
    (1024, 33),  # exactly a shard
    (1025, 16),  # two shards, of 512 and 513 rows
    (3001, 31),  # three shards; large and odd
]


def pytest_collection_modifyitems(items):
    """Mark all tests of a file, or of a folder, that needs an optional library: `make test-all` runs them with it."""
    for item in items:
        files = item.path, item.path.with_name("conftest.py")
        if any(map(needs_an_optional_library, files)) or item.path.name == "test_docs.py":
            item.add_marker("extra")


@cache
def needs_an_optional_library(file):
    """Return whether a file of tests skips something without a library or a program that an extra installs."""
    if file == Path(__file__) or not file.exists():
        return False
    return any(word in file.read_text(encoding="utf-8") for word in ("importorskip(", "mpiexec"))


@pytest.fixture(params=VARIANTS)
def kernels(request):
    """Return the kernels of a build for a dtype, with the names of both as `build` and `dtype`."""
    build, dtype = request.param.rsplit("-", 1)
    return SimpleNamespace(**vars(kernels_for(dtype, build)), build=build, dtype=dtype)


@pytest.fixture
def set_constant():
    """Set a constant of the package until the test ends, as `monkeypatch.setattr` does.

    All threads of a test set it to the same values, so they may run at once. pytest-run-parallel keeps tests that take
    `monkeypatch` on one thread.
    """
    with pytest.MonkeyPatch.context() as patch:
        yield patch.setattr


@pytest.fixture
def in_float_mode():
    """Return a context manager that sets the rounding or flushing mode of this thread, as another library may do."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        pytest.skip("needs the layout of a structure of glibc on x86-64")
    library = ctypes.CDLL(None)

    @contextmanager
    def use(mode):
        environment = (ctypes.c_uint32 * 8)()  # fenv_t: 28 bytes of the x87, then MXCSR
        assert library.fegetenv(environment) == 0
        before = environment[7]
        environment[7] = before | FLOAT_MODES[mode]
        assert library.fesetenv(environment) == 0
        try:
            yield
        finally:
            environment[7] = before
            assert library.fesetenv(environment) == 0

    return use


@pytest.fixture
def library(kernels, set_constant):
    """Return the `kernels`, while the whole library runs on their build."""
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


@pytest.fixture(params=SHAPES, ids="{0[0]}x{0[1]}".format)
def size(request):
    """Return (V, D) at a boundary of the kernels."""
    return request.param


@pytest.fixture
def model():
    """Make (embedding, linear, bias) of normal random numbers, with logits of order 1."""

    def make(inputs, outputs, dim, dtype, seed=0):
        rng = np.random.default_rng(seed)
        embedding = rng.normal(size=(inputs, dim)).astype(dtype)
        linear = (rng.normal(size=(dim, outputs)) / np.sqrt(dim)).astype(dtype)
        return embedding, linear, rng.normal(size=outputs).astype(dtype)

    return make


@pytest.fixture
def make_counts():
    """Make counts (V_in, V), every third row and every fifth column empty, as (dense, csr_array)."""

    def make(inputs, outputs, seed=0):
        rng = np.random.default_rng(seed)
        dense = rng.gamma(0.5, 20, size=(inputs, outputs)) * (rng.random((inputs, outputs)) < 0.2)
        dense[2::3] = 0
        dense[:, 4::5] = 0
        dense[0, 0] = 3
        return dense, sparse.csr_array(dense)

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


@pytest.fixture
def write_fasttext():
    """Write a binary model of fastText with random numbers; return its input matrix, (V + buckets, dim)."""

    def write(
        path,
        words,
        *,
        labels=(),
        dim=4,
        buckets=50,
        lengths=(3, 6),
        kind=2,
        version=12,
        magic=793712314,
        sizes=None,
        pruned=-1,
        quantised=False,
        shape=None,
    ):
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(len(words) + buckets, dim)).astype("<f4")
        outputs = rng.normal(size=(len(labels) or len(words), dim)).astype("<f4")
        entries = [
            (entry if isinstance(entry, bytes) else entry.encode())
            + struct.pack("<xqb", max(100 - i, 1), i >= len(words))
            for i, entry in enumerate([*words, *labels])
        ]
        sizes = sizes or (len(entries), len(words), len(labels))
        loss = 3 if kind == 3 else 2
        parts = [
            struct.pack("<2i", magic, version),
            struct.pack("<12id", dim, 5, 1, 1, 5, 1, loss, kind, buckets, *lengths, 100, 1e-4),
            struct.pack("<3i2q", *sizes, 1000, pruned),
            *entries,
            struct.pack("<b2q", quantised, *(shape or rows.shape)),
            rows.tobytes(),
            struct.pack("<b2q", 0, *outputs.shape),
            outputs.tobytes(),
        ]
        data = b"".join(parts)
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
        return rows

    return write


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
            vectors.doesnt_match(["w1", "w2", "w3"]),
        )

    return ask


@pytest.fixture
def in_threads():
    """Run tasks in parallel, each in its own thread, and return their results."""

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


class ThreadRank:
    """A rank among threads, with the methods of mpi4py's communicators that the library calls."""

    def __init__(self, rank, size, meeting):
        self.rank, self.size, self._meeting = rank, size, meeting

    def _all(self, value):
        """Return the argument of each rank."""
        self._meeting.told[self.rank] = pickle.dumps(value)
        self._meeting.barrier.wait()
        told = [pickle.loads(each) for each in self._meeting.told]
        self._meeting.barrier.wait()
        return told

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return self.size

    def Allgather(self, sendbuf, recvbuf):
        recvbuf.reshape(-1)[:] = np.concatenate([each.reshape(-1) for each in self._all(sendbuf)])

    def Alltoall(self, sendbuf, recvbuf):
        parts = [np.split(each.reshape(-1), self.size)[self.rank] for each in self._all(sendbuf)]
        recvbuf.reshape(-1)[:] = np.concatenate(parts)

    def Bcast(self, buf, root=0):
        buf[...] = self._all(buf)[root]

    def allgather(self, sendobj):
        return self._all(sendobj)

    def bcast(self, obj, root=0):
        return self._all(obj if self.rank == root else None)[root]

    def Abort(self, errorcode=0):
        self._meeting.aborted.append((self.rank, errorcode))
        self._meeting.barrier.abort()


@pytest.fixture
def answer_of_child():
    """Return the result of a function in a forked child, which must end in time."""

    def answer(function):
        context = multiprocessing.get_context("fork")
        answers = context.SimpleQueue()
        child = context.Process(target=lambda: answers.put(function()), daemon=True)
        child.start()
        child.join(TIME_LIMIT)
        if child.exitcode is None:
            child.kill()
            pytest.fail("the child hangs")
        assert child.exitcode == 0
        return answers.get()

    return answer


@pytest.fixture
def on_ranks(in_threads, monkeypatch):
    """Run a task on so many ranks, given a communicator; return what it returns or raises on each of them.

    The attribute `aborted` has the ranks that have ended all in the last call, and their exit codes.
    """
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)

    def run(size, task):
        meeting = SimpleNamespace(told=[None] * size, barrier=threading.Barrier(size, timeout=TIME_LIMIT), aborted=[])
        run.aborted = meeting.aborted

        def on_rank(rank):
            try:
                return task(ThreadRank(rank, size, meeting))
            except Exception as error:
                return error

        return in_threads(*(partial(on_rank, rank) for rank in range(size)))

    return run


@pytest.fixture
def runs_meanwhile():
    """Tell whether another thread runs Python code in the middle of a call, in any of some seconds of calls."""
    stamps, done = [], threading.Event()

    def stamp():
        while not done.is_set():
            stamps.append(time.perf_counter())
            time.sleep(0)

    def runs(call):
        end = time.process_time() + 10
        while time.process_time() < end:  # the machine may be busy
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
