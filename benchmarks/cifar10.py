"""Noisy Student Training on CIFAR-10 with few labels, against honest baselines, and with one change at a time.

    pip install -e ".[examples,robustness]"
    python benchmarks/cifar10.py --preset cpu --labels 1000 --seeds 3 --json out.json --data-dir ...

Of the 50,000 training images N are labelled, as many of each class, 500 held out for temperature scaling, and all
others unlabelled. Accuracies are of the 10,000 test images, which nothing is chosen by: the settings were chosen on
images held out of the training set, as `--validate` does.

    --preset NAME     cpu (two cores, up to 45 minutes a seed), gpu (hours on one GPU) or quick (to see it run)
    --labels N        labelled images (default 1000)
    --seeds N         seeds 0..N-1: labelled images, initialisation, order and noise change
    --json PATH       write the figures, after every seed
    --data-dir PATH   of TensorFlow Datasets
    --directory PATH  keep the runs there; the same command goes on where it was stopped (default: a temporary one)
    --processes N     runs at a time, each on one core (default 2; 1 for the gpu preset, which it runs as it is)
    --no-changes      only the teacher, the students and the supervised baseline
    --validate        report on 5,000 images taken out of the training set, in place of the test images

What is compared (keys of the JSON, each a list of accuracies in [0, 1], one for each seed):

- `teacher`, `student_1`, `student_2`, ..., and `student`, the last of them: Noisy Student Training.
- `supervised_noised`: the same network and noise, and as many steps, of as many images, as the teacher and all students
  together, on the labelled images alone. Where students begin as their teacher, so many steps are behind the last one.
- Changes of round 1, each to be compared with `student_1`, which has the same teacher and as many steps: `no_noise`
  (the paper's ablation), `hard_labels`, `no_balancing`, `no_filter`, `new_weights` or `larger_student` (both begin with
  new weights; all other students are as large as their teacher), `temperature_scaling`, `distribution_alignment`,
  `mirrored_views`.
- Changes of round 2, to be compared with `student_2`: `lower_threshold`, `higher_ratio`, `higher_magnitude` (settings
  that change by round), `two_teachers`.
- `robustness`: of `teacher` and `student`, on the first 1,000 of the images: see docs/robustness.md.
- `calibration_error`: of the teacher on the held-out images, before and after temperature scaling.
- `seconds_per_seed`.
"""

import argparse
import concurrent.futures
import functools
import json
import multiprocessing
import os
import pathlib
import statistics
import tempfile
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cifar10_data
import tensorflow as tf
from cifar10_presets import PRESETS
from cifar10_runs import CHANGES_OF_ROUND_1, CHANGES_OF_ROUND_2, TASK, Runs, accuracy

import keras_noisy_student as kns

NUM_ATTACKED = 1_000
Figures = dict[str, Any]


