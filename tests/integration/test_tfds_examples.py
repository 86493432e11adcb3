"""The examples on data sets of TensorFlow Datasets, run on images that are made up."""

import importlib.util
import itertools
import json
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns

tfds = pytest.importorskip("tensorflow_datasets")

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
NUM_EXAMPLES = 64


def load_example(name):
    spec = importlib.util.spec_from_file_location(f"{name}_example", EXAMPLES / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of_one_color_each(num_colors, *, height, width):
    """What a mocked builder reads: images whose color tells their label, 8 in each part of a split."""
    colors = np.random.default_rng(0).permutation(list(itertools.product((20, 130, 240), repeat=3)))[:num_colors]

    def as_dataset(builder, split, **kwargs):
        features = builder.info.features
        num_examples = NUM_EXAMPLES if isinstance(split, str) else 8
        labels_of_color = features["label"].num_classes // num_colors if "label" in dict(features) else 1

        def examples():
            rng = np.random.default_rng(1)
            for index in range(num_examples):
                color = index % num_colors
                pixels = rng.normal(colors[color], 10, (height, width, 3))
                yield {"image": np.clip(pixels, 0, 255).astype("uint8"), "label": color * labels_of_color}

        spec = {"image": tf.TensorSpec(features["image"].shape, tf.uint8), "label": tf.TensorSpec((), tf.int64)}
        dataset = tf.data.Dataset.from_generator(examples, output_signature=spec)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_examples))
        return dataset.map(lambda example: {name: example[name] for name in example if name in dict(features)})

    return as_dataset


@pytest.mark.slow
def test_svhn_runs_and_writes_its_figures(tmp_path, capsys):
    svhn = load_example("svhn")
    with tfds.testing.mock_data(as_dataset_fn=of_one_color_each(10, height=32, width=32)):
        svhn.main(["--quick", "--directory", str(tmp_path / "run"), "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert list(figures) == ["teacher", "student"]
    assert all(0.1 < accuracy <= 1 for accuracy in figures.values())
    assert "test accuracy in %: teacher" in capsys.readouterr().out


def test_svhn_trains_for_as_long_as_the_script():
    budget = load_example("svhn").FULL
    assert budget.steps_per_epoch * budget.epochs == pytest.approx(kns.recipes.svhn.NUM_STEPS, rel=0.005)


@pytest.mark.slow
def test_cifar10_runs_and_writes_its_figures(tmp_path, capsys, monkeypatch):
    cifar10 = load_example("cifar10")
    for name, value in {"BATCH_SIZE": 8, "NUM_ROUNDS": 1, "QUICK": cifar10.Budget(120, 5)}.items():
        monkeypatch.setattr(cifar10, name, value)
    with tfds.testing.mock_data(as_dataset_fn=of_one_color_each(10, height=32, width=32)):
        cifar10.main(["--quick", "--labels", "40", "--directory", str(tmp_path), "--json", str(tmp_path / "out.json")])
    figures = json.loads((tmp_path / "out.json").read_text())
    assert list(figures) == ["teacher", "students", "supervised"]
    assert len(figures["students"]) == 1
    assert all(0.1 < accuracy <= 1 for accuracy in [figures["teacher"], *figures["students"], figures["supervised"]])
    assert "test accuracy in %: teacher" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("svhn", lambda example: example.run(example.FULL, None, None)),
        ("imagenet", lambda example: example.run(example.full("B0", batch_size=512), "a_pool", None, None)),
    ],
)
def test_both_have_the_joint_loss_of_the_released_code(name, run, monkeypatch):
    compiled, image = {}, np.zeros((32, 32, 3), "uint8")
    monkeypatch.setattr(tfds, "load", lambda *arguments, **keywords: tf.data.Dataset.from_tensors((image, 0)))
    monkeypatch.setattr(kns.NoisyStudentTrainer, "compile", lambda trainer, optimizer, **rest: compiled.update(rest))
    monkeypatch.setattr(kns.NoisyStudentTrainer, "fit_rounds", lambda *arguments, **keywords: None)
    run(load_example(name))
    assert compiled["loss_reduction"] == "sum_of_means"


@pytest.mark.slow
def test_imagenet_runs_and_writes_its_figures(tmp_path, capsys):
    imagenet, figures = load_example("imagenet"), tmp_path / "figures.json"
    with tfds.testing.mock_data(as_dataset_fn=of_one_color_each(4, height=40, width=50)):
        imagenet.main(["--quick", "--directory", str(tmp_path / "run"), "--json", str(figures)])
    accuracies = json.loads(figures.read_text())["accuracies"]
    assert len(accuracies) == 2
    assert all(0.25 < accuracy <= 1 for accuracy in accuracies)
    assert capsys.readouterr().out.count("B2: top-1 accuracy") == 2


@pytest.mark.parametrize(("which", "students", "side"), [("v4", "B7 L2 L2 L2", 832), ("B0", "B0 B0", 256)])
def test_imagenet_takes_the_rounds_it_is_asked_for(which, students, side):
    experiment = load_example("imagenet").full(which, batch_size=512)
    assert [recipe.student for recipe in experiment.rounds] == students.split()
    assert experiment.image_side == side
    schedule = experiment.optimizer(experiment.rounds[-1].student).get_config()["learning_rate"]["config"]
    assert schedule["peak"] == pytest.approx(0.032)


def test_imagenet_cuts_the_central_square():
    image = np.zeros((40, 60, 3), "uint8")
    image[:, 10:50] = 200
    squares = load_example("imagenet").square(tf.constant(image), 32)
    assert squares.dtype == tf.uint8 and squares.shape == (32, 32, 3)
    np.testing.assert_array_equal(squares, 200)
