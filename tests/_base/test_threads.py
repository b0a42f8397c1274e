"""The pool of threads, their order and errors, and the limit on the threads of BLAS."""

import signal
import sys
import threading
from contextlib import ExitStack, closing, contextmanager
from time import sleep

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from fastembed._base.threads import Call, Pool, SingleThreadedBlas, ordered_map, ordered_sum


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
    length, done = len(running), []
    pool.run(done.append, 10)
    assert sorted(done) == list(range(10))
    assert len(running) == length < 100


def test_ordered_sum_adds_in_the_order_of_the_tasks():
    """In another order the small terms would be lost, or not, beside the large ones."""
    terms = [1e16, 1.0, -1e16, 1.0] * 9
    expected = 0.0
    for term in terms:
        expected += term
    for threads in (1, 3):
        total = ordered_sum(lambda term: np.full(2, term), terms, (2,), Pool(threads))
        np.testing.assert_array_equal(total, np.full(2, expected))


@pytest.mark.parametrize("threads", [1, 3])
def test_ordered_map_keeps_the_order_and_stays_little_ahead(threads):
    drawn = []

    def items():
        for item in range(50):
            drawn.append(item)
            yield item

    for place, result in enumerate(ordered_map(lambda item: item**2, items(), threads)):
        assert result == place**2
        assert len(drawn) <= place + 2 * threads + 1


@contextmanager
def limited(seconds):
    """Raise TimeoutError in a `with` block that takes longer, as one that waits for a lock without end."""

    def raise_it(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, raise_it)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def interrupted(work, place):
    """Call `work` with a Ctrl-C at this place among all at which Python can raise it while threads start and end."""
    seen = 0

    def trace(frame, event, _):
        nonlocal seen
        if not frame.f_code.co_filename.endswith(
            ("threads.py", "threading.py", "contextlib.py", "_base.py", "thread.py")
        ):
            return None
        seen += 1
        if seen > place:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)


@pytest.mark.thread_unsafe(reason="signals go to the main thread")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers of Unix")
@pytest.mark.parametrize("way", ["map", "pool"])
def test_a_ctrl_c_anywhere_ends_the_call_and_hurts_no_later_one(way):
    def work():
        if way == "pool":
            Pool(3).run(lambda _: sleep(1e-3), 5)
        else:
            with closing(ordered_map(lambda item: sleep(1e-3), range(5), 2)) as results:
                list(results)

    with limited(60):
        for place in range(10_000):
            try:
                interrupted(work, place)
                break
            except KeyboardInterrupt:
                pass
    assert place > 20


@pytest.mark.thread_unsafe(reason="signals go to the main thread")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers of Unix")
def test_a_second_ctrl_c_waits_for_nothing():
    begun, released, main = threading.Event(), threading.Event(), threading.get_ident()

    def task(number):
        if threading.get_ident() == main:
            begun.wait()
            raise KeyboardInterrupt
        begun.set()
        while sys._current_frames()[main].f_code is not Call.wait.__code__:  # until the first Ctrl-C is handled
            sleep(1e-3)
        signal.pthread_kill(main, signal.SIGINT)
        released.wait()

    with limited(20), pytest.raises(KeyboardInterrupt):
        Pool(2).run(task, 2)
    released.set()


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.mark.thread_unsafe(reason="BLAS has one limit for the process")
def test_the_limit_holds_whichever_thread_set_another_first(in_threads):
    """In a thread while the main thread holds another limit; set by one thread, lifted by another."""
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()

        def inside():
            with SingleThreadedBlas():
                return blas_threads()

        assert in_threads(inside) == [[1] * len(before)]
        assert blas_threads() == before
        assert inside() == [1] * len(before)
        ours, theirs = ExitStack(), ExitStack()
        ours.enter_context(SingleThreadedBlas())
        in_threads(lambda: theirs.enter_context(SingleThreadedBlas()))
        ours.close()
        assert blas_threads() == [1] * len(before)
        in_threads(theirs.close)
        assert blas_threads() == before
    with threadpool_limits(limits=1, user_api="blas"):
        assert blas_threads() == [1] * len(before)
