"""Trainers and threads: the same bits on any number of them, the GIL released, BLAS as it was, forks, Ctrl-C."""

import contextlib
import hashlib
import multiprocessing
import signal
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from threadpoolctl import threadpool_info, threadpool_limits

from fastembed import Trainer

THREADS = [1, 2, 3, 4, 8]
CALLERS = 8


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
    """With the pool for any size of the linear layer, and without it."""
    bits = {row_bits(library.dtype, 1)}
    set_constant("fastembed.trainer.rows.PARALLEL_BYTES", 0)
    bits |= {row_bits(library.dtype, threads) for threads in THREADS}
    assert len(bits) == 1


def test_one_trainer_from_many_threads_makes_one_call_after_the_other(in_threads):
    """Steps on different rows are independent: none is lost or mixed up."""
    trainer, twin = (Trainer.random(CALLERS, 50, output_size=3000, seed=3) for _ in range(2))

    def train(model, i):
        model.train([i] * 100)
        for _ in range(100):
            model.step(i)
        return model.loss(i, i), model.gradient(i, 0).tobytes(), model.forward(i).tobytes()

    found = in_threads(*(partial(train, trainer, i) for i in range(CALLERS)))
    assert found == [train(twin, i) for i in range(CALLERS)]
    assert_array_equal(trainer.embedding, twin.embedding)


# ---------------------------------------------------------------- BLAS and the GIL


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.mark.thread_unsafe(reason="BLAS has one limit for the process")
@pytest.mark.parametrize("user", [1, 2])
def test_a_fit_leaves_the_threads_of_blas_as_they_were(user):
    """One during an epoch; between epochs, afterwards and after an exception as many as the user had set."""
    counts, trainer = random_counts(50, 1200), Trainer.random(50, 8, output_size=1200, threads=2)
    seen = []

    def stop(_):
        seen.append(blas_threads())
        raise KeyError("stop")

    trainer.fit_counts(counts, epochs=1)  # loads SciPy's BLAS
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


@pytest.mark.thread_unsafe(reason="observes other threads")
def test_other_threads_run_during_a_step(runs_meanwhile):
    trainer = Trainer.random(1, 16, output_size=300_000, threads=1)
    assert runs_meanwhile(lambda: trainer.step(0, 7, update_linear=True))
    assert runs_meanwhile(lambda: trainer.forward(0))
    assert runs_meanwhile(lambda: trainer.loss(0, 7))


@pytest.mark.thread_unsafe(reason="BLAS has one limit for the process")
@pytest.mark.parametrize("place", ["_control_of_blas", "ThreadpoolController"])
def test_an_interrupt_while_the_limit_of_blas_is_set_or_lifted_leaves_none(place, monkeypatch):
    """An interrupt at each call in turn, of those that two fits make."""
    counts, trainer = random_counts(50, 1200), Trainer.random(50, 8, output_size=1200, threads=2)
    trainer.fit_counts(counts, epochs=1)
    module = sys.modules["fastembed._base.threads"]
    with threadpool_limits(limits=2, user_api="blas"):
        before, real = blas_threads(), getattr(module, place)
        for interrupted in range(12):
            calls = iter(range(100))

            def call(*given, interrupted=interrupted, calls=calls):
                if next(calls) == interrupted:
                    raise KeyboardInterrupt
                return real(*given)

            monkeypatch.setattr(module, place, call)
            with contextlib.suppress(KeyboardInterrupt):
                trainer.fit_counts(counts, epochs=2, on_epoch_end=lambda _: None)
            monkeypatch.setattr(module, place, real)
            seen = []
            trainer.fit_counts(counts, epochs=1)
            with module.SingleThreadedBlas():
                seen += blas_threads()
            assert set(seen) == {1}
            assert blas_threads() == before


def test_an_interrupt_before_a_fit_leaves_its_trainer_free(monkeypatch):
    counts, trainer = random_counts(50, 1200), Trainer.random(50, 8, output_size=1200, threads=2)

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastembed.trainer.run.import_module", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit_counts(counts, epochs=1)
    monkeypatch.undo()
    assert len(trainer.fit_counts(counts, epochs=1)) == 1


# ---------------------------------------------------------------- forks


def train_twice(trainer):
    """Train with a trainer, and with a new one; return digests of both results."""
    digests = []
    for model in (trainer, Trainer.random(50, 8, output_size=2500, seed=1, threads=2)):
        history = model.fit_counts(random_counts(50, 2500), epochs=1)
        digests.append(digest([history[0]["nll"]], model.embedding, model.linear))
    return digests


needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="needs a system that forks"
)
# Python 3.12 and newer warn of what is tested here
forks_with_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.mark.thread_unsafe(reason="forks")
@needs_fork
@forks_with_threads
def test_a_child_trains_after_a_fork_while_another_thread_holds_a_trainer(answer_of_child):
    """The child starts with the lock of a trainer held, and with a pool, of threads that it does not have."""
    busy, idle = (Trainer.random(50, 8, output_size=2500, seed=1, threads=2) for _ in range(2))
    within, stop = threading.Event(), threading.Event()

    def hold(_):
        within.set()
        stop.wait()

    other = threading.Thread(target=busy.fit_counts, args=[random_counts(50, 2500)], kwargs={"on_epoch_end": hold})
    other.start()
    try:
        within.wait()
        assert len(answer_of_child(partial(train_twice, idle))) == 2
        assert answer_of_child(partial(busy.forward, 0)).shape == (2500,)
    finally:
        stop.set()
        other.join()
    idle.fit_counts(random_counts(50, 2500), epochs=1)


# ---------------------------------------------------------------- many threads, Ctrl-C


@pytest.mark.thread_unsafe(reason="a Ctrl-C reaches the main thread alone")
@pytest.mark.parametrize(("inputs", "epochs"), [(np.repeat(np.arange(2000), 1000), 1), ([0], 2_000_000)])
def test_train_ends_at_a_ctrl_c(inputs, epochs):
    """Between two calls of the kernel, each about an eight-hundredth of this training, whatever their speed."""
    trainer = Trainer.random(2000, 100, seed=0, threads=1)
    before = trainer.embedding.copy()

    def interrupt():
        while (trainer.embedding[0] == before[0]).all():
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        trainer.train(inputs, epochs=epochs)  # about half a minute
    assert_array_equal(trainer.embedding[1000:], before[1000:])


@pytest.mark.thread_unsafe(reason="a Ctrl-C reaches the main thread alone")
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_a_fit_ends_at_a_ctrl_c(threads):
    """Between two blocks, wherever the threads are; the trainer and its threads can be used again."""
    trainer, counts = Trainer.random(300, 20, output_size=4500, seed=3, threads=threads), random_counts(300, 4500)
    before = trainer.embedding.copy()

    def interrupt():
        while (trainer.embedding == before).all():
            time.sleep(0.001)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit_counts(counts, epochs=10**6, block_size=16)
    assert np.isfinite(trainer.embedding).all()
    twin = Trainer(trainer.embedding.copy(), trainer.linear, threads=1)
    assert trainer.fit_counts(counts, epochs=1)[0]["nll"] == twin.fit_counts(counts, epochs=1)[0]["nll"]
    assert_array_equal(trainer.embedding, twin.embedding)


# ---------------------------------------------------------------- the mode of floating-point numbers


@pytest.mark.parametrize("mode", ["down", "up", "towards zero", "flush"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_mode_of_floats_of_the_caller_changes_no_bit(set_constant, in_float_mode, dtype, mode):
    """A row, and the changes of outputs without weights, are subnormal numbers, which must be kept."""
    set_constant("fastembed.trainer.rows.PARALLEL_BYTES", 0)
    counts, tiny = random_counts(30, 4500), 2.0 ** (-140 if dtype == "float32" else -1060)

    def new(threads):
        start = Trainer.random(30, 50, output_size=4500, dtype=dtype, seed=3)
        embedding, linear = start.embedding, start.linear.copy()
        embedding[1] = np.sign(embedding[1]) * 3 * tiny
        linear[:, :2] = 0
        return Trainer(embedding, linear, threads=threads)

    def results(trainer):
        found = [trainer.step(1, 2, learning_rate=tiny), trainer.step(1, 0, update_linear=True), trainer.loss(0, 1)]
        found += [*trainer.gradient(0, 1), *trainer.train([0, 1]), *trainer.forward(3)]
        found.append(trainer.fit_counts(counts, epochs=1, block_size=8, learning_rate=tiny)[0]["nll"])
        found.append(trainer.nll(counts))
        return digest(found, trainer.embedding, trainer.linear)

    for threads in (1, 3):
        trainer, twin = new(threads), new(threads)
        with in_float_mode(mode):
            found = results(trainer)
        assert found == results(twin)
