"""The settings of the SVHN script, against its numbers written out."""

import math

import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student.recipes import svhn
from tests.without_weights import without_weights


def test_noise_is_that_of_small_images_without_a_flip():
    noise = svhn.noise()
    rand_augment, cutout, crop = noise.augmentation.steps
    assert (rand_augment.num_ops, rand_augment.magnitude) == (2, 5)
    assert rand_augment.op_settings.translation(32, 32) == rand_augment.op_settings.cutout_half_size(32, 32) == 4
    assert (cutout.half_size, crop.padding, crop.mode) == (8, 4, "reflect")
    assert (noise.dropout_rate, noise.survival_probability) == (0.2, 0.8)
    assert noise.augmentation(np.zeros((2, 32, 32, 3), "uint8"), noise_seed=[0, 1]).shape == (2, 32, 32, 3)


@pytest.mark.parametrize("arguments", [{}, {"batch_size": 512}])
def test_learning_rate_is_that_of_the_script(arguments):
    """Written as the script computes it."""
    num_images, batch_size, num_steps = 73_257 - 4_000, arguments.get("batch_size", 128), 109_474
    total_epochs = num_steps * batch_size / num_images - 5
    decay_epochs = total_epochs / (math.log(0.0002 / 0.016) / math.log(0.97))
    schedule = svhn.optimizer(**arguments)._learning_rate
    for step in (0, 100, 2_700, 2_710, 10_000, 50_000, 109_000):
        epoch = step / (num_images / batch_size)
        peak = 0.016 * batch_size / 256
        expected = peak * epoch / 5 if epoch < 5 else peak * 0.97 ** math.floor(epoch / decay_epochs)
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-4)


def test_optimizer():
    config = svhn.optimizer().get_config()
    expected = {"rho": 0.9, "momentum": 0.9, "epsilon": 1e-3, "l2": 1e-4, "use_ema": True, "ema_momentum": 0.9999}
    assert {name: config[name] for name in expected} == expected


def test_pseudo_labeling_and_task():
    assert svhn.pseudo_labeling() == kns.PseudoLabeling(confidence_threshold=0.3, examples_per_class=53_113)
    assert svhn.task() == kns.Classification(10, label_smoothing=0.1)


def test_student_is_b0_normalised_by_the_statistics_of_svhn():
    with without_weights():
        student = svhn.student()
    assert student.get_layer("top_conv").output.shape == (None, 4, 4, 1280)
    (statistics,) = [layer for layer in student.layers if layer.name.startswith("rescaling") and layer.offset != 0]
    np.testing.assert_allclose(1 / np.array(statistics.scale), [0.198, 0.201, 0.197], atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_steps": 0}, r"`num_steps` must be a positive integer\. Received: num_steps=0"),
        ({"batch_size": 0}, r"`batch_size` must be a positive integer\. Received: batch_size=0"),
        ({"num_labeled": None}, r"`num_labeled` must be a positive integer\. Received: num_labeled=None"),
        (
            {"num_steps": 50, "num_labeled": 1280},
            r"`num_steps` must be more than the 50 of the warm-up, which is 5 passes over the labelled images\. "
            r"Received: num_steps=50, batch_size=128, num_labeled=1280\.",
        ),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        svhn.optimizer(**arguments)
