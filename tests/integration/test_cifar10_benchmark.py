"""The CIFAR-10 benchmark compares what it says, on images that are made up; its figures are not tested here."""

import dataclasses
import importlib
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.run_directory.description import describe, describe_network

pytest.importorskip("tensorflow_datasets")

BENCHMARKS = pathlib.Path(kns.__file__).parent.parent / "benchmarks"
NUM_IMAGES = 700


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return {name: importlib.import_module(name) for name in ("cifar10", "cifar10_data", "cifar10_presets")}


@pytest.fixture
def sets():
    """Images whose level tells their class."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(NUM_IMAGES, dtype="int32") % 10)
    images = np.clip(rng.normal(25 * labels[:, None, None, None], 5, (NUM_IMAGES, 32, 32, 3)), 0, 255).astype("uint8")
    return {"train": (images, labels), "test": (images[:40], labels[:40])}


@pytest.fixture
def runs(modules, sets, tmp_path):
    class WithoutImageNoise(modules["cifar10_presets"].Preset):
        """Compiles sooner."""

        def noise(self, magnitude):
            return kns.Noise(dropout_rate=magnitude / 100)

    preset = WithoutImageNoise(
        **{
            **vars(modules["cifar10_presets"].QUICK),
            "batch_size": 8,
            "widen_factor": 0.25,
            "larger_widen_factor": 0.5,
            "teacher_steps": 150,
            "student_steps": 20,
            "learning_rate": 0.02,
            "student_learning_rate": 0.005,
            "pseudo_labeling": kns.PseudoLabeling(),
        }
    )
    split = modules["cifar10_data"].split(sets, num_labeled=50, seed=0, validate=False)
    return importlib.import_module("cifar10_runs").Runs(preset, split, seed=0, directory=tmp_path)


def row_of(images):
    return {image.tobytes() for image in images}


@pytest.mark.parametrize("validate", [False, True])
def test_no_image_is_used_twice(modules, sets, validate, monkeypatch):
    monkeypatch.setattr(modules["cifar10_data"], "NUM_VALIDATION", 60)
    split = modules["cifar10_data"].split(sets, num_labeled=50, seed=1, validate=validate)
    parts = [split.labeled[0], split.unlabeled, split.held_out[0], *([split.reported[0]] if validate else [])]
    assert [len(part) for part in parts] == [50, 90 if validate else 150, 500, *([60] if validate else [])]
    assert len(set().union(*map(row_of, parts))) == NUM_IMAGES
    assert np.bincount(split.labeled[1]).tolist() == [5] * 10
    assert (split.reported is sets["test"]) is not validate


def test_another_seed_labels_other_images(modules, sets):
    first, second = (
        modules["cifar10_data"].split(sets, num_labeled=50, seed=seed, validate=False).labeled[0] for seed in (0, 1)
    )
    assert row_of(first) != row_of(second)


@pytest.mark.slow
def test_a_change_branches_off_the_round_before_it(runs):
    teacher, student_1, _ = runs.noisy_student()
    larger, record = runs.changed("larger_student")
    assert larger.count_params() > student_1.count_params()
    assert (record.round_index, record.num_kept) == (1, len(runs.split.unlabeled))
    assert weights_of(teacher) == weights_of(runs.noisy_student()[0])
    copied = runs.directory / "larger_student" / "round_00" / "student.weights.h5"
    assert copied.read_bytes() == (runs.directory / "noisy_student" / "round_00" / "student.weights.h5").read_bytes()

    two_teachers, record = runs.changed("two_teachers")
    assert record.round_index == 2
    assert written(runs, "larger_student", 1) == written(runs, "noisy_student", 1)
    assert written(runs, "two_teachers", 2) > written(runs, "noisy_student", 2)
    round_1 = runs.directory / "two_teachers" / "round_01" / "student.weights.h5"
    assert round_1.read_bytes() == (runs.directory / "noisy_student" / "round_01" / "student.weights.h5").read_bytes()
    assert weights_of(two_teachers) != weights_of(student_1)


def written(runs, name, round_index):
    """When the pool of a round was annotated."""
    store = runs.directory / name / f"round_{round_index:02d}" / "pseudo_labels"
    return (store / "shard-00000-00000.targets.tfrecord").stat().st_mtime_ns


def weights_of(network):
    return [weight.tobytes() for weight in network.get_weights()]


def test_every_change_differs_from_the_plan_in_what_it_names(runs):
    module = importlib.import_module("cifar10_runs")
    averaging = kns.TeacherAveraging(views=[tf.identity, tf.image.flip_left_right])
    labeling = kns.PseudoLabeling(
        temperature=0.5, confidence_threshold=0.4, examples_per_class="auto", averaging=averaging
    )
    plan = dataclasses.replace(runs._plan, pseudo_labeling=labeling)
    changed = {
        name: change(plan, runs.preset)
        for name, change in (module.CHANGES_OF_ROUND_1 | module.CHANGES_OF_ROUND_2).items()
    }
    differences = {name: difference(plan, other) for name, other in changed.items()}
    labels = {name: difference(plan.pseudo_labeling, other.pseudo_labeling) for name, other in changed.items()}
    assert {name: found for name, found in differences.items() if found != ["pseudo_labeling"]} == {
        "no_noise": ["noise"],
        "other_first_weights": ["begins_as_teacher"],
        "larger_student": ["widen_factor", "begins_as_teacher"],
        "higher_ratio": ["unlabeled_ratio"],
        "higher_magnitude": ["noise"],
    }
    assert {name: found for name, found in labels.items() if found} == {
        "hard_labels": ["labels", "temperature"],
        "no_balancing": ["examples_per_class"],
        "no_filter": ["confidence_threshold"],
        "temperature_scaling": ["corrections"],
        "distribution_alignment": ["corrections"],
        "one_view": ["averaging"],
        "higher_threshold": ["confidence_threshold"],
        "two_teachers": ["averaging"],
    }
    assert changed["higher_threshold"].pseudo_labeling.confidence_threshold == 0.8
    assert changed["one_view"].pseudo_labeling.averaging == kns.TeacherAveraging()
    assert changed["two_teachers"].pseudo_labeling.averaging.views == averaging.views


def difference(one, other):
    return [
        field.name
        for field in dataclasses.fields(one)
        if getattr(one, field.name) is not getattr(other, field.name)
        and getattr(one, field.name) != getattr(other, field.name)
    ]


def test_the_table_compares_each_row_with_its_own_reference(modules):
    of_seeds = [
        {"teacher": 0.5, "student_1": 0.52, "student": 0.55, "supervised_noised": 0.51, "no_noise": 0.505},
        {"teacher": 0.6, "student_1": 0.63, "student": 0.64, "supervised_noised": 0.62, "no_noise": 0.6},
    ]
    for figures in of_seeds:
        figures |= {"other_first_weights": 0.4, "larger_student": 0.45, "kept": {"no_noise": 0.75}}
        figures |= {"robustness": {"teacher": {"mean_flip_rate": 0.1}}, "seconds_per_seed": 60.4}
    table = modules["cifar10"].table(modules["cifar10"].lists(of_seeds), modules["cifar10_presets"].CPU)
    rows = table.splitlines()
    assert "| teacher | 55.0 | 7.1 | 50.0 60.0 | | |" in rows
    assert "| student | 59.5 | 6.4 | 55.0 64.0 | teacher: +4.5 | +5.0 +4.0 |" in rows
    assert "| student | 59.5 | 6.4 | 55.0 64.0 | supervised_noised: +3.0 | +4.0 +2.0 |" in rows
    assert "| no_noise | 55.2 | 6.7 | 50.5 60.0 | student_1: -2.3 | -1.5 -3.0 |" in rows
    assert "| larger_student | 45.0 | 0.0 | 45.0 45.0 | other_first_weights: +5.0 | +5.0 +5.0 |" in rows
    assert "| kept: no_noise | 75.0 | 0.0 | 75.0 75.0 | | |" in rows
    assert "| mean_flip_rate: teacher | 10.0 | 0.0 | 10.0 10.0 | | |" in rows
    assert rows[-1] == "2 seeds, 60 s a seed"


def test_the_example_has_the_settings_of_the_cpu_preset(modules):
    spec = importlib.util.spec_from_file_location("cifar10_example", BENCHMARKS.parent / "examples" / "cifar10.py")
    example = sys.modules["cifar10_example"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    preset = modules["cifar10_presets"].CPU
    steps = (example.FULL.teacher_steps, example.FULL.student_steps, example.NUM_ROUNDS)
    assert steps == (preset.teacher_steps, preset.student_steps, preset.num_rounds)
    assert (preset.batch_size, preset.unlabeled_ratio) == (example.BATCH_SIZE, example.UNLABELED_RATIO)
    assert preset.pseudo_labeling == example.PSEUDO_LABELING
    assert describe(example.make_noise()) == describe(preset.noise(preset.magnitude))
    assert describe(example.make_optimizer(100, 0.1)) == describe(preset.optimizer(100, 0.1))
    assert describe_network(example.make_network()) == describe_network(preset.network(preset.widen_factor))
    assert (preset.learning_rate, preset.student_learning_rate) == example.LEARNING_RATES
    assert preset.begins_as_teacher


@pytest.mark.slow
def test_it_runs_from_the_command_line_and_does_nothing_twice(tmp_path):
    if "KNS_DATA_DIR" not in os.environ:
        pytest.skip("needs CIFAR-10 of TensorFlow Datasets: KNS_DATA_DIR says where its folder `tfds` is")
    data_dir = pathlib.Path(os.environ["KNS_DATA_DIR"]) / "tfds"
    command = [sys.executable, BENCHMARKS / "cifar10.py", "--preset", "quick", "--no-changes", "--processes", "2"]
    command += ["--data-dir", data_dir, "--directory", tmp_path / "runs", "--json", tmp_path / "out.json"]
    figures, written = [], []
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True)
        figures.append(json.loads((tmp_path / "out.json").read_text()))
        written.append({path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("record.json")})
    seconds = [figure.pop("seconds_per_seed")[0] for figure in figures]
    assert figures[0] == figures[1]
    assert set(figures[0]) == {"teacher", "student_1", "student_2", "student", "supervised_noised"}
    assert figures[0]["student"] == figures[0]["student_2"]
    assert len(written[0]) == 4
    assert written[0] == written[1]
    assert seconds[1] > seconds[0]
