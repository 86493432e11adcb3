"""A process of the run `faults_run.py`, seen from outside: what it logs, says and returns, and how it is killed."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import NamedTuple

SCRIPT = pathlib.Path(__file__).with_name("faults_run.py")


class Event(NamedTuple):
    """A line that the run logged: a phase began, or a step or an annotated batch ended."""

    seconds: float
    phase: str
    round_index: int
    number: int
    examples: int

    @property
    def key(self):
        """What tells it from the other events of a run."""
        return self.phase, self.round_index, self.number


class Kill(NamedTuple):
    """A moment: `delay` seconds after the event of this index in the unkilled run, or after the process started."""

    event_index: int
    delay: float
    at_start: bool = False


class Life:
    """One process of the run, from its start to its end.

    Args:
        directory: of the run. What the process logs and says is kept beside it.
    """

    def __init__(self, directory):
        logs = directory.with_name(f"{directory.name}.lives")
        logs.mkdir(exist_ok=True)
        number = len(list(logs.glob("*.said")))
        self._log_path, self._said_path, self._result_path = (
            logs / f"{number:02d}.{suffix}" for suffix in ("events", "said", "result")
        )
        self._log_path.touch()
        self._events = []
        paths = [directory, "--events", self._log_path, "--result", self._result_path]
        self.started = time.monotonic()
        with self._said_path.open("w") as said:
            self._process = subprocess.Popen(
                [sys.executable, SCRIPT, *paths],
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            )

    @property
    def events(self):
        """What was logged up to now."""
        new_lines = self._log_path.read_text().split("\n")[len(self._events) : -1]
        for seconds, phase, *numbers in map(str.split, new_lines):
            self._events.append(Event(float(seconds), phase, *map(int, numbers)))
        return self._events

    @property
    def has_ended(self):
        """Whether all rounds are finished."""
        return bool(self.events) and self.events[-1].phase == "end"

    @property
    def said(self):
        """Its standard output and error."""
        return self._said_path.read_text()

    @property
    def was_killed(self):
        """Whether a signal ended it."""
        return self._process.returncode == -signal.SIGKILL

    @property
    def result(self):
        """What the run returned, `None` if it was killed or failed."""
        return json.loads(self._result_path.read_text()) if self._process.returncode == 0 else None

    def is_running(self):
        """Whether it still runs, after a moment: for loops that wait."""
        time.sleep(0.001)
        return self._process.poll() is None

    def end(self):
        """Waits for its end."""
        self._process.wait()
        return self

    def kill(self, kill, order):
        """Kills the process at a moment, or as long after the first event that comes later, unless its run ends before.

        Args:
            kill: the moment.
            order: index of each event in the unkilled run, by its key.
        """
        due = self.started + kill.delay if kill.at_start else None
        while self.is_running() and not self.has_ended:
            if due is None:
                due = next((e.seconds + kill.delay for e in self.events if order[e.key] >= kill.event_index), None)
            elif time.monotonic() >= due:
                self._process.kill()
                break
        return self.end()
