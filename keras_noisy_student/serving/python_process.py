"""A Python process of its own: without what this one has imported, and without its accelerators."""

import os
import subprocess
import sys
from collections.abc import Sequence

_SECONDS = 1800


def run_python(arguments: Sequence[str], *, directory: str) -> subprocess.CompletedProcess[str]:
    """Runs the interpreter of this process, on the CPU: this one may hold all memory of the accelerators.

    Args:
        arguments: of the interpreter.
        directory: where it is started. Python looks for modules there, so it is not that of the user.

    Raises:
        RuntimeError: when there is no interpreter to run, or it does not end within half an hour.
    """
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, TypeError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(
            f"A fresh Python process is needed, and could not be run: {error}. `sys.executable` must be a Python "
            "interpreter; verify=False exports without a check."
        ) from error
