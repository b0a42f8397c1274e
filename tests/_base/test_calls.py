"""Calls that other threads make: once, also if a thread cannot be started, ends early, or a signal comes."""

import gc
import subprocess
import sys
import threading
import time
import weakref

import pytest

from fastembed._base import threads as calls
from fastembed._base.threads import Call, in_background, interruptible

TIME_LIMIT = 300  # seconds, for what would otherwise hang


def test_a_call_is_made_once_whoever_makes_it():
    made = []
    call = Call(lambda: made.append(threading.get_ident()))
    barrier = threading.Barrier(8, timeout=TIME_LIMIT)

    def make():
        barrier.wait()
        call.make()

    others = [threading.Thread(target=make) for _ in range(8)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    call.make()
    call.cancel()
    assert len(made) == 1
    assert call.has_ended()
    assert not call.cancelled
    assert call.result() is call.result() is None


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_a_call_raises_is_raised_where_its_result_is_asked_for(error):
    def fail():
        raise error(threading.get_ident())

    call = Call(fail)
    in_background(call)
    for _ in range(2):
        with pytest.raises(error) as raised:
            call.result()
    with pytest.raises(error):
        interruptible(fail)
    assert raised.value.args != (threading.get_ident(),)


def test_the_one_that_waits_for_a_call_makes_it_if_nobody_does():
    assert Call(lambda: 3).result() == 3
    ends = Call(lambda: 3)
    ends.end()
    assert ends.cancelled
    with pytest.raises(RuntimeError, match="a call was cancelled"):
        ends.result()


def test_nothing_keeps_a_call_that_has_been_made():
    class Result:
        pass

    argument = Result()
    kept = [weakref.ref(argument)]
    call = Call(lambda argument=argument: Result() if argument else None)
    in_background(call)
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


@pytest.mark.thread_unsafe(reason="no thread can be started meanwhile")
def test_the_caller_makes_the_calls_if_no_thread_can_be_started(monkeypatch):
    def fail(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(calls._threads, "value", calls._Threads())
    monkeypatch.setattr(threading.Thread, "start", fail)
    assert interruptible(threading.get_ident) == threading.get_ident()


# ---------------------------------------------------------------- the threads


class Held(Call):
    """A call whose thread is stopped just after the end of the call has been detected."""

    def __init__(self, function):
        super().__init__(function, may_be_made=lambda: False)
        self._done, self.go_on = self, threading.Event()

    def release(self):
        assert self.go_on.wait(TIME_LIMIT)

    def acquire(self, timeout):
        time.sleep(0)


def test_a_thread_is_idle_as_soon_as_its_call_has_ended():
    """Or was cancelled: then, too, the thread comes back for the next one by itself."""
    threads = calls._Threads()
    first = Held(threading.get_ident)
    assert threads.start(first)
    ident = first.result()
    cancelled, last = Call(lambda: None), Call(threading.get_ident, may_be_made=lambda: False)
    assert threads.start(cancelled)
    cancelled.end()
    assert threads.start(last)
    first.go_on.set()
    assert last.result() == ident


def test_a_thread_that_makes_a_call_gets_no_other_one():
    threads = calls._Threads()
    barrier = threading.Barrier(3, timeout=TIME_LIMIT)
    for _ in range(2):
        together = [Call(barrier.wait, may_be_made=lambda: False) for _ in range(3)]
        assert all(map(threads.start, together))
        assert sorted(call.result() for call in together) == [0, 1, 2]
    assert len(threads._servers) == 3


def test_a_thread_that_could_not_be_given_a_call_for_lack_of_memory_is_there_for_the_next(monkeypatch):
    threads = calls._Threads()
    first, last = (Call(threading.get_ident, may_be_made=lambda: False) for _ in range(2))
    assert threads.start(first)
    ident = first.result()

    def fail(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(calls._Server, "give", fail)
        with pytest.raises(MemoryError):
            threads.start(last)
    assert threads.start(last)
    assert last.result() == ident


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_ended_gets_no_call():
    class Fatal(Call):
        def make(self):
            raise SystemExit

    threads = calls._Threads()
    assert threads.start(Fatal(lambda: None))
    threads._servers[0]._thread.join(TIME_LIMIT)
    last = Call(threading.get_ident, may_be_made=lambda: False)
    assert threads.start(last)
    last.result()
    assert len(threads._servers) == 1


# ---------------------------------------------------------------- at any place

# Python looks for signals where a function begins and where one of C has returned, as well as where a loop repeats: the
# first two are what a profiler is told of. The program raises an error at the first of these places in the code of
# threads, then at the second, and so on.
PROGRAM = """
import contextlib, sys, threading, time
from fastembed._base import threads

calls = threads

calls.POLL_SECONDS = 0.002
PLACES = [module.__file__ for module in (calls, threading, contextlib)]
begun, ended = [], []

class Left:
    count = 0

def raise_there(frame, event, _):
    if event in ("call", "c_return") and frame.f_code.co_filename in PLACES:
        Left.count -= 1
        if Left.count == 0:
            raise {error}

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
    calls._threads.renew()  # so that threads are started
    raised = False
    {install}(raise_there)
    try:
        use()
    except ({error}, RuntimeError) as error:
        raised = True
    finally:
        {install}(None)
    there = Left.count <= 0
    {after}
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
    "interruptible": "assert calls.interruptible(lambda: task(3)) == 3",
}
NOTHING_RUNS = """
    assert there or not raised, number
    now = len(begun)
    assert now == len(ended), number
    time.sleep(0.001)
    assert now == len(begun), number
"""


def run_program(use, **options):
    program = PROGRAM.format(use=USES[use], **{"after": ""} | options)
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", timeout=TIME_LIMIT)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("use", USES)
def test_a_signal_at_any_place_leaves_nothing_running_and_ends_the_process(use):
    after = NOTHING_RUNS if use != "interruptible" else ""  # that goes on in the background
    assert run_program(use, error="KeyboardInterrupt", install="sys.setprofile", after=after) > 40


@pytest.mark.parametrize("use", USES)
def test_a_thread_that_ends_at_any_place_lets_nobody_wait_for_ever(use):
    """Its caller gets an error, or does the work itself."""
    assert run_program(use, error="SystemExit", install="threading.setprofile") > 1
