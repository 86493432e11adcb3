import signal
import threading

import pytest

from keras_noisy_student.interruption import exit_on_sigterm


def test_sigterm_leaves_through_every_finally_with_the_exit_code_of_the_signal():
    left = []
    with pytest.raises(SystemExit) as caught, exit_on_sigterm():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            left.append(True)
    assert caught.value.code == 128 + signal.SIGTERM
    assert left == [True]


def test_sigterm_is_what_it_was_afterwards():
    with exit_on_sigterm():
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_that_the_program_has_is_left_alone():
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        with exit_on_sigterm():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]


def test_outside_the_main_thread_nothing_happens():
    ran = []

    def run():
        with exit_on_sigterm():
            ran.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ran == [True]
