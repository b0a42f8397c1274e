"""The pool of threads, their number, what a fork does to them, and the limit on those of BLAS."""

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from fastembed._base import threads
from fastembed._base.threads import (
    Pool,
    awaited,
    blas_limit,
    check_threads,
    fork_locks,
    in_background,
    ordered_map,
    single_threaded_blas,
)

TIME_LIMIT = 300  # seconds, for what would otherwise hang


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
    """As many threads in parallel as given, including the caller: each waits for the others."""
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


def test_pool_raises_an_error_of_another_thread():
    caller = threading.get_ident()
    barrier = threading.Barrier(2, timeout=TIME_LIMIT)

    def task(_):
        barrier.wait()
        if threading.get_ident() != caller:
            raise OSError("in another thread")

    with pytest.raises(OSError, match="in another thread"):
        Pool(2).run(task, 2)


@pytest.mark.parametrize("helpers", [0, 1, 4])
@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_pool_lets_helpers_work_beside_the_caller(helpers, error):
    """Until the block ends, however it does; then they are gone, and the pool can be used again."""
    pool = Pool(5)
    for _ in range(3):
        started, end, left = threading.Barrier(helpers + 1, timeout=TIME_LIMIT), threading.Event(), []

        def work(number, started=started, end=end, left=left):
            started.wait()
            end.wait(TIME_LIMIT)
            left.append(number)

        def block(started=started, end=end, left=left, work=work):
            with pool.beside(work, helpers, end.set):
                started.wait()
                assert not left
                if error is not None:
                    raise error

        if error is None:
            block()
        else:
            with pytest.raises(error):
                block()
        assert sorted(left) == list(range(1, helpers + 1))


def test_pool_raises_what_a_helper_raised():
    begun = threading.Event()

    def fail(number):
        begun.set()
        raise OSError(f"helper {number}")

    with pytest.raises(OSError, match="helper 1"), Pool(2).beside(fail, 1, lambda: None):
        assert begun.wait(TIME_LIMIT)


def test_the_number_of_threads_is_checked():
    assert check_threads(3) == 3
    assert check_threads(np.int64(2)) == 2
    assert 1 <= check_threads(None) <= os.cpu_count()
    for wrong, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError), (True, TypeError)):
        with pytest.raises(error, match=f"threads must be .*, got {wrong!r}"):
            check_threads(wrong)


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


