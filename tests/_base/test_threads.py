"""Threads: the same bits on any number of them, BLAS left as it was, the GIL free, forks, the pool."""

import hashlib
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from threadpoolctl import threadpool_info, threadpool_limits

from fastembed import SkipGram, Trainer, Vectors
from fastembed._base import blas as _blas
from fastembed._base.blas import single_threaded_blas
from fastembed._base.threads import Pool, check_threads
from fastembed._kernels import kernels_for

THREADS = [1, 2, 3, 4, 8]
MANY = 8  # threads of the caller
TIME_LIMIT = 300  # seconds, for what would otherwise hang


def random_counts(inputs, outputs, seed=0):
    return sparse.random_array((inputs, outputs), density=0.02, random_state=np.random.default_rng(seed), format="csr")


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def row_bits(dtype, threads):
    """The bits of everything that row steps return and leave, on 5 shards."""
    trainer = Trainer.random(30, 50, output_size=4500, dtype=dtype, seed=3, threads=threads)
    rng = np.random.default_rng(0)
    inputs, targets = rng.integers(30, size=20), rng.integers(4500, size=20)
    weights = rng.gamma(1, size=4500)
    losses = [trainer.step(int(i), int(c), update_linear=True) for i, c in zip(inputs, targets, strict=True)]
    losses += [trainer.step(1, weights, learning_rate=1e-3), trainer.loss(2, 3), *trainer.gradient(2, weights)]
    losses += [*trainer.train(inputs, targets, epochs=2, update_linear=True), *trainer.train(inputs, targets)]
    return digest(losses, trainer.forward(4), trainer.embedding, trainer.linear)


def fit_bits(dtype, threads, **options):
    trainer = Trainer.random(300, 20, output_size=4500, dtype=dtype, seed=3, threads=threads)
    history = trainer.fit_counts(random_counts(300, 4500), epochs=2, block_size=64, **options)
    return digest([record["nll"] for record in history], trainer.embedding, trainer.linear)


# ---------------------------------------------------------------- the same bits


def test_row_steps_have_the_same_bits(library, set_constant):
    """In parallel from the first byte on, and on the path without the pool."""
    bits = {row_bits(library.dtype, 1)}
    set_constant("fastembed.trainer.rows.PARALLEL_BYTES", 0)
    bits |= {row_bits(library.dtype, threads) for threads in THREADS}
    assert len(bits) == 1


def test_fits_have_the_same_bits(library):
    assert len({fit_bits(library.dtype, threads) for threads in THREADS}) == 1


def test_fits_have_the_same_bits_where_the_workspace_bounds_the_block():
    bits = {fit_bits("float32", threads, workspace_bytes=1_000_000) for threads in THREADS}
    assert len(bits) == 1
    assert bits != {fit_bits("float32", 1)}


def test_twice_in_a_row():
    assert fit_bits("float32", 2) == fit_bits("float32", 2)
    assert row_bits("float32", 2) == row_bits("float32", 2)


SCRIPT = """
import hashlib
from scipy import sparse
import numpy as np
from fastembed import Trainer
counts = sparse.random_array((100, 2500), density=0.02, random_state=np.random.default_rng(0))
trainer = Trainer.random(100, 20, output_size=2500, seed=3)
history = trainer.fit_counts(counts, epochs=2, block_size=32)
trainer.train(range(100), update_linear=True)
bits = np.array([r["nll"] for r in history]).tobytes() + trainer.embedding.tobytes() + trainer.linear.tobytes()
print(hashlib.sha256(bits).hexdigest())
"""


def test_hash_seed():
    children = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for seed in ("0", "1", "4294967295")
    ]
    answers = [child.communicate(timeout=TIME_LIMIT) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], answers
    assert len({printed for printed, _ in answers}) == 1


def in_threads(*tasks):
    """Run the tasks at once, each in a thread of its own, and return what they return."""
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


