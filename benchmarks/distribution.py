"""How far training on two replicas, and on two workers, ends from training on one: the same seed and global batch.

    pip install -e . && python benchmarks/distribution.py --json out.json

Each run is a process of its own (two for the workers, on loopback). It trains a small convolutional network with
synchronised batch normalization, RandAugment, the paper's RMSProp and averaged weights, without model noise, whose
masks differ between replicas on purpose: first a student for 20 steps on joint batches, then a teacher and two students
by `fit_rounds`, 40 steps each.

Sums over replicas are added in another order, which differs in rounding, and training enlarges any difference. Beside
each figure stands therefore that of a run on one device whose first weights were changed by 1e-7. How much it is
enlarged depends on the network and the optimizer: with ReLU and AdamW, whose steps are as large for gradients that are
nothing but rounding, 20 steps made 2e-4 of two replicas and 1e-3 of the change.

Takes about 4 minutes on two CPU cores.

    --json PATH    write the figures
    --quick        one short round, to see that it runs

Figures, each the largest difference of any weight from that on one device, of all workers:

- `max_weight_difference_mirrored`, `max_weight_difference_two_workers`: after the 20 steps, for a `MirroredStrategy` on
  two logical CPU devices and a `MultiWorkerMirroredStrategy` of two processes; `max_weight_difference` is the larger.
- `one_changed_by_1e-7`: the same on one device, of which every first weight was changed by 1e-7.
- `rounds_mirrored`, `rounds_two_workers`, `rounds_one_changed_by_1e-7`: after the rounds.
"""

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

import numpy as np

RUN = pathlib.Path(__file__).with_name("distribution_run.py")


def run(strategy: str, directory: pathlib.Path, *, quick: bool, tf_config: str = "{}") -> subprocess.Popen:
    """Starts a run, which writes what it ended with to `directory`."""
    command = [sys.executable, str(RUN), strategy, str(directory), *(["--quick"] if quick else [])]
    return subprocess.Popen(command, env={**os.environ, "TF_CONFIG": tf_config, "CUDA_VISIBLE_DEVICES": ""})


def run_workers(directory: pathlib.Path, *, quick: bool) -> list[subprocess.Popen]:
    """Starts two workers of one run."""
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("localhost", 0))
    addresses = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    cluster = {"worker": addresses}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(2)]
    return [run("workers", directory, quick=quick, tf_config=json.dumps(task)) for task in tasks]


def wait(processes: list[subprocess.Popen]) -> None:
    """Waits for all; raises if one fails."""
    codes = [process.wait() for process in processes]
    if any(codes):
        raise SystemExit(f"A run failed with exit code {max(codes, key=abs)}; its error stands above.")


def largest_difference(paths: list[pathlib.Path], reference: pathlib.Path, prefix: str) -> float:
    """Of any number in the arrays called by the prefix."""
    expected = np.load(reference)
    names = [name for name in expected.files if name.startswith(prefix)]
    found = [np.load(path) for path in paths]
    return max(float(np.abs(one[name] - expected[name]).max()) for one in found for name in names)


def measure(directory: pathlib.Path, *, quick: bool) -> dict[str, float]:
    """Runs all and compares them."""
    for name in ("single", "changed", "mirrored"):
        wait([run(name, directory, quick=quick)])
    wait(run_workers(directory, quick=quick))
    single, changed, mirrored = ([directory / f"{name}-0.npz"] for name in ("single", "changed", "mirrored"))
    workers = [directory / "workers-0.npz", directory / "workers-1.npz"]
    steps = {
        "max_weight_difference_mirrored": largest_difference(mirrored, single[0], "steps"),
        "max_weight_difference_two_workers": largest_difference(workers, single[0], "steps"),
    }
    return {
        "max_weight_difference": max(steps.values()),
        **steps,
        "one_changed_by_1e-7": largest_difference(changed, single[0], "steps"),
        "rounds_mirrored": largest_difference(mirrored, single[0], "rounds"),
        "rounds_two_workers": largest_difference(workers, single[0], "rounds"),
        "rounds_one_changed_by_1e-7": largest_difference(changed, single[0], "rounds"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(pathlib.Path(directory), quick=arguments.quick)
    for name, value in figures.items():
        print(f"{name:36} {value:.2e}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
