"""Values per process: a child has its own after a fork."""

import multiprocessing
import threading
import time

import pytest

from fastembed._base.threads import PerProcess, Pool, fork_locks

TIME_LIMIT = 300  # seconds, for what would otherwise hang

pytestmark = [
    pytest.mark.thread_unsafe(reason="forks"),
    pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs a system that forks"),
    # Python 3.12 and newer warn of what is tested here
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


def test_a_lock_that_another_thread_holds_is_free_in_a_child(answer_of_child):
    lock = PerProcess(threading.RLock)
    held, leave = threading.Event(), threading.Event()

    def hold():
        with lock.value:
            held.set()
            leave.wait(TIME_LIMIT)

    other = threading.Thread(target=hold)
    other.start()
    try:
        assert held.wait(TIME_LIMIT)
        assert answer_of_child(lambda: lock.value.acquire(timeout=0))
        assert not lock.value.acquire(timeout=0)
    finally:
        leave.set()
        other.join()


def test_a_child_makes_values_of_its_own_and_the_parent_keeps_its(answer_of_child):
    made = []
    value = PerProcess(lambda: made.append(len(made)) or len(made))
    assert answer_of_child(lambda: (value.value, len(made))) == (2, 2)
    assert (value.value, len(made)) == (1, 1)


def test_a_pool_that_has_run_runs_in_a_child(answer_of_child):
    pool = Pool(3)
    done = []

    def run():
        done.clear()
        pool.run(done.append, 100)
        return sorted(done)

    assert run() == answer_of_child(run) == run() == list(range(100))


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


def test_a_fork_lock_exists_as_long_as_it_is_kept():
    before = len(fork_locks._locks)
    lock = fork_locks.new()
    assert len(fork_locks._locks) == before + 1
    del lock
    assert len(fork_locks._locks) == before
