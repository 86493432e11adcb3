import re

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.evaluation import flip_rate as module
from keras_noisy_student.evaluation.flip_rate import flip_rate, flip_rates, mean_flip_rate
from keras_noisy_student.evaluation.perturbations import PERTURBATIONS, STRENGTHS, perturbed
from keras_noisy_student.noise.seeds import stream_key
from tests.evaluation.toy_images import grey, images, level_over_100


@pytest.mark.parametrize(
    ("classes", "previous", "first"),
    [
        ([[0, 0, 0]], 0, 0),
        ([[0, 1, 0]], 1, 0.5),
        ([[0, 1, 1]], 0.5, 1),
        ([[0, 1, 1], [2, 2, 2]], 0.25, 0.5),
        ([[5, 4]], 1, 1),
    ],
)
def test_flips_by_hand(classes, previous, first):
    assert flip_rate(classes, compare_with="previous") == previous
    assert flip_rate(classes, compare_with="first") == first


def test_flip_rates_are_those_of_the_published_loop():
    generator = np.random.default_rng(0)
    for compare_with in ("first", "previous"):
        classes = generator.integers(0, 3, (7, 5))
        rate = 0.0
        for sequence in classes:
            before, flips = sequence[0], []
            for frame in sequence[1:]:
                flips.append(before != frame)
                if compare_with == "previous":
                    before = frame
            rate += np.mean(flips) / len(classes)
        assert flip_rate(classes, compare_with=compare_with) == pytest.approx(rate)


def red_over_blue(batch):
    means = np.mean(np.asarray(batch, "float64"), axis=(1, 2))
    return means[:, [2, 0]]


@pytest.mark.parametrize("batch_size", [1, 41, 128])
@pytest.mark.parametrize("as_dataset", [False, True])
def test_each_perturbation_is_rated_on_all_sequences(batch_size, as_dataset):
    given = images(4, side=8)
    rates = flip_rates(
        red_over_blue,
        tf.data.Dataset.from_tensor_slices(given) if as_dataset else given,
        seed=3,
        batch_size=batch_size,
    )
    assert list(rates) == list(PERTURBATIONS)
    keys = [stream_key(3, position) for position in range(4)]
    for perturbation, rate in rates.items():
        frames = perturbed(given, perturbation, STRENGTHS["cifar10_p"], keys=keys)
        classes = [red_over_blue(sequence).argmax(-1) for sequence in frames]
        compare_with = "first" if "noise" in perturbation else "previous"
        assert rate == pytest.approx(flip_rate(classes, compare_with=compare_with)), perturbation
    assert len(set(rates.values())) > 3


def test_a_model_sees_no_more_frames_at_a_time_than_asked_for():
    seen = []

    def model(batch):
        seen.append(len(batch))
        return level_over_100(batch)

    flip_rates(model, grey([100, 50]), batch_size=7)
    assert max(seen) == 7


def test_brightness_flips_once_where_an_image_crosses_the_threshold():
    rates = flip_rates(level_over_100, grey([100, 250]))
    assert rates["brightness"] == pytest.approx(1 / 60)


def test_the_strengths_of_imagenet_p_are_others():
    # 127 - 255 * 15 * 0.02 is below 60, 127 - 255 * 15 * 0.015 is not.
    def over_60(batch):
        is_over = batch.mean(axis=(1, 2, 3)) > 60
        return np.stack([~is_over, is_over], -1)

    assert flip_rates(over_60, grey([127]))["brightness"] == 0
    assert flip_rates(over_60, grey([127]), strengths="imagenet_p")["brightness"] == pytest.approx(1 / 30)


def test_the_mean_by_hand():
    assert mean_flip_rate({"snow": 0.25, "tilt": 0.75}) == 0.5
    assert mean_flip_rate({"snow": 0.25, "tilt": 0.75}, baseline={"tilt": 0.5, "snow": 0.5}) == 1


def test_without_flips_of_the_baseline_there_is_no_ratio():
    with pytest.raises(ValueError, match=r"`baseline` must have rates above 0.* Received: 0 for \['tilt'\]"):
        mean_flip_rate({"snow": 0.25, "tilt": 0.75}, baseline={"tilt": 0.0, "snow": 0.5})


@pytest.mark.parametrize(
    ("classes", "compare_with", "message"),
    [
        ([1, 2], "first", "`classes` must have shape (sequences, frames)"),
        ([[1], [2]], "first", "Received: shape (2, 1)"),
        (np.zeros((0, 3)), "first", "Received: shape (0, 3)"),
        ([[1, 2]], "last", '`compare_with` must be "first" or "previous". Received: compare_with=\'last\''),
    ],
)
def test_other_classes_are_refused(classes, compare_with, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        flip_rate(classes, compare_with=compare_with)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strengths": "cifar"}, '`strengths` must be "cifar10_p" or "imagenet_p"'),
        ({"seed": 0.5}, "`seed` must be an integer of 64 bits. Received: seed=0.5"),
        ({"seed": None}, "`seed` must be an integer of 64 bits. Received: seed=None"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
        ({"images": grey([1])[..., :1]}, "must be uint8 with 3 channels. Received: dtype uint8, shape (1, 4, 4, 1)"),
        ({"images": grey([1]).astype("float32")}, "Received: dtype float32"),
    ],
)
def test_other_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        flip_rates(**{"model": level_over_100, "images": grey([1]), **arguments})


def test_no_sequence_is_longer_than_blocks_are_made_for():
    longest = max(
        perturbed(grey([1]), perturbation, strengths, keys=[0]).shape[1]
        for perturbation in PERTURBATIONS
        for strengths in STRENGTHS.values()
    )
    assert longest == module._LONGEST_SEQUENCE
