import os
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


def test_what_was_done_with_sigterm_before_is_done_again_afterwards():
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        with exit_on_sigterm():
            pass
        os.kill(os.getpid(), signal.SIGTERM)
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
