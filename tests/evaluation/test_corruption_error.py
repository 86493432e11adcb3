import itertools
import re

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.evaluation.corruption_error import (
    ALEXNET_CORRUPTION_ERRORS,
    corruption_errors,
    mean_corruption_error,
)
from keras_noisy_student.evaluation.corruptions import CORRUPTIONS
from tests.evaluation.toy_images import grey, level_over_100

LABELS = [0, 1, 1, 0]
# Level by level: right, right, right, right; then 1, 2 and 4 of 4 wrong.
CORRUPTED = {
    ("fog", 1): grey([0, 200, 200, 0]),
    ("fog", 2): grey([200, 200, 200, 0]),
    ("snow", 1): grey([200, 0, 200, 0]),
    ("snow", 2): grey([200, 0, 0, 200]),
}


def test_errors_are_the_shares_of_wrong_answers_by_corruption_and_severity():
    errors = {"fog": [0.0, 0.25], "snow": [0.5, 1.0]}
    assert corruption_errors(level_over_100, CORRUPTED, LABELS) == errors
    backwards = {key: tf.data.Dataset.from_tensor_slices(CORRUPTED[key]) for key in reversed(CORRUPTED)}
    assert corruption_errors(level_over_100, backwards, np.array(LABELS), batch_size=3) == errors


def test_the_mean_by_hand():
    errors = {"fog": [0.0, 0.25], "snow": [0.5, 1.0]}
    assert mean_corruption_error(errors) == pytest.approx((0 + 0.25 + 0.5 + 1) / 4)
    baseline = {"fog": [0.25, 0.75], "snow": [1.0, 0.5]}
    assert mean_corruption_error(errors, baseline=baseline) == pytest.approx((0.25 / 1.0 + 1.5 / 1.5) / 2)
    assert mean_corruption_error(baseline, baseline=baseline) == 1


def test_the_mean_over_a_grid_is_that_of_the_definition():
    generator = np.random.default_rng(0)
    errors, baseline = ({name: generator.uniform(0.1, 1, 5).tolist() for name in CORRUPTIONS} for _ in range(2))
    ratios = []
    for name in CORRUPTIONS:
        numerator = denominator = 0.0
        for severity in range(5):
            numerator += errors[name][severity]
            denominator += baseline[name][severity]
        ratios.append(numerator / denominator)
    assert mean_corruption_error(errors, baseline=baseline) == pytest.approx(sum(ratios) / 15)
    assert mean_corruption_error(errors) == pytest.approx(sum(itertools.chain(*errors.values())) / 75)


def test_alexnet_has_an_mce_of_1():
    assert list(ALEXNET_CORRUPTION_ERRORS) == list(CORRUPTIONS)
    assert mean_corruption_error(ALEXNET_CORRUPTION_ERRORS, baseline=ALEXNET_CORRUPTION_ERRORS) == 1


@pytest.mark.parametrize(
    ("errors", "baseline", "message"),
    [
        ({}, None, "A mean needs at least one rate. Received: none."),
        ({"fog": [0.5]}, {"fog": [0.5], "snow": [0.5]}, "must have the same names .* Received: ['snow'] in only one"),
        ({"fog": [0.5]}, {"fog": [0.0, 0.0]}, "must have rates above 0.* Received: 0 for ['fog']"),
    ],
)
def test_errors_without_a_mean_are_refused(errors, baseline, message):
    pattern = ".*".join(re.escape(part) for part in message.split(".*"))
    with pytest.raises(ValueError, match=pattern):
        mean_corruption_error(errors, baseline=baseline)


@pytest.mark.parametrize("corrupted", [{}, {"fog": grey([1])}, {("fog", 1, 2): grey([1])}, grey([1])])
def test_corrupted_images_under_other_keys_are_refused(corrupted):
    with pytest.raises(ValueError, match=r"`corrupted` must be `CorruptedImages`, or map \(corruption, severity\)"):
        corruption_errors(level_over_100, corrupted, [0])


def test_sets_of_another_length_than_the_labels_are_refused():
    with pytest.raises(ValueError, match=r"Received: 3 labels for 4 images"):
        corruption_errors(level_over_100, CORRUPTED, LABELS[:3])