def test_two_trainers_at_once(set_constant):
    set_constant("fastembed.trainer.rows.PARALLEL_BYTES", 0)
    alone = [fit_bits("float32", 2), fit_bits("float64", 2), row_bits("float32", 2)]
    tasks = [lambda: fit_bits("float32", 2), lambda: fit_bits("float64", 2), lambda: row_bits("float32", 2)]
    assert in_threads(*tasks) == alone


def test_one_trainer_from_many_threads_makes_one_call_after_the_other():
    """Steps on different rows, which do not depend on each other: none is lost or mixed up."""
    trainer, twin = (Trainer.random(MANY, 50, output_size=3000, seed=3) for _ in range(2))

    def train(model, i):
        model.train([i] * 100)
        for _ in range(100):
            model.step(i)
        return model.loss(i, i), model.gradient(i, 0).tobytes(), model.forward(i).tobytes()

    found = in_threads(*(partial(train, trainer, i) for i in range(MANY)))
    assert found == [train(twin, i) for i in range(MANY)]
    assert_array_equal(trainer.embedding, twin.embedding)


# ---------------------------------------------------------------- many threads at once


def test_trainers_in_many_threads_have_the_bits_of_one(set_constant):
    set_constant("fastembed.trainer.rows.PARALLEL_BYTES", 0)

    def bits():
        return row_bits("float32", 2), fit_bits("float32", 2), row_bits("float64", 1), fit_bits("float64", 1)

    assert set(in_threads(*[bits] * MANY)) == {bits()}


def asked(vectors):
    """Everything that reads the vectors."""
    ids, cosines = vectors.nearest(vectors.tokens[:100], topn=10)
    return (
        digest(ids, cosines, vectors.normalized().matrix, vectors[["w1", "w2"]]),
        vectors.most_similar(["w1", "w2"], "w3", restrict=500),
        vectors.analogy("w1", "w2", "w3", method="3CosMul"),
        vectors.similarity("w1", "w2"),
        vectors.rank("w1", "w2"),
        vectors.doesnt_match(["w1", "w2", "w3"]),
    )


def test_one_vectors_gives_many_threads_the_same_bits():
    """From the first question on, which makes ready what is kept for the others."""
    matrix = np.random.default_rng(0).standard_normal((2000, 30), dtype=np.float32)
    vectors, twin = (Vectors([f"w{i}" for i in range(2000)], matrix) for _ in range(2))
    expected = asked(twin)
    assert in_threads(*[partial(asked, vectors)] * MANY) == [expected] * MANY


@pytest.fixture
def corpus_file(tmp_path_factory):
    ids = np.random.default_rng(0).zipf(1.5, 20_000).clip(max=300).reshape(-1, 20)
    path = tmp_path_factory.mktemp("threads") / "text"
    path.write_text("".join(" ".join(f"w{i}" for i in line) + "\n" for line in ids.tolist()), encoding="utf-8")
    return path


def fitted(path):
    return SkipGram(dim=10, epochs=2, min_count=1, seed=0, threads=2).fit(path)


def used(model, path):
    """Everything that reads a model, the file of it that is written included."""
    copy = path.with_name(f"model-{threading.get_ident()}")
    model.save(copy)
    return (
        asked(model.vectors),
        asked(model.vectors_for("relatedness")),
        model.predict_output("w1"),
        model.predict_output("w2", side="before"),
        model.perplexity(path),
        digest(model.transform(path)),
        digest(SkipGram.load(copy).trainer.linear),
        repr(model.count(path)),
    )


def test_one_fitted_model_gives_many_threads_the_same_bits(corpus_file):
    model, expected = fitted(corpus_file), used(fitted(corpus_file), corpus_file)
    assert in_threads(*[partial(used, model, corpus_file)] * MANY) == [expected] * MANY


def test_models_fitted_in_many_threads_have_the_bits_of_one(corpus_file):
    def bits():
        model = fitted(corpus_file)
        return digest(model.vectors.matrix, model.trainer.linear, [record["nll"] for record in model.history])

    assert set(in_threads(*[bits] * MANY)) == {bits()}


