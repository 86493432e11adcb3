import queue
import threading

import pytest

from keras_noisy_student.pseudo_labels.background_calls import BackgroundCalls


class Stop(BaseException):
    """No `Exception`: as a kill in the tests, or Ctrl-C."""


def test_calls_come_in_order_in_another_thread_and_have_ended_with_the_block():
    calls = []
    with BackgroundCalls(lambda *arguments: calls.append((threading.current_thread(), *arguments))) as call:
        for number in range(50):
            call(number, -number)
    assert [arguments for _, *arguments in calls] == [[number, -number] for number in range(50)]
    assert {thread for thread, *_ in calls}.isdisjoint({threading.current_thread()})


def test_the_block_goes_on_while_a_call_runs():
    begun, go_on = queue.Queue(), queue.Queue()

    def wait():
        begun.put(True)
        go_on.get(timeout=30)

    with BackgroundCalls(wait) as call:
        call()
        assert begun.get(timeout=30)
        go_on.put(True)


@pytest.mark.parametrize("kind", [ValueError, Stop])
def test_an_error_is_raised_where_the_next_call_is_asked_for_and_is_the_last_call(kind):
    calls, failed = [], threading.Event()

    def fail_at_three(number):
        calls.append(number)
        if number == 3:
            failed.set()
            raise kind("at three")

    with pytest.raises(kind, match="at three"), BackgroundCalls(fail_at_three) as call:
        for number in range(4):
            call(number)
        failed.wait(timeout=30)
        for number in range(4, 1000):
            call(number)
    assert calls == [0, 1, 2, 3]


def test_an_error_of_the_last_call_is_raised_at_the_end_of_the_block():
    def fail():
        raise ValueError("at last")

    with pytest.raises(ValueError, match="at last"), BackgroundCalls(fail) as call:
        call()


def test_calls_that_wait_when_the_block_fails_are_dropped(monkeypatch):
    calls, begun, go_on = [], threading.Event(), threading.Event()

    def wait(number):
        calls.append(number)
        begun.set()
        go_on.wait(timeout=30)

    with pytest.raises(Stop), BackgroundCalls(wait) as call:
        for number in range(5):
            call(number)
        begun.wait(timeout=30)
        wait_in_line = call._waiting.put
        monkeypatch.setattr(call._waiting, "put", lambda end: (go_on.set(), wait_in_line(end)))
        raise Stop
    assert calls == [0]
