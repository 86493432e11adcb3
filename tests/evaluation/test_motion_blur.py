import math

import numpy as np
import pytest

from keras_noisy_student.evaluation.motion_blur import motion_blurred

IMAGES = np.random.default_rng(0).uniform(0, 1, (2, 7, 5, 2)).astype("float32")


def blurred_slowly(images, radius, deviation, degrees):
    weights = [math.exp(-((distance / deviation) ** 2) / 2) for distance in range(2 * radius + 1)]
    blurred = np.zeros(images.shape)
    _, height, width, _ = images.shape
    for row in range(height):
        for column in range(width):
            for distance, weight in enumerate(weights):
                source_row = row + round(distance * math.sin(math.radians(degrees)))
                source_column = column + round(distance * math.cos(math.radians(degrees)))
                nearest = images[:, min(max(source_row, 0), height - 1), min(max(source_column, 0), width - 1)]
                blurred[:, row, column] += weight / sum(weights) * nearest
    return blurred


@pytest.mark.parametrize("degrees", [0, 31, 90, -120, 180])
@pytest.mark.parametrize(("radius", "deviation"), [(1, 0.5), (3, 2), (10, 3)])
def test_images_are_smeared_as_by_a_slow_reference(degrees, radius, deviation):
    blurred = motion_blurred(IMAGES, radius=radius, deviation=deviation, degrees=degrees)
    np.testing.assert_allclose(blurred, blurred_slowly(IMAGES, radius, deviation, degrees), atol=1e-6)


def test_an_even_image_stays_as_it_is():
    even = np.full((1, 4, 4, 3), 0.3, "float32")
    np.testing.assert_allclose(motion_blurred(even, radius=6, deviation=1.8, degrees=30), even, atol=1e-6)
