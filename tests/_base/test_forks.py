"""Values of a process, of which a child has its own after a fork."""

import multiprocessing
import threading

import pytest

from fastembed._base.forks import PerProcess
from fastembed._base.threads import Pool

TIME_LIMIT = 300  # seconds, for what would otherwise hang

pytestmark = [
    pytest.mark.thread_unsafe(reason="forks"),
    pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs a system that forks"),
    # Python 3.12 and newer warn of what is tested here
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


def answer_of_child(function):
    """Return what a function returns in a child, which must end in time."""
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


def test_a_lock_that_another_thread_holds_is_free_in_a_child():
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


def test_a_child_makes_values_of_its_own_and_the_parent_keeps_its():
    made = []
    value = PerProcess(lambda: made.append(len(made)) or len(made))
    assert answer_of_child(lambda: (value.value, len(made))) == (2, 2)
    assert (value.value, len(made)) == (1, 1)


def test_a_pool_that_has_run_runs_in_a_child():
    pool = Pool(3)
    done = []

    def run():
        done.clear()
        pool.run(done.append, 100)
        return sorted(done)

    assert run() == answer_of_child(run) == run() == list(range(100))