FIRST_USE = """
import sys, threading
import fastembed

barrier, got = threading.Barrier(8), []

def use(names):
    barrier.wait()
    got.append({name: getattr(fastembed, name) for name in names})

names = fastembed.__all__ + ["evaluation", "formats", "windows"]
threads = [threading.Thread(target=use, args=(names[k:] + names[:k],)) for k in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(got) == 8 and all(found == got[0] for found in got)
"""


def test_names_may_be_used_first_by_many_threads_at_once():
    """Their modules are imported then."""
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", FIRST_USE],
        capture_output=True,
        encoding="utf-8",
        timeout=TIME_LIMIT,
    )
    assert (done.returncode, done.stderr) == (0, "")


# ---------------------------------------------------------------- BLAS


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.mark.thread_unsafe(reason="BLAS has one limit for the process")
@pytest.mark.parametrize("user", [1, 2])
def test_blas_is_as_before(user):
    """During an epoch one thread, between epochs, afterwards and after an exception what the user had."""
    counts, trainer = random_counts(50, 1200), Trainer.random(50, 8, output_size=1200, threads=2)
    seen = []

    def stop(record, model):
        seen.append(blas_threads())
        raise KeyError("stop")

    with threadpool_limits(limits=user, user_api="blas"):
        before = blas_threads()
        assert before
        trainer.fit_counts(counts, epochs=1)
        assert blas_threads() == before
        with pytest.raises(KeyError, match="stop"):
            trainer.fit_counts(counts, epochs=3, on_epoch_end=stop)
        trainer.embedding[:] = np.nan
        with pytest.raises(FloatingPointError):
            trainer.fit_counts(counts)
        assert blas_threads() == before
    assert seen == [before]


@pytest.mark.thread_unsafe(reason="BLAS has one limit for the process")
def test_blas_limit_nests_across_threads():
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        inside, leave = threading.Event(), threading.Event()

        def hold():
            with single_threaded_blas():
                inside.set()
                leave.wait(TIME_LIMIT)

        other = threading.Thread(target=hold)
        other.start()
        assert inside.wait(TIME_LIMIT)
        with single_threaded_blas():
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {1}
        leave.set()
        other.join()
        assert blas_threads() == before


@pytest.mark.thread_unsafe(reason="BLAS has one limit for the process")
def test_blas_limit_whoever_set_another_first():
    """In a thread while the main thread holds a limit of its own; set by one thread, lifted by another."""
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()

        def inside():
            with single_threaded_blas():
                return blas_threads()

        assert in_threads(inside) == [[1] * len(before)]
        assert blas_threads() == before
        assert inside() == [1] * len(before)
        _blas._blas_limit.acquire()
        in_threads(_blas._blas_limit.release)
        assert blas_threads() == before
        _blas._blas_limit.acquire()
        in_threads(_blas._blas_limit.acquire)
        _blas._blas_limit.release()
        assert blas_threads() == [1] * len(before)
        in_threads(_blas._blas_limit.release)
        assert blas_threads() == before
    with threadpool_limits(limits=1, user_api="blas"):
        assert blas_threads() == [1] * len(before)


# ---------------------------------------------------------------- the GIL


@pytest.fixture
def stamps():
    """The times at which another thread ran Python code."""
    times, done = [], threading.Event()

    def count():
        while not done.is_set():
            times.append(time.perf_counter())
            time.sleep(0)

    counter = threading.Thread(target=count)
    counter.start()
    yield times
    done.set()
    counter.join()


