"""What 100,000 images draw: ops, signs and places evenly, and each image for itself."""

import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from tests.noise import drawn_ops, reference_policy

_NUM_IMAGES = 100_000


@pytest.fixture(scope="module", params=["keys", "seed"])
def drawn(request):
    """`(op, sign, center)` of each image of one batch, noised by consecutive keys, or by a layer's own seed."""
    keys = tf.range(_NUM_IMAGES, dtype=tf.int64) if request.param == "keys" else None
    layer = drawn_ops.layer(seed=0)
    augment = tf.function(lambda images: layer(images, noise_seed=keys), jit_compile=True)
    return drawn_ops.recognize(augment(drawn_ops.images(_NUM_IMAGES)))


def test_each_op_is_drawn_equally_often(drawn):
    _assert_uniform(_counts([op for op, _, _ in drawn], reference_policy.OPS))


@pytest.mark.parametrize("op", reference_policy.SIGNED_OPS)
def test_each_sign_is_drawn_equally_often(drawn, op):
    _assert_uniform(_counts([sign for drawn_op, sign, _ in drawn if drawn_op == op], (-1, 1)))


def test_each_place_of_the_cut_is_drawn_equally_often(drawn):
    places = [center for op, _, center in drawn if op == "Cutout"]
    _assert_uniform(_counts(places, [(row, column) for row in range(8) for column in range(8)]))


@pytest.mark.parametrize("distance", [1, 2, 64])
def test_images_of_a_batch_draw_independently(drawn, distance):
    index_of_op = {op: index for index, op in enumerate(reference_policy.OPS)}
    indices = np.array([index_of_op[op] for op, _, _ in drawn])
    first, second = indices[:-distance], indices[distance:]

    share_of_equals = np.mean(first == second)
    assert abs(share_of_equals - 1 / 16) < 4 * np.sqrt(1 / 16 * 15 / 16 / len(first))
    _assert_uniform(np.bincount(16 * first + second, minlength=256))


def test_the_ops_of_an_image_are_drawn_independently_and_with_replacement():
    ops, image = ("Invert", "Solarize", "Brightness", "Color"), drawn_ops.images(1)[0]
    outcomes = {
        reference_policy.augment(reference_policy.augment(image, first, 9), second, 9).tobytes(): (first, second)
        for first in ops
        for second in ops
    }
    assert len(outcomes) == 16
    layer = kns.RandAugment(2, 9, ops=ops)
    augment = tf.function(lambda images, keys: layer(images, noise_seed=keys), jit_compile=True)
    noised = augment(drawn_ops.images(_NUM_IMAGES), tf.range(_NUM_IMAGES, dtype=tf.int64)).numpy()
    _assert_uniform(_counts([outcomes[pixels.tobytes()] for pixels in noised], outcomes.values()))


def _counts(drawn, choices):
    count_of_choice = dict.fromkeys(choices, 0)
    for choice in drawn:
        count_of_choice[choice] += 1
    return np.array(list(count_of_choice.values()))


def _assert_uniform(counts):
    """A chi-squared test: 4 standard deviations above what uniform draws give is refused."""
    expected, degrees_of_freedom = counts.sum() / len(counts), len(counts) - 1
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < degrees_of_freedom + 4 * np.sqrt(2 * degrees_of_freedom), counts
