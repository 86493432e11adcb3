"""Interruption: Ctrl-C and SIGTERM, which preemption sends, end a run the same way."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """While the `with` block runs, SIGTERM raises `SystemExit`, so that everything is closed on the way out.

    Without it, the process would die where it stands. Outside the main thread, where signals do not arrive, it does
    nothing, nor where the program has a handler of its own.
    """
    is_main_thread = threading.current_thread() is threading.main_thread()
    if not is_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, frame: Any) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
