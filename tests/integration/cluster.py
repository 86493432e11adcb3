"""Runs a module in processes of its own, on logical devices or as the workers of a cluster on loopback."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
TIMEOUT = 400


def run_module(module, *arguments):
    """Runs `python -m module`; returns the JSON that its last line holds."""
    return _results([_start(module, arguments, {})])[0]


def run_cluster(module, *arguments, num_workers=2):
    """Runs the module as every worker of a cluster; returns the JSON of each."""
    return _results(start_cluster(module, *arguments, num_workers=num_workers))


def start_cluster(module, *arguments, num_workers=2):
    """Starts the workers of a cluster."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(num_workers)]
        for one in sockets:
            one.bind(("localhost", 0))
        addresses = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    tasks = [{"type": "worker", "index": index} for index in range(num_workers)]
    configs = [json.dumps({"cluster": {"worker": addresses}, "task": task}) for task in tasks]
    return [_start(module, arguments, {"TF_CONFIG": config}) for config in configs]


def _start(module, arguments, environment):
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _results(processes):
    try:
        outputs = [process.communicate(timeout=TIMEOUT) for process in processes]
    finally:
        for process in processes:
            process.kill()
    errors = "\n".join(error for _, error in outputs)
    assert all(process.returncode == 0 for process in processes), errors
    return [json.loads(output.splitlines()[-1]) for output, _ in outputs]
