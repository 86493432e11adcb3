"""The paper's ImageNet settings, against its numbers written out."""

import math

import keras
import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student.freezing import frozen_before
from keras_noisy_student.networks import at_resolution
from keras_noisy_student.recipes import imagenet
from tests.without_weights import without_weights

DROPOUT = {"B0": 0.2, "B1": 0.2, "B2": 0.3, "B3": 0.3, "B4": 0.4, "B5": 0.4, "B6": 0.5, "B7": 0.5}
MAGNITUDES = {"B0": None, "B1": None, "B2": 6, "B3": 12, "B4": 15, "B5": 18, "B6": 24, "B7": 27}
LARGEST = ["L0", "L1", "L2"]
SIZES = {"B0": 224, "B1": 240, "B2": 260, "B3": 300, "B4": 380, "B5": 456, "B6": 528, "B7": 600, "L2": 475}


def test_student_is_the_network_of_that_name_for_a_thousand_classes():
    with without_weights():
        student = imagenet.student("B1")
    assert (student.name, student.output_shape) == ("efficientnet_b1", (None, 1000))
    (resizing,) = [layer for layer in student.layers if isinstance(layer, keras.layers.Resizing)]
    assert (resizing.height, resizing.width) == (240, 240)


@pytest.mark.parametrize("name", [*DROPOUT, *LARGEST])
def test_noise_of_every_network(name):
    noise = imagenet.noise(name)
    assert noise.dropout_rate == DROPOUT.get(name, 0.5)
    assert noise.survival_probability == 0.8
    crop, flip, *rest = noise.augmentation.steps
    assert isinstance(crop, kns.RandomResizedCrop) and isinstance(flip, kns.RandomFlip)
    assert crop.height == crop.width == SIZES.get(name, 380)
    assert [(step.num_ops, step.magnitude, step.overflow, step.op_settings.contrast_mean) for step in rest] == [
        (2, magnitude, "paper", "paper") for magnitude in [MAGNITUDES.get(name, 27)] if magnitude
    ]


def test_noise_crops_to_another_size():
    images = np.zeros((2, 40, 50, 3), "uint8")
    assert imagenet.noise("B2", image_size=32).augmentation(images, noise_seed=[0, 1]).shape == (2, 32, 32, 3)


@pytest.mark.parametrize(
    ("batch_size", "epochs", "decay_epochs"), [(2048, 350, 2.4), (512, 350, 2.4), (4096, 700, 4.8)]
)
def test_learning_rate(batch_size, epochs, decay_epochs):
    schedule = imagenet.optimizer(batch_size=batch_size, epochs=epochs)._learning_rate
    for epoch in (0, 2.5, 4.99, 5.01, 7.3, 100.1, 349.9):
        step = round(epoch * 1_281_167 / batch_size)
        peak = 0.016 * batch_size / 256
        expected = peak * epoch / 5 if epoch < 5 else peak * 0.97 ** math.floor(epoch / decay_epochs)
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-3)


def test_optimizer():
    config = imagenet.optimizer().get_config()
    expected = {"rho": 0.9, "momentum": 0.9, "epsilon": 1e-3, "l2": 1e-5, "use_ema": True, "ema_momentum": 0.9999}
    assert {name: config[name] for name in expected} == expected
    assert config["weight_decay"] is None


def test_epochs():
    assert [imagenet.epochs(name) for name in ("B0", "B4", "B5", "B7", "L0", "L2")] == [700, 700, 350, 350, 350, 350]


def test_pseudo_labeling_and_task():
    assert imagenet.pseudo_labeling() == kns.PseudoLabeling(
        labels="soft", temperature=1, confidence_threshold=0.3, examples_per_class=130_000
    )
    assert imagenet.task() == kns.Classification(1000, label_smoothing=0.1)