def use_one_core() -> None:
    """Keeps the runs that are made at a time from waiting for each other."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


@functools.cache
def images(data_dir: str | None) -> Any:
    """CIFAR-10, read once in a process."""
    return cifar10_data.load(data_dir)


def make(job: str, seed: int, arguments: argparse.Namespace) -> tuple[Figures, float]:
    """Makes one run of a seed: its figures, and the seconds that it took."""
    started = time.monotonic()
    split = cifar10_data.split(
        images(arguments.data_dir), num_labeled=arguments.labels, seed=seed, validate=arguments.validate
    )
    directory = pathlib.Path(arguments.directory)
    preset = PRESETS[arguments.preset]
    runs = Runs(preset, split, seed=seed, directory=directory / f"labels_{arguments.labels}_seed_{seed}")
    if job == "noisy_student":
        teacher, *students = (accuracy(network, split) for network in runs.noisy_student())
        figures = {"teacher": teacher, **{f"student_{index}": value for index, value in enumerate(students, start=1)}}
        figures["student"] = students[-1]
    elif job == "supervised_noised":
        figures = {job: accuracy(runs.supervised_noised(), split)}
    elif job.startswith("robustness of "):
        of = job.removeprefix("robustness of ")
        network = runs.noisy_student()[0 if of == "teacher" else -1]
        figures = {"robustness": {of: robustness(network, split, directory / "corrupted")}}
    else:
        network, record = runs.changed(job)
        figures = {job: accuracy(network, split)}
        if job == "temperature_scaling":
            before, after = record.calibration_error, record.corrected_calibration_error
            figures["calibration_error"] = {"before": before, "after": after}
    return figures, time.monotonic() - started


def robustness(network: Any, split: cifar10_data.Split, directory: pathlib.Path) -> dict[str, float]:
    """Corruption, flip and attack figures."""
    reported, labels = (array[:NUM_ATTACKED] for array in split.reported)
    corrupted = kns.evaluation.robustness.CorruptedImages(str(directory), reported)
    report = kns.evaluation.robustness.evaluate(network, reported, labels, task=TASK, corrupted=corrupted)
    return report.figures()


def make_seed(pool: concurrent.futures.Executor, seed: int, arguments: argparse.Namespace) -> Figures:
    """All runs of a seed: the changes begin when the run that they branch off is finished."""
    jobs = [["noisy_student", "supervised_noised"]]
    if arguments.changes:
        jobs.append(["robustness of teacher", "robustness of student", *CHANGES_OF_ROUND_1, *CHANGES_OF_ROUND_2])
    figures: Figures = {}
    for group in jobs:
        futures = {pool.submit(make, job, seed, arguments): job for job in group}
        for future in concurrent.futures.as_completed(futures):
            found, seconds = future.result()
            print(f"seed {seed}: {describe(found)} [{seconds:.0f} s]", flush=True)
            for name, value in found.items():
                figures[name] = {**figures.get(name, {}), **value} if isinstance(value, dict) else value
    return figures


def describe(figures: Figures) -> str:
    """Figures in a line."""
    return ", ".join(
        f"{name} {describe(value)}" if isinstance(value, dict) else f"{name} {100 * value:.1f}"
        for name, value in figures.items()
    )


def lists(of_seeds: list[Any]) -> Any:
    """Figures of each seed as lists, of which nested figures have the same names."""
    if isinstance(of_seeds[0], dict):
        return {name: lists([figures[name] for figures in of_seeds]) for name in of_seeds[0]}
    return of_seeds


def table(figures: Figures) -> str:
    """The figures in %, as Markdown: a row for each method and what it is to be compared with."""
    students = [name for name in figures if name.startswith("student")]
    references = [(name, "teacher") for name in students] + [("student", "supervised_noised")]
    references += [(name, "student_1") for name in CHANGES_OF_ROUND_1]
    references += [(name, "student_2") for name in CHANGES_OF_ROUND_2]
    lines = ["| | mean | sd | by seed | beside | by seed |", "|---|---|---|---|---|---|"]
    for name, values in figures.items():
        if not isinstance(values, list):
            continue
        for reference in [other for changed, other in references if changed == name] or [None]:
            lines.append(row(name, values, reference, figures))
    for name, of_model in figures.get("robustness", {}).items():
        lines += [row(f"{figure}, {name}", values, None, figures) for figure, values in of_model.items()]
    for when, values in figures.get("calibration_error", {}).items():
        lines.append(row(f"calibration error, {when}", values, None, figures))
    num_seeds, seconds = len(figures["teacher"]), figures["seconds_per_seed"]
    return "\n".join(lines) + f"\n\n{num_seeds} seeds, {seconds:.0f} s a seed"


def row(name: str, values: list[float], reference: str | None, figures: Figures) -> str:
    """A row of the table, with the difference to a reference if there is one."""
    cells = [name, f"{100 * statistics.mean(values):.1f}", spread(values), by_seed(values), "", ""]
    if reference is not None:
        differences = [value - other for value, other in zip(values, figures[reference], strict=True)]
        cells[4:] = [f"{reference}: {100 * statistics.mean(differences):+.1f}", by_seed(differences, "+")]
    return "| " + " | ".join(cells).replace("|  |", "| |").replace("|  |", "| |").rstrip() + " |"


def spread(values: list[float]) -> str:
    """Standard deviation in points; a dash for one seed."""
    return f"{100 * statistics.stdev(values):.1f}" if len(values) > 1 else "-"


def by_seed(values: list[float], sign: str = "") -> str:
    """All values in %."""
    return " ".join(f"{100 * value:{sign}.1f}" for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument("--labels", type=int, default=1000, metavar="N")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--json", metavar="PATH")
    parser.add_argument("--data-dir", metavar="PATH")
    parser.add_argument("--directory", metavar="PATH", default=tempfile.mkdtemp(prefix="cifar10_"))
    parser.add_argument("--processes", type=int, metavar="N")
    parser.add_argument("--no-changes", dest="changes", action="store_false")
    parser.add_argument("--validate", action="store_true")
    arguments = parser.parse_args()
    num_processes = arguments.processes or (1 if arguments.preset == "gpu" else 2)

    of_seeds: list[Figures] = []
    started = time.monotonic()
    # TensorFlow cannot be forked.
    with concurrent.futures.ProcessPoolExecutor(
        num_processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=use_one_core if num_processes > 1 else None,
    ) as pool:
        for seed in range(arguments.seeds):
            of_seeds.append(make_seed(pool, seed, arguments))
            figures = lists(of_seeds) | {"seconds_per_seed": (time.monotonic() - started) / len(of_seeds)}
            if arguments.json:
                pathlib.Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n")
    print(table(figures))


if __name__ == "__main__":
    main()