def runs_meanwhile(stamps, call):
    """Whether the other thread ran in the middle of a call, in any of some seconds (the machine may be busy)."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        start = time.perf_counter()
        call()
        length = time.perf_counter() - start
        if any(start + 0.2 * length < stamp < start + 0.8 * length for stamp in stamps):
            return True
        stamps.clear()
    return False


@pytest.mark.thread_unsafe(reason="looks at what other threads do meanwhile")
def test_other_threads_run_during_a_step(stamps):
    trainer = Trainer.random(1, 16, output_size=300_000, threads=1)
    assert runs_meanwhile(stamps, lambda: trainer.step(0, 7, update_linear=True))
    assert runs_meanwhile(stamps, lambda: trainer.forward(0))
    assert runs_meanwhile(stamps, lambda: trainer.loss(0, 7))


@pytest.mark.thread_unsafe(reason="looks at what other threads do meanwhile")
def test_other_threads_run_during_train(stamps):
    trainer = Trainer.random(8, 10, threads=1)
    assert runs_meanwhile(stamps, lambda: trainer.train(np.zeros(100_000, int)))


@pytest.mark.thread_unsafe(reason="looks at what other threads do meanwhile")
@pytest.mark.parametrize("threads", [1, 2])
def test_other_threads_run_during_fit_counts(stamps, threads):
    trainer = Trainer.random(300, 50, output_size=5000, threads=threads)
    counts = random_counts(300, 5000)
    assert runs_meanwhile(stamps, lambda: trainer.fit_counts(counts, epochs=2))


def block_arguments():
    b, n, dim = 200, 20_000, 8
    counts = random_counts(b, n)
    csr = np.arange(b), counts.indptr.astype(np.int64), counts.indices.astype(np.int32), counts.data
    x = np.random.default_rng(0).normal(size=(b, n)).astype(np.float32)
    ones = np.ones(b)
    rows = 20 * n
    weights, scratch = np.ones((rows, dim), np.float32), np.ones((rows, dim), np.float32)
    every, squares, data = np.arange(rows), np.ones(rows), np.ones(counts.nnz, np.float32)
    return {
        "block_statistics": (x, None, 0, *csr, np.empty((b, 3))),
        "block_merge": (np.ones((100, 2000, 3)), np.ones(2000), np.ones((100, 2000))),
        "block_residual": (x, ones, ones, 0, *csr),
        "block_update_embedding": (weights, every, scratch[None], squares, 0.1, np.ones(dim, np.float32)),
        "block_update_linear": (weights, scratch, scratch.copy(), squares, 0.1, 0.9, 1.0),
        "csr_times_dense": (*csr[1:3], data, np.ones((n, 200), np.float32), np.ones((b, 200), np.float32), 0, b),
        "softmax": (x.ravel(),),
        "exp_array": (-np.abs(x).ravel(), np.empty(b * n, np.float32)),
    }


@pytest.mark.thread_unsafe(reason="looks at what other threads do meanwhile")
def test_kernels_let_other_threads_run(stamps):
    kernels = vars(kernels_for("float32"))
    calls = {name: partial(kernels[name], *arguments) for name, arguments in block_arguments().items()}
    assert not [name for name, call in calls.items() if not runs_meanwhile(stamps, call)]


# ---------------------------------------------------------------- forks


def train_in_child(trainer, answers):
    fresh = Trainer.random(50, 8, output_size=2500, seed=1, threads=2)
    for model in (trainer, fresh):
        history = model.fit_counts(random_counts(50, 2500), epochs=1)
        answers.put(digest([history[0]["nll"]], model.embedding, model.linear))


needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="needs a system that forks"
)
# Python 3.12 and newer warn of what is tested here
forks_with_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def answers_of_child(trainer):
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=train_in_child, args=(trainer, answers), daemon=True)
    child.start()
    child.join(TIME_LIMIT)
    if child.exitcode is None:
        child.kill()
        pytest.fail("the child hangs")
    assert child.exitcode == 0
    return [answers.get(), answers.get()]


@pytest.mark.thread_unsafe(reason="forks")
@needs_fork
@forks_with_threads
def test_a_child_trains_after_a_fork(set_constant):
    """With the parent's trainer, whose pool is running, and with one of its own."""
    set_constant("fastembed.trainer.rows.PARALLEL_BYTES", 0)
    trainer = Trainer.random(50, 8, output_size=2500, seed=1, threads=2)
    trainer.fit_counts(random_counts(50, 2500), epochs=1)
    trainer.step(0)
    answers = answers_of_child(trainer)
    here = queue.SimpleQueue()
    train_in_child(trainer, here)
    assert answers == [here.get(), here.get()]