@pytest.mark.parametrize(("name", "size"), [("L0", 600), ("L1", 600), ("L2", 800)])
def test_the_largest_are_fine_tuned_at_a_higher_resolution(name, size):
    fine_tuning = imagenet.fine_tuning(name, batch_size=1024)
    assert fine_tuning.size == (size, size)
    batch_size, num_steps = fine_tuning.steps(batch_size=32, num_labeled=1_281_167)
    assert batch_size * num_steps == pytest.approx(1.5 * 1_281_167, rel=1e-3)
    last = imagenet.optimizer(batch_size=1024)._learning_rate(int(349 * 1_281_167 / 1024))
    config = fine_tuning.optimizer.get_config()
    assert config["learning_rate"] == pytest.approx(float(last), rel=1e-5)
    assert (config["l2"], config["ema_momentum"]) == (1e-5, 0.99)


@pytest.mark.parametrize("name", DROPOUT)
def test_the_others_are_not_fine_tuned(name):
    assert imagenet.fine_tuning(name) is None


def test_fine_tuning_trains_the_last_two_stages_of_a_network_at_another_resolution():
    network = kns.students.efficientnet("B0", num_classes=2, image_size=33)
    copy = at_resolution(network, (48, 48))
    assert copy(np.zeros((1, 50, 50, 3))).shape == (1, 2)
    with frozen_before(copy, imagenet.fine_tuning("L2").train_from):
        trained = {weight.path.split("/")[0][:6] for weight in copy.trainable_weights}
    assert trained == {"block6", "block7", "top_co", "top_bn", "predic"}


@pytest.mark.parametrize(
    ("version", "students", "ratios"),
    [("v4", "B7 L2 L2 L2", [14, 14, 28]), ("v1", "B7 B7 L0 L1 L2 L2", [3, 3, 3, 3, 3])],
)
def test_rounds_never_shrink(version, students, ratios):
    rounds = imagenet.rounds(version)
    assert [recipe.student for recipe in rounds] == students.split()
    assert [recipe.unlabeled_ratio for recipe in rounds[1:]] == ratios
    order = [*DROPOUT, *LARGEST]
    places = [order.index(recipe.student) for recipe in rounds]
    assert places == sorted(places)


@pytest.mark.parametrize(("name", "ratio"), [("B0", 1), ("B1", 3), ("B7", 3)])
def test_rounds_of_one_size(name, ratio):
    rounds = imagenet.same_size_rounds(name, num_rounds=2)
    assert [recipe.student for recipe in rounds] == [name] * 3
    assert [recipe.unlabeled_ratio for recipe in rounds[1:]] == [ratio] * 2


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (imagenet.noise, {"name": "b7"}, r'`name` must be "B0", .*Received: name=\'b7\''),
        (imagenet.noise, {"name": "B7", "image_size": 0}, r"`image_size` must be a positive integer.*image_size=0\."),
        (imagenet.student, {"name": "b0"}, r'`name` must be "B0", .*Received: name=\'b0\''),
        (imagenet.epochs, {"name": 7}, r'`name` must be "B0", .*Received: name=7'),
        (imagenet.optimizer, {"batch_size": 0}, r"`batch_size` must be a positive integer\. Received: batch_size=0"),
        (imagenet.optimizer, {"epochs": 1.5}, r"`epochs` must be a positive integer\. Received: epochs=1\.5"),
        (imagenet.optimizer, {"num_labeled": 0}, r"`num_labeled` must be a positive integer\. Received: num_labeled=0"),
        (imagenet.fine_tuning, {"name": "L3"}, r'`name` must be "B0", .*Received: name=\'L3\''),
        (
            imagenet.fine_tuning,
            {"name": "L2", "batch_size": -1},
            r"`batch_size` must be a positive integer\. Received: batch_size=-1",
        ),
        (imagenet.rounds, {"version": "v2"}, r'`version` must be "v1" or "v4"\. Received: version=\'v2\''),
        (imagenet.same_size_rounds, {"name": None}, r'`name` must be "B0", .*Received: name=None'),
        (
            imagenet.same_size_rounds,
            {"name": "B0", "num_rounds": 0},
            r"`num_rounds` must be an integer from 1 to 1000\. Received: num_rounds=0",
        ),
    ],
)
def test_refuses(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(**arguments)