def test_ordered_map_gives_up_when_a_call_fails():
    gave_up = []
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(lambda item: 1 // item, [1, 0, 2], 2, lambda: gave_up.append(True)))
    assert gave_up == [True]


@pytest.mark.thread_unsafe(reason="no thread can be started meanwhile")
@pytest.mark.parametrize("idle", [0, 1])
def test_an_error_says_that_no_thread_can_be_started_and_nothing_runs_after_it(monkeypatch, idle):
    """Also if an idle thread takes work for which no other could be started."""

    def fail(_):
        raise RuntimeError("can't start new thread")

    threads._executor.renew()
    for _ in range(idle):
        awaited(in_background(len, ()))
    running = []

    def task(number):
        running.append(number)
        time.sleep(0.0001)
        running.pop()

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        for use in (lambda: Pool(4).run(task, 12), lambda: list(ordered_map(task, range(40), 4))):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                use()
            assert not running
    done = []
    Pool(4).run(done.append, 12)
    assert len(done) == 12


def test_ordered_map_starts_no_more_threads_than_help():
    drawn = []
    results = ordered_map(lambda item: item, map(drawn.append, range(10_000)), 100_000)
    next(results)
    assert len(drawn) <= 2 * max(64, os.cpu_count()) + 1
    results.close()


def run_until_the_end(program):
    command = [sys.executable, "-P", "-c", program]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8", timeout=TIME_LIMIT).stdout


LEFT_OPEN = """
import time
from fastembed._base.threads import ordered_map

def call(number):
    if number:
        print("begun", flush=True)
        time.sleep(0.3)
        print("ended", flush=True)

results = ordered_map(call, range(1000), 1)
next(results)
{at_end}
"""


@pytest.mark.parametrize("at_end", ["", "cycle = [results]; cycle.append(cycle)", "raise SystemExit(0)"])
def test_python_exits_though_a_block_is_still_open(at_end):
    """A call in progress is waited for; the others, 300 s of them, are dropped."""
    lines = run_until_the_end(LEFT_OPEN.format(at_end=at_end)).splitlines()
    assert lines == ["begun", "ended"] * (len(lines) // 2)
    assert len(lines) <= 100


def test_nothing_keeps_a_call_that_has_been_made():
    class Result:
        pass

    argument = Result()
    kept = [weakref.ref(argument)]
    call = in_background(lambda argument: Result() if argument else None, argument)
    kept.append(weakref.ref(call.result()))
    del argument
    gc.disable()  # there is no cycle
    try:
        end = time.monotonic() + TIME_LIMIT
        while kept[0]() is not None and time.monotonic() < end:
            time.sleep(0.001)
        assert kept[0]() is None
        del call
        while kept[1]() is not None and time.monotonic() < end:
            time.sleep(0.001)
        assert kept[1]() is None
    finally:
        gc.enable()


# Python looks for signals where a function begins and where one of C has returned, as well as where a loop repeats: the
# first two are what a profiler is told of. The program raises a Ctrl-C at the first of these places in the code of
# threads, then at the second, and so on. (Not in that of the libraries beneath, which may leave a lock taken.)
AT_ANY_PLACE = """
import contextlib, sys, time
from fastembed._base import threads

threads.POLL_SECONDS = 0.002
PLACES = threads.__file__, contextlib.__file__
begun, ended = [], []

class Left:
    count = 0

def raise_there(frame, event, _):
    if event in ("call", "c_return") and frame.f_code.co_filename in PLACES:
        Left.count -= 1
        if Left.count == 0:
            raise KeyboardInterrupt

def task(number):
    begun.append(number)
    time.sleep(0.0005)
    ended.append(number)
    return number

def use():
    pool = threads.Pool(3)
    {use}

def check(number):
    Left.count = number
    threads._executor.renew()  # so that threads are started
    raised = False
    sys.setprofile(raise_there)
    try:
        use()
    except KeyboardInterrupt:
        raised = True
    finally:
        sys.setprofile(None)
    there = Left.count <= 0
    assert there or not raised, number
    now = len(begun)
    if {waits}:
        assert now == len(ended), number
        time.sleep(0.001)
        assert now == len(begun), number
    Left.count = 0
    use()
    return there

number = 1
while check(number):
    number += 1
print(number)
"""
USES = {
    "run": "pool.run(task, 4)",
    "beside": """with pool.beside(task, 2, lambda: None):
        task(0)""",
    "ordered_map": "assert list(threads.ordered_map(task, range(4), 2)) == [0, 1, 2, 3]",
    "in_background": "assert threads.awaited(threads.in_background(task, 3)) == 3",
}


@pytest.mark.parametrize("use", USES)
def test_a_signal_at_any_place_leaves_nothing_running_and_ends_the_process(use):
    waits = use != "in_background"  # that goes on in the background
    assert int(run_until_the_end(AT_ANY_PLACE.format(use=USES[use], waits=waits))) > 5


def forks_process(test):
    """Mark a test that forks."""
    for mark in (
        pytest.mark.thread_unsafe(reason="forks"),
        pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs a system that forks"),
        # Python 3.12 and newer warn of what is tested here
        pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    ):
        test = mark(test)
    return test


@forks_process
def test_a_fork_waits_until_other_threads_have_left_their_fork_locks(answer_of_child):
    locks = [fork_locks.new(), fork_locks.new()]
    held, begun, inside = threading.Event(), threading.Event(), [False, False]

    def hold(number):
        with locks[number]:
            inside[number] = True
            held.set()
            begun.wait(TIME_LIMIT)
            inside[number] = False

    def watch():
        while fork_locks._forking.acquire(blocking=False):  # until the thread that forks has it
            fork_locks._forking.release()
            time.sleep(0.001)
        begun.set()

    def free():
        return inside, [lock.acquire(timeout=0) for lock in locks]

    others = [threading.Thread(target=hold, args=(number,), daemon=True) for number in (0, 1)]
    for other in others:
        held.clear()
        other.start()
        assert held.wait(TIME_LIMIT)
    others.append(threading.Thread(target=watch, daemon=True))
    others[-1].start()
    assert answer_of_child(free) == ([False] * 2, [True] * 2)
    for other in others:
        other.join(TIME_LIMIT)
    with locks[0]:  # a thread may fork while it is inside
        assert answer_of_child(free) == ([False] * 2, [True] * 2)
    assert free() == ([False] * 2, [True] * 2)


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.mark.thread_unsafe(reason="BLAS has one limit for the process")
def test_the_limit_nests_across_threads():
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
def test_the_limit_holds_whichever_thread_set_another_first(in_threads):
    """In a thread while the main thread holds another limit; set by one thread, lifted by another."""
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()

        def inside():
            with single_threaded_blas():
                return blas_threads()

        assert in_threads(inside) == [[1] * len(before)]
        assert blas_threads() == before
        assert inside() == [1] * len(before)
        blas_limit.acquire()
        in_threads(blas_limit.release)
        assert blas_threads() == before
        blas_limit.acquire()
        in_threads(blas_limit.acquire)
        blas_limit.release()
        assert blas_threads() == [1] * len(before)
        in_threads(blas_limit.release)
        assert blas_threads() == before
    with threadpool_limits(limits=1, user_api="blas"):
        assert blas_threads() == [1] * len(before)
