"""Noisy Student Training on CIFAR-10 with few labels, against honest baselines, and with one change at a time.

    pip install -e ".[examples,robustness]"
    python benchmarks/cifar10.py --preset cpu --labels 1000 --seeds 3 --json out.json --data-dir ...

Of the 50,000 training images N are labelled, as many of each class, 500 held out for temperature scaling, and all
others unlabelled. Accuracies are of the 10,000 test images, which nothing is chosen by: the settings were chosen on
images held out of the training set, as `--validate` does.

    --preset NAME     cpu (15 minutes a seed on two cores, 50 with all changes), gpu (for hours on one) or quick
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
  (the paper's ablation removes it from the unlabelled images alone, this one from all), `hard_labels`, `no_balancing`,
  `no_filter`, `other_first_weights` (new ones where students begin as their teacher, its own where they do not),
  `larger_student` (with new weights; all other students are as large as their teacher), `temperature_scaling`,
  `distribution_alignment`, `one_view` (the teacher of all other students also sees each image mirrored).
- Changes of round 2, to be compared with `student_2`: `higher_threshold`, `higher_ratio`, `higher_magnitude` (settings
  that change by round), `two_teachers`.
- `kept`: the share of the unlabelled images that were trained on after each change.
- `robustness`: of `teacher` and `student`, on the first 1,000 of the images: see docs/robustness.md.
- `calibration_error`: of the teacher on the held-out images, before and after temperature scaling.
- `seconds_per_seed`: of wall-clock time, in all the parts in which the seed was run.
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
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cifar10_data
import tensorflow as tf
from cifar10_presets import PRESETS, Preset
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


def make(job: str, seed: int, directory: pathlib.Path, arguments: argparse.Namespace) -> tuple[Figures, float]:
    """Makes one run of a seed: its figures, and the seconds that it took."""
    started = time.monotonic()
    split = cifar10_data.split(
        images(arguments.data_dir), num_labeled=arguments.labels, seed=seed, validate=arguments.validate
    )
    runs = Runs(PRESETS[arguments.preset], split, seed=seed, directory=directory)
    if job == "noisy_student":
        teacher, *students = (accuracy(network, split) for network in runs.noisy_student())
        figures = {"teacher": teacher, **{f"student_{index}": value for index, value in enumerate(students, start=1)}}
        figures["student"] = students[-1]
    elif job == "supervised_noised":
        figures = {job: accuracy(runs.supervised_noised(), split)}
    elif job == "robustness":
        teacher, *_, student = runs.noisy_student()
        # The test images are those of every seed.
        where = directory if arguments.validate else pathlib.Path(arguments.directory)
        figures = {job: robustness({"teacher": teacher, "student": student}, split, where / "corrupted")}
    else:
        network, record = runs.changed(job)
        figures = {job: accuracy(network, split), "kept": {job: record.num_kept / record.num_annotated}}
        if job == "temperature_scaling":
            before, after = record.calibration_error, record.corrected_calibration_error
            figures["calibration_error"] = {"before": before, "after": after}
    return figures, time.monotonic() - started


def robustness(networks: dict[str, Any], split: cifar10_data.Split, directory: pathlib.Path) -> dict[str, Figures]:
    """Corruption, flip and attack figures of each network."""
    reported, labels = (array[:NUM_ATTACKED] for array in split.reported)
    corrupted = kns.evaluation.robustness.CorruptedImages(str(directory), reported)
    evaluate = functools.partial(kns.evaluation.robustness.evaluate, task=TASK, corrupted=corrupted)
    return {name: evaluate(network, reported, labels).figures() for name, network in networks.items()}


def make_seed(pool: concurrent.futures.Executor, seed: int, arguments: argparse.Namespace) -> Figures:
    """All runs of a seed: the changes begin when the run that they branch off is finished."""
    kind = "_validated" if arguments.validate else ""
    directory = pathlib.Path(arguments.directory) / f"{arguments.preset}_labels_{arguments.labels}_seed_{seed}{kind}"
    groups = [["noisy_student", "supervised_noised"]]
    if arguments.changes:
        groups.append(["robustness", *CHANGES_OF_ROUND_1, *CHANGES_OF_ROUND_2])
    figures: Figures = {}
    for job, found, seconds in _finished(pool, groups, seed, directory, arguments):
        print(f"seed {seed}: {job}: {describe(found)} [{seconds:.0f} s]", flush=True)
        for name, value in found.items():
            figures[name] = {**figures.get(name, {}), **value} if isinstance(value, dict) else value
        figures["seconds_per_seed"] = _seconds(directory)
    return figures


def _finished(
    pool: concurrent.futures.Executor,
    groups: list[list[str]],
    seed: int,
    directory: pathlib.Path,
    arguments: argparse.Namespace,
) -> Iterator[tuple[str, Figures, float]]:
    """The jobs as they are finished, one group after the other; adds up the time of every part of the seed."""
    before, started = _seconds(directory), time.monotonic()
    for group in groups:
        futures = {pool.submit(make, job, seed, directory, arguments): job for job in group}
        for future in concurrent.futures.as_completed(futures):
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "seconds.json").write_text(json.dumps(before + time.monotonic() - started))
            yield futures[future], *future.result()


def _seconds(directory: pathlib.Path) -> float:
    """What was spent on a seed so far."""
    path = directory / "seconds.json"
    return float(json.loads(path.read_text())) if path.exists() else 0.0


def describe(figures: Figures) -> str:
    """Figures in a line."""
    return ", ".join(
        f"{name} {describe(value)}" if isinstance(value, dict) else f"{name} {100 * value:.1f}"
        for name, value in figures.items()
    )


def lists(of_seeds: list[Any]) -> Any:
    """Figures of each seed as lists; nested figures have the same names in every seed."""
    if isinstance(of_seeds[0], dict):
        return {name: lists([figures[name] for figures in of_seeds]) for name in of_seeds[0]}
    return of_seeds


def table(figures: Figures, preset: Preset) -> str:
    """The figures in %, as Markdown: a row for each method and what it is to be compared with."""
    seconds = figures["seconds_per_seed"]
    students = [name for name in figures if name.startswith("student")]
    references = [(name, "teacher") for name in students] + [("student", "supervised_noised")]
    references += [(name, "student_1") for name in CHANGES_OF_ROUND_1 if name != "larger_student"]
    references += [("larger_student", "other_first_weights" if preset.begins_as_teacher else "student_1")]
    references += [(name, "student_2") for name in CHANGES_OF_ROUND_2]
    lines = ["| | mean | sd | by seed | less | by seed |", "|---|---|---|---|---|---|"]
    for name, values in figures.items():
        if not isinstance(values, list) or name == "seconds_per_seed":
            continue
        for reference in [other for changed, other in references if changed == name] or [None]:
            lines.append(row(name, values, reference, figures))
    for group in ("kept", "calibration_error"):
        lines += [row(f"{group}: {name}", values, None, figures) for name, values in figures.get(group, {}).items()]
    for name, of_model in figures.get("robustness", {}).items():
        lines += [row(f"{figure}: {name}", values, None, figures) for figure, values in of_model.items()]
    return "\n".join(lines) + f"\n\n{len(seconds)} seeds, {statistics.mean(seconds):.0f} s a seed"


def row(name: str, values: list[float], reference: str | None, figures: Figures) -> str:
    """A row of the table, with the difference to a reference if there is one."""
    cells = [name, f"{100 * statistics.mean(values):.1f}", spread(values), by_seed(values)]
    if reference is not None:
        differences = [value - other for value, other in zip(values, figures[reference], strict=True)]
        cells += [f"{reference}: {100 * statistics.mean(differences):+.1f}", by_seed(differences, "+")]
    return f"| {' | '.join(cells)} |" + (" | |" if reference is None else "")


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
    parser.add_argument("--directory", metavar="PATH")
    parser.add_argument("--processes", type=int, metavar="N")
    parser.add_argument("--no-changes", dest="changes", action="store_false")
    parser.add_argument("--validate", action="store_true")
    arguments = parser.parse_args()
    arguments.directory = arguments.directory or tempfile.mkdtemp(prefix="cifar10_")
    num_processes = arguments.processes or (1 if arguments.preset == "gpu" else 2)

    of_seeds: list[Figures] = []
    # TensorFlow cannot be forked.
    with concurrent.futures.ProcessPoolExecutor(
        num_processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=use_one_core if num_processes > 1 else None,
    ) as pool:
        for seed in range(arguments.seeds):
            of_seeds.append(make_seed(pool, seed, arguments))
            figures = lists(of_seeds)
            if arguments.json:
                pathlib.Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n")
    print(table(figures, PRESETS[arguments.preset]))


if __name__ == "__main__":
    main()
