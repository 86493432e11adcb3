"""`BackgroundCalls`: work that a thread of its own does while the main one goes on, such as writing to a disk."""

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

_MAX_WAITING = 8


class BackgroundCalls:
    """Calls a function in another thread, one call after the other, in the order in which they are asked for.

    A call that fails is the last one; its error is raised where the next one is asked for, or at the end of the `with`
    block. No call runs any more when the block has ended; where it ended by an error, those that wait are dropped.

    Args:
        function: to call.

    Example:
        >>> done = []
        >>> with BackgroundCalls(done.append) as append:
        ...     append(1)
        ...     append(2)
        >>> done
        [1, 2]
    """

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function
        self._waiting: queue.Queue[tuple[Any, ...] | None] = queue.Queue(_MAX_WAITING)
        self._error: BaseException | None = None
        self._is_dropped = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "BackgroundCalls":
        self._thread.start()
        return self

    def __call__(self, *arguments: Any) -> None:
        """Asks for a call; waits while many are waiting.

        Raises:
            BaseException: that of an earlier call.
        """
        if self._error is not None:
            raise self._error
        self._waiting.put(arguments)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_dropped = error is not None
        self._waiting.put(None)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (arguments := self._waiting.get()) is not None:
            # After an error the queue is emptied, so that nobody waits at a full one.
            if self._error is None and not self._is_dropped:
                try:
                    self._function(*arguments)
                except BaseException as error:
                    self._error = error
