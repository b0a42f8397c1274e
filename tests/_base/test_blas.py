"""The limit on the threads of BLAS."""

import threading

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from fastembed._base.threads import blas_limit, single_threaded_blas

TIME_LIMIT = 300  # seconds, for what would otherwise hang


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