@pytest.mark.thread_unsafe(reason="forks")
@needs_fork
@forks_with_threads
def test_a_child_trains_after_a_fork_while_another_thread_trains():
    """The child is copied with BLAS limited, and a trainer's lock taken, and nobody left to lift or release them."""
    busy, trainer = (Trainer.random(50, 8, output_size=2500, seed=1, threads=2) for _ in range(2))
    stop = threading.Event()

    def train():
        while not stop.is_set():
            busy.fit_counts(random_counts(50, 2500), epochs=1)

    other = threading.Thread(target=train)
    other.start()
    try:
        while _blas._blas_limit._holders == 0:
            assert other.is_alive()
            time.sleep(0.001)
        idle = Trainer.random(50, 8, output_size=2500, seed=1, threads=2)
        assert len(answers_of_child(idle)) == 2
        assert len(answers_of_child(busy)) == 2
    finally:
        stop.set()
        other.join()
    trainer.fit_counts(random_counts(50, 2500), epochs=1)


# ---------------------------------------------------------------- the pool


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_pool_runs_each_task_once(threads, count):
    done = []
    pool = Pool(threads)
    for _ in range(3):
        done.clear()
        pool.run(done.append, count)
        assert sorted(done) == list(range(count))


def test_pool_uses_its_threads():
    """As many at once as it says, the caller's among them: each waits for the others."""
    barrier, names = threading.Barrier(3, timeout=TIME_LIMIT), set()

    def task(_):
        barrier.wait()
        names.add(threading.get_ident())

    Pool(3).run(task, 3)
    assert len(names) == 3
    assert threading.get_ident() in names


def test_pool_of_one_stays_on_the_calling_thread():
    names = set()
    Pool(1).run(lambda _: names.add(threading.get_ident()), 20)
    assert names == {threading.get_ident()}


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("failing", [{0}, {7}, {3, 4, 5}, set(range(100))])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_pool_raises_what_a_task_raised(threads, failing, error):
    """And starts no task afterwards; the pool can be used again."""
    pool, running = Pool(threads), []

    def task(number):
        if number in failing:
            raise error(number)
        running.append(number)

    with pytest.raises(error):
        pool.run(task, 100)
    length = len(running)
    time.sleep(0.01)
    assert len(running) == length < 100
    done = []
    pool.run(done.append, 10)
    assert sorted(done) == list(range(10))


def test_pool_raises_an_error_of_a_helper():
    caller = threading.get_ident()
    barrier = threading.Barrier(2, timeout=TIME_LIMIT)

    def task(_):
        barrier.wait()
        if threading.get_ident() != caller:
            raise OSError("in a helper")

    with pytest.raises(OSError, match="in a helper"):
        Pool(2).run(task, 2)


def test_number_of_threads():
    assert check_threads(3) == 3
    assert check_threads(np.int64(2)) == 2
    assert 1 <= check_threads(None) <= os.cpu_count()
    for wrong, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError), (True, TypeError)):
        with pytest.raises(error, match=f"threads must be .*, got {wrong!r}"):
            check_threads(wrong)
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        Trainer.random(3, 2, threads=0)


@pytest.mark.thread_unsafe(reason="must be done within a time")
def test_far_more_threads_than_work_cost_nothing():
    counts = sparse.csr_array(np.ones((30, 30)))
    start = time.monotonic()
    many, one = (SkipGram(dim=4, min_count=1, threads=threads).fit([["a", "b", "c"]]) for threads in (10**7, 1))
    assert_array_equal(many.vectors.matrix, one.vectors.matrix)
    Trainer.random(30, 4, threads=10**7).fit_counts(counts, epochs=1)
    assert time.monotonic() - start < TIME_LIMIT


@pytest.mark.thread_unsafe(reason="a Ctrl-C reaches the main thread alone")
def test_train_hears_a_ctrl_c():
    """Between two calls of the kernel, of about a two-hundredth of this training each, whatever their speed."""
    trainer = Trainer.random(2000, 100, seed=0, threads=1)
    before = trainer.embedding.copy()

    def interrupt():
        while (trainer.embedding[0] == before[0]).all():
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        trainer.train(np.repeat(np.arange(2000), 1000))  # about half a minute
    assert_array_equal(trainer.embedding[1000:], before[1000:])
