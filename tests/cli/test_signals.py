"""SIGTERM as an exception."""

import os
import signal
import threading

import pytest

from fastembed.cli import Terminated, sigterm_interrupts

pytestmark = [
    pytest.mark.thread_unsafe,
    pytest.mark.skipif(os.name == "nt", reason="Windows ends a process that is sent SIGTERM"),
]


def test_sigterm_interrupts_once_and_is_ignored_then():
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(Terminated), sigterm_interrupts():
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_nothing_is_left_where_no_signal_came():
    with sigterm_interrupts():
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_handlers_of_the_process_stay():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with sigterm_interrupts():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_other_threads_change_no_handler():
    found = []

    def look():
        with sigterm_interrupts():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]
